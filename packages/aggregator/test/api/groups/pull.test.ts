import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../support/events.ts';
import { type DeliveredEvent, groupWith, offsetsOf } from '../../support/group.ts';
import { problemIn } from '../../support/server.ts';

test('a pull leases events as GET /events gives them, each to one worker, in order [GRP-4, GRP-5, GRP-6]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const payload = { message: 'é 😀 "', n: 1.5, deep: [{ lease_id: 'mine', delivery: 9 }] };
  await server.publish(
    ...manyEvents(50, (i) => ({ payload: { ...payload, i }, topic: i % 2 === 0 ? 'orders.eu' : 'ü' })),
  );
  const [one, two, three] = await Promise.all([
    group.pull({ max: 20 }),
    group.pull({ max: 20 }),
    group.pull({ max: 20 }),
  ]);
  const delivered = [one, two, three].toSorted((a, b) => a[0]!.offset - b[0]!.offset).flat();
  const { events } = await server.events();
  assert.deepEqual(
    delivered.map(({ delivery: _delivery, lease_id: _leaseId, ...event }) => event),
    events,
  );
  assert.deepEqual(new Set(delivered.map(({ delivery }) => delivery)), new Set([1]));
  assert.equal(new Set(delivered.map(({ lease_id }) => lease_id)).size, 50);
  assert.deepEqual(Object.keys(delivered[0]!).slice(-2), ['delivery', 'lease_id']);
  assert.deepEqual(await group.pull(), []);
  const { in_flight, lag, cursor, deliveries } = await group.view();
  assert.deepEqual(
    { in_flight, lag, cursor, deliveries },
    { in_flight: 50, lag: 50, cursor: 0, deliveries: 50 },
  );
});

test('a pull gives one event per line to those who ask for lines, digit for digit [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const pullLines = async (body: object): Promise<Response> => {
    const headers = { accept: 'application/x-ndjson', 'content-type': 'application/json' };
    const address = `${server.url}/subscriptions/${group.name}/pull`;
    return fetch(address, { method: 'POST', headers, body: JSON.stringify(body) });
  };
  const none = await pullLines({});
  assert.equal(none.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
  assert.equal(await none.text(), '');
  const exact = JSON.stringify(eventWith({ event_id: 'exact' })).replace(
    /"payload":\{[^}]*\}/,
    '"payload":{"n":1.50,"delivery":9}',
  );
  await server.post(exact);
  await server.publish(...manyEvents(2));
  const lines = (await (await pullLines({})).text()).split('\n');
  assert.equal(lines.pop(), '');
  const { events } = await server.events();
  for (const [i, line] of lines.entries()) {
    const { delivery, lease_id, ...event } = JSON.parse(line) as DeliveredEvent;
    assert.deepEqual([event, delivery], [events[i], 1]);
    assert.ok(line.endsWith(`,"delivery":1,"lease_id":"${lease_id}"}`), line);
  }
  assert.equal(lines.length, 3);
  assert.match(lines[0]!, /"payload":\{"n":1\.50,"delivery":9\}/);
});

test('a group gets only the events on its topics, however few they are among the others [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0, topics: ['rare.*', 'one'] });
  const topicOf = (i: number): string => (i % 400 === 7 ? 'rare.x' : i === 900 ? 'one' : 'rare.x.y');
  for (let batch = 0; batch < 3; batch++) {
    await server.publish(
      ...manyEvents(1000, (i) => ({ event_id: `${batch}-${i}`, topic: topicOf(batch * 1000 + i) })),
    );
  }
  const meant = Array.from({ length: 3000 }, (_, i) => i).filter((i) => topicOf(i) !== 'rare.x.y');
  assert.equal((await group.view()).lag, meant.length);
  const first = await group.pull({ max: 3 });
  const rest = await group.pull();
  assert.deepEqual(offsetsOf([...first, ...rest]), meant.map((i) => i + 1)); // prettier-ignore
  await group.acknowledge([...first, ...rest]);
  const { lag, cursor } = await group.view();
  assert.deepEqual({ lag, cursor }, { lag: 0, cursor: 3000 });
});

test('a waiting pull is answered by the commit of an event on its topics, and by no other [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0, topics: ['orders'] });
  const waiting = Array.from({ length: 3 }, () => group.pull({ max: 1, wait_ms: 50_000 }));
  for (let i = 0; i < 5; i++) await server.publish(eventWith({ event_id: `${i}`, topic: 'other' }));
  await server.publish(
    eventWith({ event_id: 'a' }),
    eventWith({ event_id: 'b' }),
    eventWith({ event_id: 'c' }),
  );
  const events = (await Promise.all(waiting)).flat();
  assert.deepEqual(new Set(offsetsOf(events)), new Set([6, 7, 8]));
  const { cursor } = await group.view();
  assert.equal(cursor, 5);
});

test('a pull is answered with no events when its wait is over, and at once if it does not wait [GRP-4]', async (t) => {
  const { group } = await groupWith(t, { events: 0 });
  const startMs = performance.now();
  assert.deepEqual(await group.pull(), []);
  assert.deepEqual(await group.pull({ wait_ms: 150 }), []);
  assert.ok(performance.now() - startMs >= 145);
  for (const [body, field] of [
    [{ max: 0 }, 'max'],
    [{ max: 1001 }, 'max'],
    [{ wait_ms: -1 }, 'wait_ms'],
    [{ wait_ms: 55_001 }, 'wait_ms'],
    [{ wait: 1 }, 'wait'],
  ] as const) {
    const problem = await problemIn(await group.post('pull', body), 422, 'invalid_parameter');
    assert.equal(problem.errors?.[0]?.field, field);
  }
});

test('a worker that leaves while waiting holds no lease, and counts no delivery [GRP-17]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0, max_deliveries: 1 });
  for (let i = 0; i < 3; i++) {
    const left = new AbortController();
    const waiting = group.post('pull', { wait_ms: 50_000 }, left.signal);
    await sleep(300);
    left.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    // An answer under way when the worker leaves is a delivery; here the server has noticed earlier.
    await sleep(500);
    await server.publish(eventWith({ event_id: `${i}` }));
    const got = await group.pull({ wait_ms: 20_000 });
    assert.deepEqual(got.map(({ delivery }) => delivery), [1]); // prettier-ignore
    await group.acknowledge(got);
  }
  assert.equal((await group.view()).dead, 0);
});

test('a stopping server answers waiting pulls at once, with no events [GRP-17]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const waiting = Array.from({ length: 3 }, () => group.pull({ wait_ms: 50_000 }));
  await sleep(1000);
  const startMs = performance.now();
  await server.close();
  assert.deepEqual((await Promise.all(waiting)).flat(), []);
  assert.ok(performance.now() - startMs < 40_000, 'it did not wait for the pulls to end by themselves');
});

test('an answer holds about a MiB of events, or a single larger one [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const large = (i: number): Partial<Event> => ({ event_id: `${i}`, payload: { x: 'x'.repeat(400_000) } });
  for (let i = 0; i < 2; i++) await server.publish(...manyEvents(3, (j) => large(i * 3 + j)));
  await server.publish(eventWith({ event_id: 'max', payload: { x: 'x'.repeat(1_048_000) } }));
  const hands: number[][] = [];
  while (hands.flat().length < 7) hands.push(offsetsOf(await group.pull({ wait_ms: 20_000 })));
  assert.deepEqual(hands.flat(), [1, 2, 3, 4, 5, 6, 7]);
  assert.ok(hands.every((hand) => hand.length <= 2), JSON.stringify(hands)); // prettier-ignore
});
