import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { startAggregator } from '../../../src/aggregator.ts';
import { readConfig } from '../../../src/config.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { StillHeldError, StoreError } from '../../../src/store/event-store.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { Group } from '../../support/group.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { TestClock } from '../../support/stores.ts';

const HOUR_MS = 3_600_000;
const JSON_TYPE = { 'content-type': 'application/json' };

async function start(t: TestContext) {
  const clock = new TestClock(Date.parse('2026-01-01T00:00:00Z'));
  const store = new MemoryStore(clock.now);
  const server = await TestServer.startOn(t, () => store, {}, {}, { now: clock.now });
  const ask = (path: string): Promise<Response> => fetch(server.url + path, { method: 'DELETE' });
  return { server, store, clock, ask };
}

test('a topic is truncated before an offset or a time, past groups, and other topics stay [RET-15]', async (t) => {
  const { server, clock, ask } = await start(t);
  await server.publish(...manyEvents(3), eventWith({ topic: 'other' }));
  clock.ms += HOUR_MS;
  await server.publish(eventWith({ event_id: 'e-4' }), eventWith({ event_id: 'e-5' }));
  await new Group(server.url).make();
  const bytes = (await server.get<{ topics: { bytes: number }[] }>('/topics')).topics[0]!.bytes / 5;
  const truncate = async (before: string): Promise<unknown> => {
    const response = await ask(`/topics/orders?before=${before}`);
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  };
  assert.deepEqual(await truncate('3'), { topic: 'orders', events: 2, bytes: 2 * bytes, first_offset: 3 });
  assert.deepEqual(await truncate('3'), { topic: 'orders', events: 0, bytes: 0, first_offset: 3 });
  assert.deepEqual(await truncate('2026-01-01'), { topic: 'orders', events: 0, bytes: 0, first_offset: 3 });
  assert.deepEqual(await truncate('2026-01-01T01:00:00Z'), {
    topic: 'orders',
    events: 1,
    bytes,
    first_offset: 5,
  });
  assert.equal((await server.publish(eventWith())).duplicates, 1);
  assert.deepEqual(await truncate('7'), { topic: 'orders', events: 2, bytes: 2 * bytes, first_offset: null });
  const { events } = await server.events();
  assert.deepEqual(events.map(({ topic, offset }) => [topic, offset]), [['other', 4]]); // prettier-ignore
});

test('what cannot be truncated or erased is refused, and nothing expires [RET-15, RET-16, P-6]', async (t) => {
  const { server, ask } = await start(t);
  await server.publish(...manyEvents(3));
  for (const [path, status, code] of [
    ['/topics/orders?before=5', 409, 'cursor_beyond_end'],
    ['/topics/orders?before=2026-01-01T00:00:01Z', 409, 'cursor_beyond_end'],
    ['/topics/none?before=1', 404, 'event_not_found'],
    ['/topics/orders', 422, 'invalid_parameter'],
    ['/topics/orders?before=', 422, 'invalid_parameter'],
    ['/topics/orders?before=-1', 422, 'invalid_parameter'],
    ['/topics/orders?before=latest', 422, 'invalid_parameter'],
    ['/topics/orders?before=2026-02-30', 422, 'invalid_parameter'],
    ['/topics/orders?before=1&before=2', 422, 'invalid_parameter'],
    ['/topics/orders?before=1&forget=true', 422, 'invalid_parameter'],
    ['/events/orders/none', 404, 'event_not_found'],
    ['/events/none/e-1?forget=true', 404, 'event_not_found'],
    ['/events/orders/e-1?forget=1', 422, 'invalid_parameter'],
    ['/events/orders/e-1?before=1', 422, 'invalid_parameter'],
    ['/events', 405, 'method_not_allowed'],
    ['/topics', 405, 'method_not_allowed'],
  ] as const) {
    await problemIn(await ask(path), status, code);
  }
  assert.equal((await server.stats()).expired, 0);
});

test('an event is erased and its id stays, unless it is to be forgotten [RET-7, RET-16]', async (t) => {
  const { server, ask } = await start(t);
  await server.publish(...manyEvents(2, (i) => ({ event_id: `e/${i + 1}` })));
  const erase = async (path: string): Promise<unknown> => (await ask(path)).json();
  const received_at = '2026-01-01T00:00:00.000Z';
  const erased = {
    topic: 'orders',
    event_id: 'e/1',
    offset: 1,
    received_at,
    was_kept: true,
    forgotten: false,
  };
  assert.deepEqual(await erase('/events/orders/e%2F1'), erased);
  assert.deepEqual(await erase('/events/orders/e%2F1'), { ...erased, was_kept: false });
  await problemIn(await fetch(`${server.url}/events/orders/e%2F1`), 410, 'event_expired');
  assert.equal((await server.publish(eventWith({ event_id: 'e/1' }))).duplicates, 1);
  const forgotten = { ...erased, was_kept: false, forgotten: true };
  assert.deepEqual(await erase('/events/orders/e%2F1?forget=true'), forgotten);
  await problemIn(await fetch(`${server.url}/events/orders/e%2F1`), 404, 'event_not_found');
  await problemIn(await ask('/events/orders/e%2F1'), 404, 'event_not_found');
  assert.equal((await server.publish(eventWith({ event_id: 'e/1' }))).results![0]!.offset, 3);
});

