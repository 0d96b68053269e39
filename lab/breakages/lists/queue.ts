import type { Area } from '../breakage.ts';

const QUEUE = ['queue/publish-queue.test.ts'];

export const queue: Area = {
  sources: 'packages/aggregator/src/queue',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'publish-queue.ts',
      breaks: 'A queue with room for just one more batch refuses it.',
      find: 'this.#events + batch.count <= this.eventsMax',
      replace: 'this.#events + batch.count < this.eventsMax',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'Events that were settled still count, until everything is refused.',
      find: 'this.#events -= batch.count;',
      replace: '',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'Bytes that were settled still count, until everything is refused.',
      find: 'hold.release();',
      replace: '',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks:
        'A batch larger than the bound of a take is never taken, and the consumer thinks the queue is empty.',
      find: 'if (taken > 0 && (',
      replace: 'if ((',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A take is not bounded in bytes.',
      find: 'events > eventsMax || bytes > bytesMax',
      replace: 'events > eventsMax',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A closed queue accepts batches that nobody will commit.',
      find: "if (this.#closed) return Promise.reject(new QueueFull('the queue is closed'));",
      replace: '',
      tests: QUEUE,
      hangs: true,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A waiting consumer does not notice the close, and the service does not stop.',
      find: 'this.#closed = true;\n    this.#awaited?.resolve();',
      replace: 'this.#closed = true;',
      tests: QUEUE,
      hangs: true,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A consumer that waits for several publishers continues after the first one.',
      find: 'if (this.#awaited?.isEnough() === true) this.#awaited.resolve();',
      replace: 'this.#awaited?.resolve();',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A batch larger than the bound is always refused, even by an empty queue.',
      find: 'this.#events === 0 || ',
      replace: '',
      tests: QUEUE,
    },
    {
      file: 'byte-budget.ts',
      breaks: 'A body larger than the bound is always refused, even if it is the only one.',
      find: 'this.#held > own && ',
      replace: '',
      tests: [...QUEUE, 'api/request/admission.test.ts'],
    },
    {
      file: 'byte-budget.ts',
      breaks: 'The last byte of the budget is never granted.',
      find: 'this.#held > own && this.#held + bytes > this.bytesMax',
      replace: 'this.#held > own && this.#held + bytes >= this.bytesMax',
      tests: QUEUE,
    },
    {
      file: 'byte-budget.ts',
      breaks: 'A hold forgets its earlier pieces and releases only the last one.',
      find: 'this.#bytes += bytes;',
      replace: 'this.#bytes = bytes;',
      tests: ['api/request/admission.test.ts'],
    },
  ],
};
