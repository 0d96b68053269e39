import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TestServer } from '../packages/aggregator/test/support/server.ts';
import { OriginalClient, asOriginal, originalEvent, originalEvents } from './support/original-client.ts';

const TIMEOUT = { timeout: 120_000 };

/** For a service in this process: a separate one costs five times as much, and proves nothing more here. */
async function client(t: TestContext): Promise<OriginalClient> {
  return new OriginalClient((await TestServer.start(t)).url);
}

test('a publish is answered as the original answered it [PUB-2]', TIMEOUT, async (t) => {
  const response = await (
    await client(t)
  ).send({
    events: [
      {
        event_id: 'event-001',
        topic: 'user-actions',
        source: 'web-app',
        payload: { message: 'User logged in', timestamp: '2025-10-28T10:00:00Z' },
        timestamp: '2025-10-28T10:00:00Z',
      },
    ],
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  const { status, message, events_count } = (await response.json()) as Record<string, unknown>;
  assert.deepEqual(
    { status, message, events_count },
    { status: 'success', message: 'Published 1 events', events_count: 1 },
  );
});

test('an event that is sent again is dropped, and the first one stays [P-2, PUB-5]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const first = originalEvent();
  await aggregator.publish(first);
  await aggregator.publish(first);
  await aggregator.publish(
    originalEvent({ payload: { message: 'changed', timestamp: '2026-01-01T00:00:00Z' } }),
  );
  const { count, events } = await aggregator.events('user-actions');
  assert.equal(count, 1);
  assert.deepEqual(events.map(asOriginal), [first]);
  const stats = await aggregator.stats();
  assert.equal(stats.received, 3);
  assert.equal(stats.unique_processed, 1);
  assert.equal(stats.duplicated_dropped, 2);
});

test('duplicates within one batch are dropped [PUB-5]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const [a, b, c] = originalEvents(3);
  const answer = await aggregator.publish(a!, b!, a!, c!, b!, a!);
  assert.equal(answer.message, 'Published 6 events');
  const { events } = await aggregator.events();
  assert.deepEqual(
    events.map(({ event_id }) => event_id),
    ['event-1', 'event-2', 'event-3'],
  );
  assert.equal((await aggregator.stats()).duplicated_dropped, 3);
});

test('the same event id in a different topic is a different event [PUB-5]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  await aggregator.publish(originalEvent({ topic: 'orders' }), originalEvent({ topic: 'payments' }));
  assert.equal((await aggregator.events('orders')).count, 1);
  assert.equal((await aggregator.events('payments')).count, 1);
  assert.equal((await aggregator.events()).count, 2);
  assert.equal((await aggregator.stats()).duplicated_dropped, 0);
});

test('ids that differ in case or by a blank are different events [PUB-5]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  await aggregator.publish(
    ...['Event', 'event', 'event ', ' event', 'évent', 'e\u0301vent'].map((event_id) =>
      originalEvent({ event_id }),
    ),
  );
  assert.equal((await aggregator.stats()).unique_processed, 6);
});

test(
  'of many publishers that send the same events at once, exactly one gets each accepted [P-2]',
  TIMEOUT,
  async (t) => {
    const aggregator = await client(t);
    const events = originalEvents(20);
    await Promise.all(Array.from({ length: 16 }, () => aggregator.publish(...events)));
    const stored = await aggregator.events();
    assert.equal(stored.count, 20);
    assert.deepEqual(stored.events.map(asOriginal), events);
    const stats = await aggregator.stats();
    assert.equal(stats.received, 320);
    assert.equal(stats.duplicated_dropped, 300);
  },
);

test('a single event without a batch is accepted, too [PUB-1]', TIMEOUT, async (t) => {
  const aggregator = await client(t);
  const response = await aggregator.send(originalEvent());
  assert.equal(response.status, 200);
  assert.equal(((await response.json()) as { events_count: number }).events_count, 1);
  assert.equal((await aggregator.events()).count, 1);
});
