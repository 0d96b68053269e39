import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { Consumer } from '../../src/consumer/consumer.ts';
import type { EventBatch } from '../../src/event/event-batch.ts';
import { PublishQueue } from '../../src/queue/publish-queue.ts';
import { type AppendResult, StoreError } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';

/** A store whose appends wait until the test releases them, or fail if it says so. */
class HeldStore extends MemoryStore {
  appends = 0;
  failNext: StoreError | null = null;
  #open: Promise<void> = Promise.resolve();
  #release: () => void = () => {};

  hold(): void {
    this.#open = new Promise((resolve) => (this.#release = resolve));
  }

  release(): void {
    this.#release();
  }

  override async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
    this.appends += 1;
    await this.#open;
    const failure = this.failNext;
    this.failNext = null;
    if (failure !== null) throw failure;
    return super.append(batches);
  }
}

function build(level = 'silent', lines: string[] = []) {
  const store = new HeldStore();
  const queue = new PublishQueue({ eventsMax: 100_000, bytesMax: 100_000_000 });
  const log = pino({ level }, { write: (line: string) => void lines.push(line) });
  return { store, queue, consumer: new Consumer(queue, store, log) };
}

/** A store that does so many appends at once; each ends when the test calls its function. */
function buildEnding(groupsAtOnce: number) {
  const ends: (() => void)[] = [];
  class EndingStore extends MemoryStore {
    override readonly groupsAtOnce = groupsAtOnce;

    override async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
      await new Promise<void>((resolve) => ends.push(resolve));
      return super.append(batches);
    }
  }
  const store = new EndingStore();
  const queue = new PublishQueue({ eventsMax: 100_000, bytesMax: 100_000_000 });
  return { store, queue, consumer: new Consumer(queue, store, pino({ level: 'silent' })), ends };
}

/** Lets the event loop turn until this is so. */
async function reached(isSo: () => boolean): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    assert.ok(turn < 10_000, String(isSo));
    await new Promise(setImmediate);
  }
}

const single = (id: string) => batchOf(eventWith({ event_id: id }));

test('publishes that arrive during a commit share the next one', async () => {
  const { store, queue, consumer } = build();
  store.hold();
  const first = queue.publish(single('first'));
  while (store.appends === 0) await new Promise(setImmediate);
  const rest = Array.from({ length: 64 }, (_, i) => queue.publish(single(`${i}`)));
  store.release();
  await Promise.all([first, ...rest]);
  assert.equal(store.appends, 2);
  assert.equal(consumer.commits, 2);
  await consumer.close();
});

for (const [commits, commitMs] of [
  ['quick', 0],
  ['slow', 20],
] as const) {
  // prettier-ignore
  test(`publishers that return after their answers share one commit instead of alternating in two, if commits are ${commits}`, async () => {
    const { store, queue, consumer } = build();
    const publishers = 16;
    const rounds = 20;
    // A commit takes a while, during which half of them are already waiting.
    const append = store.append.bind(store);
    store.append = async (batches) => {
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      if (commitMs > 0) await new Promise((resolve) => setTimeout(resolve, commitMs));
      return append(batches);
    };
    const first = Array.from({ length: publishers / 2 }, (_, i) => publishOften(`early ${i}`, i));
    while (queue.waiting > 0) await new Promise(setImmediate);
    await Promise.all([
      ...first,
      ...Array.from({ length: publishers / 2 }, (_, i) => publishOften(`late ${i}`, i)),
    ]);
    assert.ok(store.appends <= 1.5 * rounds, `${store.appends} commits for ${rounds} publishes of each`);
    await consumer.close();

    async function publishOften(name: string, place: number): Promise<void> {
      for (let round = 0; round < rounds; round++) {
        await queue.publish(single(`${name} ${round}`));
        // The round trip to the publisher, longer for some.
        for (let turn = 0; turn < 1 + 3 * (place % 4); turn++) await new Promise(setImmediate);
      }
    }
  });
}

test('a lone publisher waits for one turn of the event loop', async (t) => {
  const { store, queue, consumer } = build();
  await queue.publish(single('first'));
  let turns = 0;
  let turnsBefore = -1;
  const { setImmediate: immediate } = globalThis;
  t.mock.method(globalThis, 'setImmediate', (work: () => void) => {
    turns += 1;
    return immediate(work);
  });
  const append = store.append.bind(store);
  store.append = (batches) => {
    turnsBefore = turns;
    return append(batches);
  };
  await queue.publish(single('second'));
  assert.equal(turnsBefore, 1);
  await consumer.close();
});

