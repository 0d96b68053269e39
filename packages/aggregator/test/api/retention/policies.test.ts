import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { Group } from '../../support/group.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { Policies } from '../../support/policies.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { TestClock } from '../../support/stores.ts';
import { until } from '../../support/until.ts';

const DAY_MS = 86_400_000;

async function start(t: TestContext, env: Record<string, string> = {}) {
  const clock = new TestClock(Date.parse('2026-01-01T00:00:00Z'));
  const store = new MemoryStore(clock.now);
  const server = await TestServer.startOn(t, () => store, env, {}, { now: clock.now, tickMs: 3_600_000 });
  return { server, store, clock, policies: new Policies(server) };
}

async function bodyOf(response: Response, status: number): Promise<unknown> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  return JSON.parse(text) as unknown;
}

test('a policy is created once, shown in one spelling, replaced and removed [RET-1, RET-10]', async (t) => {
  const { policies } = await start(t);
  const sent = { topics: ['orders.>', 'bills', 'bills'], max_age: 'P4W', max_bytes: '10GB', ids: '8w' };
  const shown = {
    name: 'orders',
    topics: ['orders.>', 'bills'],
    keep: 'events',
    max_age: '28d',
    max_bytes: 10_000_000_000,
    max_events: null,
    ids: '56d',
    past_groups: false,
    held_max: null,
  };
  assert.deepEqual(await bodyOf(await policies.put('orders', sent), 201), shown);
  assert.deepEqual(await bodyOf(await policies.put('orders', sent), 200), shown);
  const { name: _, ...again } = shown;
  assert.deepEqual(await bodyOf(await policies.put('orders', again), 200), shown);
  assert.deepEqual(await bodyOf(await policies.get(), 200), { count: 1, policies: [shown] });
  const changed = { ...again, max_events: 5, held_max: '1h', ids: 'forever' };
  assert.deepEqual(await bodyOf(await policies.put('orders', changed), 200), { name: 'orders', ...changed });
  const { exceptions, kept, expired, due, held_by, last_run, ...policy } = (await bodyOf(
    await policies.get('orders'),
    200,
  )) as Record<string, unknown>;
  assert.deepEqual(policy, { name: 'orders', ...changed });
  const none = { events: 0, bytes: 0 };
  assert.deepEqual([exceptions, kept, expired, due, held_by, last_run], [[], none, 0, none, [], null]);
  assert.equal((await policies.delete('orders')).status, 204);
  await problemIn(await policies.delete('orders'), 404, 'policy_not_found');
  await problemIn(await policies.get('orders'), 404, 'policy_not_found');
});

test('a policy that cannot be obeyed is refused with every field that is wrong, and changes nothing [RET-11, P-6]', async (t) => {
  const { policies } = await start(t);
  const topics = ['a'];
  for (const [body, ...fields] of [
    [{ topics }, 'max_age'],
    [{ topics, ids: '1d' }, 'max_age', 'ids'],
    [{ topics, past_groups: true, held_max: null }, 'max_age'],
    [{ topics, max_age: '0d' }, 'max_age'],
    [{ topics, max_age: '-1d' }, 'max_age'],
    [{ topics, max_age: '1 day' }, 'max_age'],
    [{ topics, max_age: 'NaN', max_bytes: '1e9', ids: 'P1M', held_max: '' }, 'max_age', 'max_bytes', 'ids', 'held_max'], // prettier-ignore
    [{ topics, max_age: 90 }, 'max_age'],
    [{ topics, max_events: 0 }, 'max_events'],
    [{ topics, max_events: -1 }, 'max_events'],
    [{ topics, max_events: 1.5 }, 'max_events'],
    [{ topics, max_bytes: 0 }, 'max_bytes'],
    [{ topics, max_bytes: '0' }, 'max_bytes'],
    [{ topics: ['a', 'x.>.y', ''], max_age: '1d' }, 'topics', 'topics'],
    [{ topics: [], max_age: '1d' }, 'topics'],
    [{ max_age: '1d' }, 'topics'],
    [{ topics, max_age: '2d', ids: '1d' }, 'ids'],
    [{ topics, max_bytes: 9, ids: '1d' }, 'ids'],
    [{ topics, max_age: '1d', past_groups: true, held_max: '1h' }, 'held_max'],
    [{ topics, keep: 'ids', max_age: '1d', max_events: 1, max_bytes: 1 }, 'max_age', 'max_bytes', 'max_events'], // prettier-ignore
    [{ topics, keep: 'ids', past_groups: true }, 'past_groups'],
    [{ topics, keep: 'ids', held_max: '1h' }, 'held_max'],
    [{ topics, keep: 'keys' }, 'keep'],
    [{ topics, max_age: '1d', maxage: '1d' }, 'maxage'],
  ] as const) {
    for (const query of ['', '?dry_run=true']) {
      const problem = await problemIn(await policies.put('p', body, query), 422, 'invalid_parameter');
      assert.deepEqual(problem.errors?.map(({ field }) => field), [...fields], JSON.stringify(problem)); // prettier-ignore
    }
  }
  await problemIn(await policies.put('p', '{'), 400, 'invalid_json');
  await problemIn(await policies.put('.p', { topics, max_age: '1d' }), 422, 'invalid_parameter');
  await problemIn(await policies.put('p', { topics, max_age: '1d' }, '?dry_run=1'), 422, 'invalid_parameter');
  assert.deepEqual(await bodyOf(await policies.get(), 200), { count: 0, policies: [] });
});