test('while something holds the bytes of an erased event, the answer is 503, and it may be sent again [RET-16]', async (t) => {
  const { server, store, ask } = await start(t);
  await server.publish(eventWith());
  const erase = store.retention.erase.bind(store.retention);
  store.retention.erase = async (...of) => {
    store.retention.erase = erase;
    await erase(...of);
    throw new StillHeldError('a backup reads the file');
  };
  const held = await ask('/events/orders/e-1');
  assert.equal(held.headers.get('retry-after'), '1');
  const { detail } = await problemIn(held, 503, 'store_unavailable');
  assert.match(
    detail,
    /^a backup reads the file; nobody is shown the event any more: send the request again/,
  );
  assert.equal((await ask('/events/orders/e-1')).status, 200);
});

test('while the store cannot erase, the answer is 503, and does not say that it was done [RET-16]', async (t) => {
  const { server, store, ask } = await start(t);
  await server.publish(eventWith());
  store.retention.erase = () => Promise.reject(new StoreError('blocked', 'no database answers'));
  const { detail } = await problemIn(await ask('/events/orders/e-1'), 503, 'store_unavailable');
  assert.equal(detail, 'no database answers; send the request again, whether or not the event was erased');
});

test('the log says who changed a policy, truncated or erased what, and never a payload or a forgotten id, at any LOG_LEVEL [RET-17]', async (t) => {
  const keys = new TestKeys(t, {
    boss: { scopes: ['admin', 'publish'] },
    other: { scopes: ['publish', 'read'] },
  });
  const lines: string[] = [];
  const log = pino(
    { level: 'fatal', base: null, timestamp: false },
    { write: (line: string) => void lines.push(line) },
  );
  const config = readConfig({ APP_PORT: '0', API_KEYS_FILE: keys.path });
  const service = await startAggregator(config, log, { store: new MemoryStore() });
  t.after(() => service.close());
  const ask = (key: string, method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(service.url + path, {
      method,
      headers: { ...withKey(key), ...(body !== undefined && JSON_TYPE) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const payload = { message: 'a secret of somebody' };
  const events = manyEvents(5, (i) => ({ event_id: `person-${i + 1}`, payload }));
  await ask('boss', 'POST', '/publish', { events });
  const begun = lines.length;
  const policy = { topics: ['x'], max_age: '1w' };
  for (const [method, path, body] of [
    ['PUT', '/retention/p', policy],
    ['DELETE', '/topics/orders?before=2', undefined],
    ['DELETE', '/events/orders/person-2', undefined],
    ['DELETE', '/events/orders/person-3?forget=true', undefined],
  ] as const) {
    await problemIn(await ask('other', method, path, body), 403, 'forbidden');
    assert.ok((await ask('boss', method, path, body)).ok);
  }
  for (const [method, path, body] of [
    ['PUT', '/retention/p', policy],
    ['PUT', '/retention/p?dry_run=true', { ...policy, max_age: '1d' }],
    ['DELETE', '/retention/p', undefined],
  ] as const)
    assert.ok((await ask('boss', method, path, body)).ok);
  const told = lines.slice(begun).map((line) => JSON.parse(line) as Record<string, unknown>);
  const bytes = told[1]!['bytes'];
  assert.ok(typeof bytes === 'number' && bytes > 0);
  const definition = { topics: ['x'], keep: 'events', max_age: '7d', max_bytes: null, max_events: null, ids: 'forever', past_groups: false, held_max: null }; // prettier-ignore
  const by = { level: 30, audit: true, key: 'boss' };
  assert.deepEqual(told, [
    { ...by, policy: 'p', definition, msg: 'a policy was set' },
    { ...by, topic: 'orders', before: '2', events: 1, bytes, msg: 'a topic was truncated' },
    { ...by, topic: 'orders', event_id: 'person-2', forgotten: false, offset: 2, was_kept: true, msg: 'an event was erased' },
    { ...by, topic: 'orders', forgotten: true, offset: 3, was_kept: true, msg: 'an event was erased' },
    { ...by, policy: 'p', msg: 'a policy was removed' },
  ]); // prettier-ignore
});
