import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import { TestServer } from '../packages/aggregator/test/support/server.ts';
import {
  OriginalClient,
  type OriginalStats,
  originalEvent,
  originalEvents,
} from './support/original-client.ts';

const TIMEOUT = { timeout: 120_000 };

/** For a service in this process: a separate one costs five times as much, and proves nothing more here. */
async function client(t: TestContext): Promise<OriginalClient> {
  return new OriginalClient((await TestServer.start(t)).url);
}

test('the root and the health check answer as the original did [SYS-1]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  assert.deepEqual(await aggregator.get('/'), { message: 'ChronicleWeaver is running...' });
  assert.deepEqual(await aggregator.get('/health'), { message: 'healthy' });
});

test('an empty log has empty books [READ-1, SYS-3]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  assert.deepEqual(await aggregator.events(), { count: 0, events: [] });
  assert.deepEqual(await aggregator.events('never-published'), { count: 0, events: [] });
  const { received, unique_processed, duplicated_dropped, topics } = await aggregator.stats();
  assert.deepEqual(
    { received, unique_processed, duplicated_dropped, topics },
    { received: 0, unique_processed: 0, duplicated_dropped: 0, topics: [] },
  );
});

test('the counts of the statistics are those of the events [P-5, SYS-3]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const topics = ['user-actions', 'system-events', 'payments'];
  const events = originalEvents(90, (i) => ({ topic: topics[i % 3]! }));
  for (let i = 0; i < events.length; i += 15) await aggregator.publish(...events.slice(i, i + 15));
  await aggregator.publish(...events.filter((_, i) => i % 5 === 0));

  const stats = await aggregator.stats();
  assert.equal(stats.received, 108);
  assert.equal(stats.unique_processed, 90);
  assert.equal(stats.duplicated_dropped, 18);
  assert.deepEqual(stats.topics.toSorted(), topics.toSorted());
  assert.equal((await aggregator.events()).count, stats.unique_processed);
  let ofTopics = 0;
  for (const topic of stats.topics) {
    const { count, events } = await aggregator.events(topic);
    assert.equal(events.length, count);
    assert.ok(events.every((event) => event.topic === topic));
    ofTopics += count;
  }
  assert.equal(ofTopics, stats.unique_processed);
});

test('a published event is seen by the next read [READ-10]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  for (let i = 1; i <= 50; i++) {
    await aggregator.publish(originalEvent({ event_id: `event-${i}` }));
    assert.equal((await aggregator.events()).count, i);
    assert.equal((await aggregator.stats()).unique_processed, i);
  }
});

test('the books balance at every look while many publish [P-5]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const done = new AbortController();
  const watch = async () => {
    let received = 0;
    while (!done.signal.aborted) {
      const stats = await aggregator.stats();
      assert.equal(stats.received, stats.unique_processed + stats.duplicated_dropped);
      assert.ok(stats.received >= received, 'the count of received events went back');
      const { count, events } = await aggregator.events('busy');
      assert.equal(count, events.length);
      assert.ok(count >= stats.unique_processed, 'an event in the books is missing');
      received = stats.received;
    }
  };
  const publish = async (_: unknown, publisher: number) => {
    for (let round = 0; round < 10; round++) {
      // Every event is sent by two publishers.
      const ids = Array.from({ length: 20 }, (_, i) => `${publisher >> 1}/${round}/${i}`);
      await aggregator.publish(...ids.map((event_id) => originalEvent({ event_id, topic: 'busy' })));
    }
  };
  const publishers = Promise.all(Array.from({ length: 8 }, publish)).finally(() => done.abort());
  await Promise.all([publishers, watch()]);
  const stats = await aggregator.stats();
  assert.equal(stats.received, 1600);
  assert.equal(stats.unique_processed, 800);
  assert.equal(stats.duplicated_dropped, 800);
});

test('a refused batch leaves no trace in the books [P-3, P-6]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  await aggregator.publish(originalEvent());
  const books = async () => {
    // These also change by themselves: the size when the service tidies its file.
    const stats: OriginalStats & { stored_bytes?: number } = await aggregator.stats();
    const { uptime: _uptime, stored_bytes: _size, ...books } = stats;
    return books;
  };
  const before = await books();
  const refused = await aggregator.send({
    events: [originalEvent({ event_id: 'event-002', topic: 'new' }), originalEvent({ topic: '' })],
  });
  assert.equal(refused.status, 422);
  assert.deepEqual(await books(), before);
  assert.equal((await aggregator.events('new')).count, 0);
});

test('an empty batch succeeds with zero events [PUB-4]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const answer = await aggregator.publish();
  assert.equal(answer.message, 'Published 0 events');
  assert.equal((await aggregator.stats()).received, 0);
});

test('the uptime counts whole seconds since the start [SYS-3]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const { uptime: first } = await aggregator.stats();
  await sleep(1100);
  const { uptime: second } = await aggregator.stats();
  assert.ok(Number.isInteger(first) && Number.isInteger(second));
  assert.ok(second > first && second < first + 10, `${first} s, then ${second} s`);
});
