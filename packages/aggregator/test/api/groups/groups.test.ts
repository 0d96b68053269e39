import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { eventWith, manyEvents } from '../../support/events.ts';
import { Group, groupWith, leasesOf, offsetsOf } from '../../support/group.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { until } from '../../support/until.ts';

test('a group is created once, is found by name and in the list, and a difference is reported by field [GRP-1]', async (t) => {
  const server = await TestServer.start(t);
  const group = new Group(server.url, 'billing.eu-1');
  const definition = { topics: ['orders.>', 'a'], start: 'earliest', lease_ms: 5000, max_deliveries: 3 };
  const made = await group.make(definition);
  assert.deepEqual(
    { ...made, created_at: '' },
    {
      name: 'billing.eu-1',
      ...definition,
      created_at: '',
      cursor: 0,
      lag: 0,
      in_flight: 0,
      returned: 0,
      dead: 0,
      deliveries: 0,
      redeliveries: 0,
      acknowledged: 0,
      expired: 0,
    },
  );
  const again = await group.put({ ...definition, topics: ['a', 'orders.>', 'a'] });
  assert.equal(again.status, 200);
  assert.deepEqual(await again.json(), made);
  assert.deepEqual(await group.view(), made);
  assert.deepEqual(await server.get('/subscriptions'), { count: 1, subscriptions: [made] });
  for (const change of [{ topics: ['a'] }, { start: 1 }, { lease_ms: 6000 }, { max_deliveries: 4 }]) {
    const problem = await problemIn(
      await group.put({ ...definition, ...change }),
      409,
      'subscription_differs',
    );
    assert.equal(problem.errors?.[0]?.field, Object.keys(change)[0]);
  }
  assert.deepEqual(await group.view(), made, 'a refusal changes nothing');
});

test('a group without more than topics gets the defaults [GRP-1]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...manyEvents(3));
  const group = new Group(server.url);
  const response = await group.put({ topics: ['>'] });
  assert.equal(response.status, 201);
  const { start, lease_ms, max_deliveries, cursor } = await group.view();
  assert.deepEqual(
    { start, lease_ms, max_deliveries, cursor },
    { start: 'latest', lease_ms: 30_000, max_deliveries: 5, cursor: 3 },
  );
});

test('an impossible definition is refused with its field, and creates nothing [GRP-2, ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  const group = new Group(server.url);
  const bad: [unknown, string | null, number | null][] = [
    [{}, 'topics', null],
    ['[]', null, null],
    ['"x"', null, null],
    [{ topics: [] }, 'topics', null],
    [{ topics: 'orders' }, 'topics', null],
    [{ topics: ['a', 5] }, 'topics', 1],
    [{ topics: ['a', 'b.>.c'] }, 'topics', 1],
    [{ topics: ['a', ''] }, 'topics', 1],
    [{ topics: Array.from({ length: 65 }, (_, i) => `t${i}`) }, 'topics', null],
    [{ topics: ['a'], start: 'soon' }, 'start', null],
    [{ topics: ['a'], start: -1 }, 'start', null],
    [{ topics: ['a'], start: 1.5 }, 'start', null],
    [{ topics: ['a'], start: null }, 'start', null],
    [{ topics: ['a'], start: '2025-02-30' }, 'start', null],
    [{ topics: ['a'], lease_ms: 99 }, 'lease_ms', null],
    [{ topics: ['a'], lease_ms: '5000' }, 'lease_ms', null],
    [{ topics: ['a'], max_deliveries: 0 }, 'max_deliveries', null],
    [{ topics: ['a'], leases: 5 }, 'leases', null],
    [{ topics: ['a'], ['__proto__x']: 5 }, '__proto__x', null],
  ];
  for (const [definition, field, index] of bad) {
    const problem = await problemIn(await group.put(definition), 422, 'invalid_parameter');
    const [error] = problem.errors!;
    assert.deepEqual([error!.field, error!.index], [field, index], JSON.stringify(definition));
  }
  await problemIn(await group.put('{'), 400, 'invalid_json');
  await problemIn(await group.put(`{"topics":["${'x'.repeat(1024 * 1024)}"]}`), 413, 'body_too_large');
  for (const name of ['a b', '.a', '-a', 'ü', 'a/b', 'x'.repeat(129)]) {
    const problem = await problemIn(
      await new Group(server.url, name).put({ topics: ['a'] }),
      422,
      'invalid_parameter',
    );
    assert.equal(problem.errors?.[0]?.field, 'name', name);
  }
  const plain = await fetch(`${server.url}/subscriptions/x`, { method: 'PUT', body: '{"topics":["a"]}' });
  await problemIn(plain, 415, 'unsupported_media_type');
  assert.deepEqual(await server.get('/subscriptions'), { count: 0, subscriptions: [] });
});

test('a missing group is 404, and an unsupported method 405 [GRP-1, SYS-5]', async (t) => {
  const server = await TestServer.start(t);
  const group = new Group(server.url, 'nobody');
  await problemIn(await fetch(`${server.url}/subscriptions/nobody`), 404, 'subscription_not_found');
  await problemIn(await fetch(`${server.url}/subscriptions/nobody/dead`), 404, 'subscription_not_found');
  await problemIn(await group.delete(), 404, 'subscription_not_found');
  for (const [resource, body] of [
    ['pull', {}],
    ['ack', { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] }],
    ['nack', { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] }],
    ['extend', { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] }],
    ['seek', { offset: 1 }],
    ['dead/replay', {}],
  ] as const) {
    await problemIn(await group.post(resource, body), 404, 'subscription_not_found');
  }
  const response = await fetch(`${server.url}/subscriptions/nobody/pull`);
  await problemIn(response, 405, 'method_not_allowed');
});

