import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../aggregator/src/store/memory/store.ts';
import { manyEvents } from '../../aggregator/test/support/events.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { ChronicleWeaver, type StoredEvent } from '../src/index.ts';
import { sharedServer } from './support/shared-server.ts';

const server = await sharedServer();
await server.publish(
  ...manyEvents(1200, (i) => ({
    topic: i % 5 === 0 ? 'rare' : 'orders',
    timestamp: new Date(Date.UTC(2025, 0, 1) + i * 1000).toISOString(),
  })),
);

async function all(events: AsyncIterable<StoredEvent>): Promise<number[]> {
  const offsets = [];
  for await (const { offset } of events) offsets.push(offset);
  return offsets;
}

test('read goes through all pages in either order, and keeps to its conditions', async () => {
  await using chronicle = new ChronicleWeaver({ url: server.url });
  const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
  assert.deepEqual(await all(chronicle.read()), upTo(1200));
  assert.deepEqual(await all(chronicle.read({ order: 'desc' })), upTo(1200).toReversed());
  assert.deepEqual(
    await all(chronicle.read({ topic: 'rare' })),
    upTo(1200).filter((offset) => offset % 5 === 1),
  );
  assert.deepEqual(await all(chronicle.read({ after: 1190 })), upTo(1200).slice(1190));
  assert.deepEqual(await all(chronicle.read({ limit: 1100 })), upTo(1100));
  assert.deepEqual(await all(chronicle.read({ limit: 2, order: 'desc', after: 10 })), [9, 8]);
  assert.deepEqual(
    await all(chronicle.read({ from: '2025-01-01T00:00:10Z', to: '2025-01-01T00:00:12Z' })),
    [11, 12],
  );
  assert.deepEqual(await all(chronicle.read({ source: 'nobody' })), []);
  await assert.rejects(all(chronicle.read({ from: 'yesterday' })), {
    code: 'invalid_parameter',
    status: 422,
  });
});

test('read requests a page only when its events are needed', async () => {
  let requests = 0;
  await using chronicle = new ChronicleWeaver({
    url: server.url,
    fetch: (input, init) => {
      requests++;
      return fetch(input, init);
    },
  });
  for await (const { offset } of chronicle.read()) if (offset === 1001) break;
  assert.equal(requests, 2);
  const stop = new AbortController();
  const reading = all(chronicle.read({}, { signal: stop.signal }));
  stop.abort(new Error('enough'));
  await assert.rejects(reading, /enough/);
});

test('find takes any topic and id, and returns undefined for an event that does not exist', async () => {
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const names = ['a/b', '100%', 'a?b#c', ' ', 'ü/🚚', '..a', '%2e%2e', '+', '\\'];
  for (const topic of names) {
    await chronicle.publish(names.map((event_id) => ({ topic, event_id, payload: { topic, event_id } })));
  }
  for (const topic of names) {
    for (const event_id of names) {
      assert.deepEqual((await chronicle.find(topic, event_id))?.payload, { topic, event_id });
    }
  }
  assert.equal(await chronicle.find('a/b', 'nobody'), undefined);
  for (const [topic, id] of [
    ['.', 'x'],
    ['..', 'stats'],
    ['x', '..'],
    ['x', '\ud800'],
  ] as const) {
    await assert.rejects(chronicle.find(topic, id), { code: 'unaddressable' });
  }
});

test('topics and stats return the counts of the service', async () => {
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const before = await chronicle.stats();
  const results = await chronicle.publish(
    [1, 2, 3, 3].map((n) => ({ event_id: `${n}`, topic: `t${n % 2}`, payload: {}, timestamp: '2025-01-01' })),
  );
  const topics = (await chronicle.topics()).filter(({ topic }) => /^t\d$/.test(topic));
  assert.deepEqual(
    topics.map(({ topic, events, expired, last_offset }) => [topic, events, expired, last_offset]),
    [
      ['t0', 1, 0, results[1]!.offset],
      ['t1', 2, 0, results[2]!.offset],
    ],
  );
  const after = await chronicle.stats();
  const grown = (name: 'received' | 'unique_processed' | 'duplicated_dropped' | 'conflicts'): number =>
    after[name]! - before[name]!;
  assert.deepEqual(
    [grown('received'), grown('unique_processed'), grown('duplicated_dropped'), grown('conflicts')],
    [4, 3, 1, 0],
  );
  assert.equal(after.topics.length, before.topics.length + 2);
});

test('an event that is no longer kept is told from one that never was [RET-20]', async (t) => {
  const store = new MemoryStore();
  const forgetful = await TestServer.startOn(t, () => store);
  await using chronicle = new ChronicleWeaver({ url: forgetful.url, source: 'shop' });
  const { event_id, offset } = await chronicle.publish({ topic: 'orders', payload: {} });
  const stored = await chronicle.find('orders', event_id);
  await store.retention.erase('orders', event_id, false);
  await assert.rejects(chronicle.find('orders', event_id), {
    name: 'ProblemError',
    code: 'event_expired',
    offset,
    receivedAt: stored?.received_at,
  });
  assert.equal(await chronicle.find('orders', 'another'), undefined);
});
