import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TestServer } from '../packages/aggregator/test/support/server.ts';
import { OriginalClient, type OriginalEvent, asOriginal, originalEvents } from './support/original-client.ts';

/** Bounds the test in case it hangs; the benchmarks measure the speed. */
const WITHIN_MS = 60_000;
const TIMEOUT = { timeout: 3 * WITHIN_MS };

/** For a service in this process: a separate one costs five times as much, and proves nothing more here. */
async function client(t: TestContext): Promise<OriginalClient> {
  return new OriginalClient((await TestServer.start(t)).url);
}

function batches(events: readonly OriginalEvent[], size: number): OriginalEvent[][] {
  return Array.from({ length: Math.ceil(events.length / size) }, (_, i) =>
    events.slice(i * size, (i + 1) * size),
  );
}

/** 4000 events and repeats of 1000 of them, spread among the others: the original's stress test. */
function stressEvents(): { unique: OriginalEvent[]; sent: OriginalEvent[] } {
  const unique = originalEvents(4000, (i) => ({ topic: `topic-${i % 5}`, source: `publisher-${i % 3}` }));
  const sent = unique.flatMap((event, i) => (i % 4 === 3 ? [event, unique[i >> 1]!] : [event]));
  assert.equal(sent.length, 5000);
  return { unique, sent };
}

async function check(aggregator: OriginalClient, unique: readonly OriginalEvent[]): Promise<void> {
  const stats = await aggregator.stats();
  assert.equal(stats.received, 5000);
  assert.equal(stats.unique_processed, 4000);
  assert.equal(stats.duplicated_dropped, 1000);
  const { count, events } = await aggregator.events();
  assert.equal(count, 4000);
  const byId = new Map(events.map((event) => [event.event_id, asOriginal(event)]));
  assert.equal(byId.size, 4000);
  for (const event of unique) assert.deepEqual(byId.get(event.event_id), event);
}

test(
  '5000 events in batches of 100, a fifth of them duplicates, are counted correctly [P-2, P-5]',
  TIMEOUT,
  async (t) => {
    const aggregator = await client(t);
    const { unique, sent } = stressEvents();
    const start = performance.now();
    for (const batch of batches(sent, 100)) {
      const answer = await aggregator.publish(...batch);
      assert.equal(answer.message, `Published ${batch.length} events`);
    }
    const tookMs = performance.now() - start;
    t.diagnostic(`${Math.round(tookMs)} ms`);
    assert.ok(tookMs < WITHIN_MS, `${tookMs} ms`);
    await check(aggregator, unique);
  },
);

test('the same from ten publishers at once [P-2, P-5]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const { unique, sent } = stressEvents();
  const work = batches(sent, 50);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      for (let batch = work.shift(); batch !== undefined; batch = work.shift()) {
        await aggregator.publish(...batch);
      }
    }),
  );
  const tookMs = performance.now() - start;
  t.diagnostic(`${Math.round(tookMs)} ms`);
  assert.ok(tookMs < WITHIN_MS, `${tookMs} ms`);
  await check(aggregator, unique);
});

test('5000 events in one batch are stored in the order sent [P-3, P-4]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const { unique, sent } = stressEvents();
  assert.equal((await aggregator.publish(...sent)).message, 'Published 5000 events');
  assert.deepEqual((await aggregator.events()).events.map(asOriginal), unique);
  await check(aggregator, unique);
});

test('500 publishes of one event each, many at once, are each answered [P-1]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const events = originalEvents(500);
  const start = performance.now();
  await Promise.all(events.map((event) => aggregator.publish(event)));
  const tookMs = performance.now() - start;
  t.diagnostic(`${Math.round(tookMs)} ms`);
  assert.ok(tookMs < WITHIN_MS, `${tookMs} ms`);
  assert.equal((await aggregator.events()).count, 500);
});