test('a policy that overlaps another one is refused and names it, in a dry run too [RET-2, RET-11]', async (t) => {
  const { policies } = await start(t);
  await policies.put('orders', { topics: ['orders.>'], max_age: '1d' });
  for (const query of ['', '?dry_run=true']) {
    const problem = await problemIn(
      await policies.put('eu', { topics: ['x', '*.eu'], max_age: '1d' }, query),
      409,
      'policy_overlaps',
    );
    assert.match(
      problem.detail,
      /^"\*\.eu" overlaps "orders\.>" of the policy orders, and neither lies within the other: /,
    );
    assert.equal(problem.errors![0]!.field, 'topics');
    const same = await policies.put('again', { topics: ['orders.>'], max_age: '2d' }, query);
    const { detail } = await problemIn(same, 409, 'policy_overlaps');
    assert.match(detail, /^"orders\.>" is a pattern of the policy orders, too: so it is not clear/);
  }
});

test('a rule for all topics and an exception to it stand beside each other, in any order [RET-2, RET-12, RET-13]', async (t) => {
  const { server, policies, clock } = await start(t);
  await server.publish(...manyEvents(6, (i) => ({ topic: i % 2 === 0 ? 'orders.eu' : 'logs' })));
  clock.ms += DAY_MS;
  const rule = { topics: ['>'], max_age: '1h' };
  const eventsGoing = async (name: string, body: object) =>
    ((await bodyOf(await policies.preview(name, body), 200)) as { events: number }).events;
  assert.equal(await eventsGoing('all', rule), 6);
  assert.equal((await policies.put('orders', { topics: ['orders.*'], max_age: '30d' })).status, 201);
  assert.equal(await eventsGoing('all', rule), 3);
  assert.equal(await eventsGoing('eu', { topics: ['orders.eu'], max_events: 1 }), 2);
  assert.equal((await policies.put('all', rule)).status, 201);
  assert.equal((await policies.put('eu', { topics: ['orders.eu'], max_events: 2 })).status, 201);
  await until(
    () => 'two policies were obeyed',
    async () => (await server.stats()).expired === 4,
  );
  const stateOf = async (name: string) =>
    (await bodyOf(await policies.get(name), 200)) as {
      exceptions: string[];
      kept: { events: number };
      expired: number;
    };
  const states = await Promise.all(['all', 'orders', 'eu'].map(stateOf));
  assert.deepEqual(states.map(({ exceptions, kept, expired }) => [exceptions, kept.events, expired]), [
    [['eu', 'orders'], 0, 3],
    [['eu'], 0, 0],
    [[], 2, 1],
  ]); // prettier-ignore
});

