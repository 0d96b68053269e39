import type { Area } from '../breakage.ts';

const QUEUE = ['queue/publish-queue.test.ts'];

export const queue: Area = {
  sources: 'packages/aggregator/src/queue',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'publish-queue.ts',
      breaks: 'A queue with room for just one more batch refuses it.',
      find: 'this.#events + batch.count <= this.#eventsMax',
      replace: 'this.#events + batch.count < this.#eventsMax',
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
        'A batch above the bound of a take is never taken, and the consumer thinks that the queue is drained.',
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
      breaks: 'A queue that was closed takes what nobody will commit.',
      find: "if (this.#closed) return Promise.reject(new QueueFull('the queue is closed'));",
      replace: '',
      tests: QUEUE,
      hangs: true,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A consumer that waits does not hear of the close, and the service does not stop.',
      find: 'this.#closed = true;\n    this.#awaited?.resolve();',
      replace: 'this.#closed = true;',
      tests: QUEUE,
      hangs: true,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A consumer that waits for several publishers goes on with the first of them.',
      find: 'this.#awaited !== null && this.#waiting.length >= this.#awaited.count',
      replace: 'this.#awaited !== null',
      tests: QUEUE,
    },
    {
      file: 'publish-queue.ts',
      breaks: 'A batch larger than the bound is refused for ever, though nothing stands in its way.',
      find: 'this.#events === 0 || ',
      replace: '',
      tests: QUEUE,
    },
    {
      file: 'byte-budget.ts',
      breaks: 'A body larger than the bound is refused for ever, though it is alone.',
      find: 'this.#held > own && ',
      replace: '',
      tests: [...QUEUE, 'api/request/admission.test.ts'],
    },
    {
      file: 'byte-budget.ts',
      breaks: 'The last byte of the budget is never given.',
      find: 'this.#held > own && this.#held + bytes > this.bytesMax',
      replace: 'this.#held > own && this.#held + bytes >= this.bytesMax',
      tests: QUEUE,
    },
    {
      file: 'byte-budget.ts',
      breaks: 'A hold forgets what it took before, and gives back only its last piece.',
      find: 'this.#bytes += bytes;',
      replace: 'this.#bytes = bytes;',
      tests: ['api/request/admission.test.ts'],
    },
  ],
};