test('a group begins where requested, and not beyond the end [GRP-3]', async (t) => {
  const { server } = await groupWith(t, { events: 10 });
  const { events } = await server.events();
  const cases: [string | number, number][] = [
    ['earliest', 1],
    [0, 1],
    [4, 4],
    ['1999-01-01', 1],
    [events[6]!.received_at, 1],
  ];
  for (const [start, first] of cases) {
    const group = new Group(server.url, `from-${start}`.replaceAll(/[^\w-]/g, '_'));
    await group.make({ start });
    assert.equal((await group.pull({ max: 1 }))[0]!.offset, first, `${start}`);
  }
  for (const start of ['latest', 11, events[6]!.received_at.replace('Z', '0001Z')]) {
    const group = new Group(server.url, `end-${start}`.replaceAll(/[^\w-]/g, '_'));
    await group.make({ start });
    assert.equal((await group.view()).cursor, 10);
  }
  for (const start of [12, '2999-01-01']) {
    const put = await new Group(server.url, 'beyond').put({ topics: ['>'], start });
    await problemIn(put, 409, 'cursor_beyond_end');
  }
});

test("a group's counts say what became of its events [GRP-15]", async (t) => {
  const { server, group } = await groupWith(t, { events: 8, max_deliveries: 1 });
  const events = await group.pull({ max: 6 });
  await group.giveBack(events.slice(0, 1));
  await group.acknowledge(events.slice(1, 3));
  const view = await group.view();
  assert.deepEqual(
    { ...view, created_at: '' },
    {
      name: 'workers',
      topics: ['>'],
      start: 'earliest',
      lease_ms: 30_000,
      max_deliveries: 1,
      created_at: '',
      cursor: 3,
      lag: 5,
      in_flight: 3,
      returned: 0,
      dead: 1,
      deliveries: 6,
      redeliveries: 0,
      acknowledged: 2,
      expired: 0,
    },
  );
  assert.ok(Math.abs(Date.parse(view.created_at) - Date.now()) < 60_000);
  await server.restart();
  group.url = server.url;
  assert.deepEqual(await group.view(), view);
});

test('a deleted group is gone, and pulls waiting for it are refused [GRP-16]', async (t) => {
  const { server, group } = await groupWith(t, { events: 2 });
  const events = await group.pull();
  const waiting = group.post('pull', { wait_ms: 50_000 });
  await until(
    () => 'the pull waits',
    async () => (await group.view()).in_flight === 2,
  );
  await sleep(50);
  assert.equal((await group.delete()).status, 204);
  await problemIn(await waiting, 404, 'subscription_not_found');
  await group.make();
  await problemIn(await group.post('ack', leasesOf(events)), 409, 'lease_unknown');
  assert.deepEqual(offsetsOf(await group.pull()), [1, 2]);
  await server.restart();
  group.url = server.url;
  assert.equal((await group.view()).in_flight, 2);
});

test('a key creates and uses the groups whose topics lie within its own; others do not exist for it [GRP-19, KEY-4]', async (t) => {
  const keys = new TestKeys(t, {
    all: { scopes: ['read', 'publish'] },
    eu: { scopes: ['read'], topics: ['orders.eu.>', 'audit'] },
    publisher: { scopes: ['publish'] },
  });
  const server = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  const topics = ['orders.eu.de', 'orders.us', 'audit'];
  const published = await server.post(
    { events: topics.map((topic, i) => eventWith({ event_id: `${i}`, topic })) },
    withKey('all'),
  );
  assert.equal(published.status, 200);
  const groupOf = (key: string, name: string): Group => new Group(server.url, name, withKey(key));

  await problemIn(await groupOf('publisher', 'x').put({ topics: ['audit'] }), 403, 'forbidden');
  const wide = await groupOf('eu', 'x').put({ topics: ['audit', 'orders.*.de'] });
  const problem = await problemIn(wide, 403, 'forbidden_topic');
  assert.deepEqual(problem.errors!.map(({ index, field }) => [index, field]), [[1, 'topics']]); // prettier-ignore

  const own = groupOf('eu', 'own');
  await own.make({ topics: ['orders.eu.*', 'audit'] });
  assert.deepEqual(offsetsOf(await own.pull()), [1, 3]);
  const every = groupOf('all', 'every');
  await every.make({ topics: ['orders.>'] });
  const events = await every.pull();
  const hidden = groupOf('eu', 'every');
  for (const response of [
    await hidden.get(),
    await hidden.get('/dead'),
    await hidden.post('pull', {}),
    await hidden.post('ack', leasesOf(events)),
    await hidden.post('seek', { offset: 'earliest' }),
    await hidden.post('dead/replay'),
    await hidden.delete(),
  ]) {
    await problemIn(response, 404, 'subscription_not_found');
  }
  const listed = async (key: string): Promise<string[]> => {
    const response = await fetch(`${server.url}/subscriptions`, { headers: withKey(key) });
    return ((await response.json()) as { subscriptions: { name: string }[] }).subscriptions.map(
      ({ name }) => name,
    );
  };
  assert.deepEqual(await listed('eu'), ['own']);
  assert.deepEqual(await listed('all'), ['every', 'own']);
  await every.acknowledge(events);
});