test('policies are for keys with the scope admin [KEY-3, RET-10]', async (t) => {
  const keys = new TestKeys(t, { boss: { scopes: ['admin'] }, other: { scopes: ['publish', 'read'] } });
  const { server } = await start(t, { API_KEYS_FILE: keys.path });
  const other = new Policies(server, withKey('other'));
  const body = { topics: ['a'], max_age: '1d' };
  for (const answer of [
    await other.put('p', body),
    await other.get(),
    await other.get('p'),
    await other.delete('p'),
  ])
    // prettier-ignore
    await problemIn(answer, 403, 'forbidden');
  assert.equal((await new Policies(server, withKey('boss')).put('p', body)).status, 201);
});

test('a dry run stores nothing and tells what would go, what would stay, and who would hold it up [RET-12]', async (t) => {
  const { server, clock, policies } = await start(t);
  for (let i = 1; i <= 4; i++) {
    await server.publish(eventWith({ event_id: `${i}`, topic: i === 2 ? 'other' : 'a' }));
    clock.ms += DAY_MS;
  }
  const bytes = (await server.get<{ topics: { bytes: number }[] }>('/topics')).topics[0]!.bytes / 3;
  const preview = async (bounds: object): Promise<unknown> =>
    bodyOf(await policies.preview('p', { topics: ['a'], ...bounds }), 200);
  const third = { offset: 3, received_at: '2026-01-03T00:00:00.000Z' };
  const first = { offset: 1, received_at: '2026-01-01T00:00:00.000Z' };
  const wouldGo = { events: 1, bytes, up_to: 1, oldest_kept: third, held_by: [] };
  assert.deepEqual(await preview({ max_age: '2d' }), wouldGo);
  assert.deepEqual(await preview({ max_age: '1s' }), {
    events: 3,
    bytes: 3 * bytes,
    up_to: 4,
    oldest_kept: null,
    held_by: [],
  });
  const nothing = { events: 0, bytes: 0, up_to: null, oldest_kept: first, held_by: [] };
  assert.deepEqual(await preview({ max_age: '4d' }), nothing);
  assert.deepEqual(await preview({ keep: 'ids' }), nothing);

  const group = new Group(server.url, 'workers');
  await group.make({ topics: ['a'] });
  const delivered = await group.pull({ max: 1 });
  assert.deepEqual(await preview({ max_age: '1d' }), {
    ...nothing,
    held_by: [{ group: 'workers', since: '2026-01-02T00:00:00.000Z', events: 2 }],
  });
  assert.deepEqual(await preview({ max_age: '2d', past_groups: true }), wouldGo);
  await group.acknowledge(delivered);
  const held = [{ group: 'workers', since: '2026-01-04T00:00:00.000Z', events: 1 }];
  assert.deepEqual(await preview({ max_age: '1d' }), { ...wouldGo, held_by: held });
  assert.equal((await server.stats()).expired, 0);
  assert.deepEqual(await bodyOf(await policies.get(), 200), { count: 0, policies: [] });
});

test('a policy is obeyed at once, and its state tells what is kept, due, held and gone [RET-13, RET-14]', async (t) => {
  const { server, clock, policies } = await start(t);
  await server.publish(eventWith({ topic: 'a' }));
  clock.ms += DAY_MS;
  await server.publish(eventWith({ topic: 'a', event_id: 'e-2' }), eventWith());
  const bytes = (await server.get<{ topics: { bytes: number }[] }>('/topics')).topics[0]!.bytes / 2;
  const stateOf = async (): Promise<Record<string, unknown>> =>
    (await bodyOf(await policies.get('p'), 200)) as Record<string, unknown>;
  await policies.put('p', { topics: ['a'], max_age: '1h' });
  await until(
    () => 'the first event has expired',
    async () => (await stateOf())['last_run'] !== null,
  );
  const { kept, expired, due, held_by, last_run } = await stateOf();
  const gone = { at: '2026-01-02T00:00:00.000Z', events: 1, bytes, ids: 0 };
  assert.deepEqual(last_run, gone);
  assert.deepEqual([kept, expired, due, held_by], [{ events: 1, bytes }, 1, { events: 0, bytes: 0 }, []]);
  await new Group(server.url, 'workers').make({ topics: ['a'] });
  clock.ms += 2 * 3_600_000;
  const held = await stateOf();
  assert.deepEqual(held['due'], { events: 1, bytes });
  assert.deepEqual(held['held_by'], [{ group: 'workers', since: '2026-01-02T01:00:00.000Z', events: 1 }]);
});