test('the consumer waits less and less often for publishers that do not return', async (t) => {
  const { store, queue, consumer } = build();
  const commits = 60;
  let waits = 0;
  const arrival = queue.arrival.bind(queue);
  t.mock.method(queue, 'arrival', (isEnough: () => boolean, ms?: number) => {
    if (ms !== undefined) waits += 1;
    return arrival(isEnough, ms);
  });
  const append = store.append.bind(store);
  store.append = async (batches) => {
    // There is always another one waiting, and each publishes once.
    if (store.appends < commits - 1) void queue.publish(single(`${store.appends + 1}`));
    await new Promise((resolve) => setTimeout(resolve, 5));
    return append(batches);
  };
  await queue.publish(single('0'));
  while (queue.events > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await consumer.close();
  assert.equal(store.appends, commits);
  assert.ok(waits > 0 && waits <= 7, `${waits} of ${commits} commits were waited before`);
});

test('nobody is answered before the commit that holds the publish [P-1]', async () => {
  const { store, queue, consumer } = build();
  store.hold();
  let answered = false;
  const answer = queue.publish(single('a')).then(() => (answered = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(answered, false);
  store.release();
  await answer;
  await consumer.close();
});

test('each publish gets its own verdicts from a shared commit [PUB-3]', async () => {
  const { store, queue, consumer } = build();
  store.hold();
  const answers = [
    queue.publish(single('a')),
    queue.publish(batchOf(...manyEvents(3))),
    queue.publish(single('a')),
  ];
  store.release();
  const results = await Promise.all(answers);
  assert.deepEqual(results.map(({ accepted, duplicates }) => [accepted, duplicates]), [[1, 0], [3, 0], [0, 1]]); // prettier-ignore
  assert.deepEqual([...results[2]!.offsets], [1]);
  await consumer.close();
});

test('a failed commit refuses its publishes, stores none of them, and the next one succeeds [P-3]', async () => {
  const { store, queue, consumer } = build();
  store.failNext = new StoreError('blocked', 'no space');
  const answers = await Promise.allSettled([queue.publish(single('a')), queue.publish(single('b'))]);
  assert.deepEqual(answers.map(({ status }) => status), ['rejected', 'rejected']); // prettier-ignore
  assert.equal((await store.stats()).received, 0);
  assert.equal(queue.events, 0);
  assert.equal((await queue.publish(single('a'))).accepted, 1);
  await consumer.close();
});

test('a close waits for the commit in progress', async () => {
  const { store, queue, consumer } = build();
  store.hold();
  const answer = queue.publish(single('a'));
  while (store.appends === 0) await new Promise(setImmediate);
  let isClosed = false;
  const closing = consumer.close().then(() => (isClosed = true));
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  assert.equal(isClosed, false);
  store.release();
  await closing;
  assert.equal((await answer).accepted, 1);
});

test('closing commits and answers what is queued', async () => {
  const { store, queue, consumer } = build();
  store.hold();
  const answers = [queue.publish(single('a')), queue.publish(single('b'))];
  const closing = consumer.close();
  store.release();
  await closing;
  assert.equal((await Promise.all(answers)).length, 2);
  assert.equal((await store.stats()).accepted, 2);
});

for (const groupsAtOnce of [1, 2]) {
  test(`of many events as many groups are under way as the store does at once: ${groupsAtOnce}`, async () => {
    const { store, queue, consumer, ends } = buildEnding(groupsAtOnce);
    const publish = (name: string, count: number) =>
      queue.publish(batchOf(...manyEvents(count, (i) => ({ event_id: `${name}-${i}` }))));
    const answered: number[] = [];
    const answers = Array.from({ length: 16 }, async (_, i) => {
      await publish(`${i}`, 100);
      answered.push(i);
    });
    await reached(() => ends.length === groupsAtOnce);
    const later = publish('later', 2000);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(ends.length, groupsAtOnce);
    // The last one first: each publish is answered after the commit that holds it, whatever became of the others.
    ends.at(-1)!();
    await reached(() => answered.length >= 16 / groupsAtOnce);
    const last = Array.from({ length: 16 / groupsAtOnce }, (_, i) => 16 - 16 / groupsAtOnce + i);
    assert.deepEqual(answered, last);
    let isClosed = false;
    const closing = consumer.close().then(() => (isClosed = true));
    // The first one last: a close waits for all of them.
    await reached(() => ends.length > groupsAtOnce);
    ends.at(-1)!();
    await later;
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(isClosed, groupsAtOnce === 1);
    ends[0]!();
    await Promise.all([...answers, closing]);
    assert.equal((await store.stats()).accepted, 3600);
  });
}

test('no second group begins with a few events, or with fewer than are under way', async () => {
  const { queue, consumer, ends } = buildEnding(2);
  const answers = [queue.publish(batchOf(...manyEvents(1000)))];
  await reached(() => ends.length === 1);
  for (const [count, groups] of [
    [500, 1],
    [499, 1],
    [1, 2],
  ] as const) {
    // prettier-ignore
    answers.push(queue.publish(batchOf(...manyEvents(count, (i) => ({ event_id: `${count}-${i}` })))));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(ends.length, groups);
  }
  for (const end of ends) end();
  await Promise.all(answers);
  answers.push(queue.publish(single('alone')));
  await reached(() => ends.length === 3);
  answers.push(...Array.from({ length: 16 }, (_, i) => queue.publish(single(`few ${i}`))));
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  assert.equal(ends.length, 3);
  ends.at(-1)!();
  await reached(() => ends.length === 4);
  ends.at(-1)!();
  await Promise.all(answers);
  await consumer.close();
});

test('every drop is logged at debug, their sum at info', async () => {
  const lines: string[] = [];
  const { queue, consumer } = build('debug', lines);
  await queue.publish(single('a'));
  await queue.publish(batchOf(eventWith({ event_id: 'a' }), eventWith({ event_id: 'a', source: 'app' })));
  await consumer.close();
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const drops = logged.filter(({ msg }) => msg === 'event dropped');
  assert.deepEqual(
    drops.map(({ topic, event_id, verdict, offset }) => ({ topic, event_id, verdict, offset })),
    [
      { topic: 'orders', event_id: 'a', verdict: 'duplicate', offset: 1 },
      { topic: 'orders', event_id: 'a', verdict: 'conflict', offset: 1 },
    ],
  );
  const sum = logged.find(({ msg }) => msg === 'duplicates dropped');
  assert.deepEqual([sum?.['level'], sum?.['dropped'], sum?.['conflicts']], [30, 2, 1]);
});
