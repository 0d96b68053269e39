import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AUDIT_ACTIONS } from '../../../src/store/audit-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { VERSION } from '../../../src/version.ts';
import { Document } from '../../support/api-document.ts';
import { eventWith } from '../../support/events.ts';
import { Group } from '../../support/group.ts';
import { ask, withKeys } from '../../support/keyed-server.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { scraped } from '../../support/metrics.ts';
import { Policies } from '../../support/policies.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { TestSources } from '../../support/sources.ts';
import { TestClock } from '../../support/stores.ts';

const ON = { AUDIT: 'true' };

interface Entry {
  number: number;
  at: string;
  action: string;
  topic: string | null;
  event_id: string | null;
  offset: number | null;
  key: string | null;
  [detail: string]: unknown;
}

interface Page {
  count: number;
  entries: Entry[];
  next: number | null;
}

type Counts = Record<string, number>;
interface Summary {
  from: string | null;
  to: string | null;
  counts: Counts;
  periods?: { at: string; counts: Counts }[];
}

/** The counts that are not zero. */
function some(counts: Counts): Counts {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** The newest entries of these actions, without what differs from run to run. */
async function told(server: TestServer, query: string, headers = {}): Promise<object[]> {
  const response = await fetch(`${server.url}/audit${query}`, { headers });
  assert.equal(response.status, 200, await response.clone().text());
  const { entries } = (await response.json()) as Page;
  return entries.map(({ number: _number, at: _at, ...entry }) => entry);
}

test('without AUDIT there is no trail, and the answer says what to set [AUD-1]', async (t) => {
  const store = new MemoryStore();
  const server = await TestServer.startOn(t, () => store);
  await server.publish(eventWith());
  for (const path of ['/audit', '/audit/summary', '/audit?action=dead']) {
    const { detail } = await problemIn(await fetch(server.url + path), 404, 'audit_off');
    assert.match(detail, /AUDIT=true/);
  }
  assert.deepEqual(await store.audit.extent(), { records: 0, oldestMs: null });
  assert.equal((await scraped(server.url)).series.has('chronicleweaver_store_audit_records'), false);
});

test('every answer about the trail matches its schema in the document [SYS-4]', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore(), ON);
  const document = await Document.of(server);
  await server.publish(eventWith(), eventWith({ source: 'app' }));
  await server.post('nothing');
  const group = new Group(server.url);
  await group.make();
  await group.acknowledge(await group.pull());
  await fetch(`${server.url}/topics/orders?before=2`, { method: 'DELETE' });
  await fetch(`${server.url}/events/orders/e-1`, { method: 'DELETE' });
  const checked = new Set<string>();
  for (const address of [
    '/audit',
    '/audit?limit=1',
    '/audit?action=accepted&action=dead&topic=orders&event_id=e-1',
    '/audit?limit=0',
    '/audit/summary',
    '/audit/summary?by=hour',
    '/audit/summary?by=day&from=2026-01-01&to=2026-02-01',
    '/audit/summary?by=week',
  ]) {
    const [path] = address.split('?', 1) as [string];
    checked.add(await document.check('get', path, await fetch(server.url + address)));
  }
  const off = await TestServer.startOn(t, () => new MemoryStore());
  const keys = new TestKeys(t, {
    reader: { scopes: ['read'] },
    slow: { scopes: ['admin'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.startOn(t, () => new MemoryStore(), { API_KEYS_FILE: keys.path });
  await ask(guarded, '/stats', 'slow');
  for (const path of ['/audit', '/audit/summary']) {
    checked.add(await document.check('get', path, await fetch(off.url + path)));
    for (const key of [undefined, 'reader', 'slow'])
      checked.add(await document.check('get', path, await ask(guarded, path, key)));
  }
  // What the store refuses is the same for all resources (unavailable.test.ts).
  const expected = document
    .answers((path) => path.startsWith('/audit'))
    .filter(({ status }) => status !== '500' && status !== '503');
  assert.deepEqual(
    [...checked].toSorted(),
    expected.map(({ method, path, status }) => `${method} ${path} ${status}`).toSorted(),
  );
});

test('a published event, its repeats and its way through a group are told [AUD-2] [AUD-3]', async (t) => {
  const { server } = await withKeys(
    t,
    { till: { scopes: ['publish', 'read'] }, ops: { scopes: ['admin'] } },
    ON,
  );
  const ops = withKey('ops');
  const publish = (...events: object[]) => server.post({ events }, withKey('till'));
  await publish(eventWith());
  await publish(eventWith(), eventWith({ source: 'app' }));
  const group = new Group(server.url, 'workers', withKey('till'));
  await group.make();
  await group.acknowledge(await group.pull());
  const event = { topic: 'orders', event_id: 'e-1', offset: 1 };
  const ofGroup = { ...event, key: null, group: 'workers', delivery: 1 };
  const entries = [
    { action: 'acknowledged', ...ofGroup },
    { action: 'delivered', ...ofGroup },
    { action: 'conflict', ...event, key: 'till' },
    { action: 'dropped', ...event, key: 'till' },
    { action: 'accepted', ...event, key: 'till' },
  ];
  assert.deepEqual(await told(server, '?topic=orders', ops), entries);
  assert.deepEqual(await told(server, '?topic=orders&event_id=e-1', ops), entries);
  assert.deepEqual(await told(server, '?action=started', ops), [
    { action: 'started', topic: null, event_id: null, offset: null, key: null, version: VERSION },
  ]);
});

test('refused publishes are told, alike ones together, and nothing else that is refused [AUD-4]', async (t) => {
  const { server } = await withKeys(
    t,
    { till: { scopes: ['publish'], topics: ['orders'] }, ops: { scopes: ['admin'] } },
    ON,
  );
  const till = withKey('till');
  for (let i = 0; i < 3; i++) await server.post({ events: [eventWith({ topic: 'bills' })] }, till);
  await server.post({ events: [eventWith({ topic: 'orders', event_id: '' })] }, till);
  await server.post({ events: [] });
  // Lines and CloudEvents go another way.
  await server.post('{"x":1}\n', { ...till, 'content-type': 'application/x-ndjson' });
  const type = { 'content-type': 'application/cloudevents+json' };
  await server.post('{}', { ...till, ...type }, '/topics/orders/cloudevents');
  await fetch(`${server.url}/events`, { headers: till });
  // A restart writes what was gathered.
  await server.restart();
  const refused = (code: string, key: string | null, count: number, topic: string | null = null) => {
    return { action: 'refused', topic, event_id: null, offset: null, key, count, code };
  };
  const ops = withKey('ops');
  assert.deepEqual((await told(server, '?action=refused', ops)).toReversed(), [
    refused('forbidden_topic', 'till', 3, 'bills'),
    refused('invalid_event', 'till', 2),
    refused('unauthorized', null, 1),
    refused('invalid_event', 'till', 1, 'orders'),
  ]);
  assert.equal((await told(server, '?action=refused&topic=b*', ops)).length, 0);
  assert.equal((await told(server, '?action=refused&topic=*', ops)).length, 2);
  const { counts } = (await (await ask(server, '/audit/summary', 'ops')).json()) as Summary;
  assert.deepEqual(some(counts), { refused: 7, started: 2 });
});

test('a refusal at any address that takes publishes is told, and at no other [AUD-4]', async (t) => {
  const { server } = await withKeys(t, { till: { scopes: ['publish'] }, ops: { scopes: ['admin'] } }, ON);
  const others = [
    '/publishes',
    '/in/',
    '/in/a/b',
    '/v1/logs/x',
    '/subscriptions/a/pull',
    '/topics/a/b/cloudevents',
  ];
  for (const address of others) await server.post('{', withKey('till'), address);
  for (const method of ['GET', 'HEAD', 'PUT']) {
    await fetch(`${server.url}/in/nobody`, { method, headers: withKey('till') });
  }
  const publishes = [
    '/publish?results=true',
    '/topics/a/cloudevents',
    '/v1/logs?',
    '/v1/batch',
    '/loki/api/v1/push?x=1',
    '/in/nobody',
  ];
  for (const address of publishes) {
    const type = { 'content-type': 'application/json', 'ce-id': '1' };
    const { ok } = await server.post('{', { ...withKey('till'), ...type }, address);
    assert.ok(!ok, address);
  }
  await server.restart();
  const { counts } = (await (await ask(server, '/audit/summary', 'ops')).json()) as Summary;
  assert.deepEqual(some(counts), { refused: publishes.length, started: 2 });
});

test('whoever has no key does not choose what is in the trail [AUD-4]', async (t) => {
  const { server } = await withKeys(t, { ops: { scopes: ['admin'] } }, ON);
  for (const topic of ['a', 'b', 'c']) await server.post('{}', {}, `/topics/${topic}/cloudevents`);
  await server.restart();
  assert.deepEqual(await told(server, '?action=refused', withKey('ops')), [
    {
      action: 'refused',
      topic: null,
      event_id: null,
      offset: null,
      key: null,
      count: 3,
      code: 'unauthorized',
    },
  ]);
});

test('erasures and truncations are told before they are answered, with who asked [AUD-4] [AUD-5]', async (t) => {
  const { server } = await withKeys(t, { till: { scopes: ['publish'] }, ops: { scopes: ['admin'] } }, ON);
  const ops = withKey('ops');
  const ids = ['a', 'b', 'secret@example.com'];
  await server.post({ events: ids.map((event_id) => eventWith({ event_id })) }, withKey('till'));
  const erase = (path: string) => fetch(server.url + path, { method: 'DELETE', headers: ops });
  await erase('/topics/orders?before=2');
  await erase('/events/orders/b');
  await erase(`/events/orders/${encodeURIComponent(ids[2]!)}?forget=true`);
  assert.equal((await erase('/events/orders/none')).status, 404);
  const common = { topic: 'orders', event_id: null, key: 'ops' };
  assert.deepEqual(await told(server, '?action=erased&action=truncated', ops), [
    { ...common, action: 'erased', offset: 3, forgotten: true },
    { ...common, action: 'erased', offset: 2, forgotten: false },
    { ...common, action: 'truncated', offset: null, events: 1 },
  ]);
  const of = async (id: string) =>
    (await told(server, `?topic=orders&event_id=${encodeURIComponent(id)}`, ops)).length;
  assert.deepEqual(await Promise.all(ids.map(of)), [1, 2, 0]);
  assert.ok(!(await (await ask(server, '/audit', 'ops')).text()).includes('secret@'));
});

test('what sets and deletes sources is told, with who asked and never a secret [AUD-9]', async (t) => {
  const { server } = await withKeys(t, { ops: { scopes: ['admin'] } }, ON);
  const ops = withKey('ops');
  const sources = new TestSources(server, ops);
  const body = { kind: 'generic', topic: 'orders', id: '/id', secret: 'hidden' };
  await sources.make('shop', body);
  assert.equal((await sources.put('shop', body)).status, 200);
  assert.equal((await sources.put('shop', { ...body, topic: 'bills' })).status, 200);
  assert.equal((await sources.delete('none')).status, 404);
  assert.equal((await sources.delete('shop')).status, 204);
  const common = { topic: null, event_id: null, offset: null, key: 'ops', source: 'shop' };
  assert.deepEqual(await told(server, '?action=source_set&action=source_deleted', ops), [
    { action: 'source_deleted', ...common },
    { action: 'source_set', ...common },
    { action: 'source_set', ...common },
  ]);
  assert.ok(!(await (await ask(server, '/audit', 'ops')).text()).includes('hidden'));
});

test('what sets and deletes policies is told, with who asked [AUD-9]', async (t) => {
  const { server } = await withKeys(t, { ops: { scopes: ['admin'] } }, ON);
  const ops = withKey('ops');
  const policies = new Policies(server, ops);
  const body = { topics: ['orders'], max_age: '90d' };
  assert.equal((await policies.put('p', body)).status, 201);
  assert.equal((await policies.put('p', body)).status, 200);
  assert.equal((await policies.preview('p', body)).status, 200);
  assert.equal((await policies.put('p', { ...body, max_age: '30d' })).status, 200);
  assert.equal((await policies.delete('p')).status, 204);
  assert.equal((await policies.delete('p')).status, 404);
  const common = { topic: null, event_id: null, offset: null, key: 'ops', policy: 'p' };
  assert.deepEqual(await told(server, '?action=policy_set&action=policy_deleted', ops), [
    { action: 'policy_deleted', ...common },
    { action: 'policy_set', ...common },
    { action: 'policy_set', ...common },
  ]);
});

test('changes of the keys are told when their file is reread: by name, never by secret [AUD-4]', async (t) => {
  const { server, keys } = await withKeys(
    t,
    { till: { scopes: ['publish'] }, old: { scopes: ['read'] }, ops: { scopes: ['admin'] } },
    ON,
  );
  keys.write({
    till: { scopes: ['publish', 'read'], topics: ['orders'] },
    ops: { scopes: ['admin'] },
    fresh: { scopes: ['read'] },
  });
  await server.reload();
  await server.reload();
  const ops = withKey('ops');
  const query = '?action=key_added&action=key_changed&action=key_revoked';
  const none = { topic: null, event_id: null, offset: null };
  assert.deepEqual((await told(server, query, ops)).toReversed(), [
    { action: 'key_changed', ...none, key: 'till', changed: ['scopes', 'topics'] },
    { action: 'key_added', ...none, key: 'fresh' },
    { action: 'key_revoked', ...none, key: 'old' },
  ]);
});

test('the trail is read page by page, and only with the scope admin [AUD-6] [KEY-3]', async (t) => {
  const { server } = await withKeys(
    t,
    { till: { scopes: ['publish', 'read', 'inspect'] }, ops: { scopes: ['admin'] } },
    ON,
  );
  const events = Array.from({ length: 25 }, (_, i) => eventWith({ event_id: `e-${i}` }));
  await server.post({ events }, withKey('till'));
  const offsets: (number | null)[] = [];
  for (let before = ''; ;) {
    const response = await ask(server, `/audit?action=accepted&limit=10${before}`, 'ops');
    const { count, entries, next } = (await response.json()) as Page;
    assert.equal(count, entries.length);
    offsets.push(...entries.map(({ offset }) => offset));
    if (next === null) break;
    before = `&before=${next}`;
  }
  assert.deepEqual(offsets, events.map((_, i) => 25 - i)); // prettier-ignore
  for (const path of ['/audit', '/audit/summary']) {
    await problemIn(await ask(server, path, 'till'), 403, 'forbidden');
    await problemIn(await ask(server, path), 401, 'unauthorized');
  }
});

test('bad filters are refused by name [AUD-6] [ERR-4]', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore(), ON);
  for (const [query, field, message] of [
    ['?actoin=dead', 'actoin', /unknown parameter: this takes action, topic/],
    ['?action=deleted', 'action', /expected "accepted" or/],
    ['?from=yesterday', 'from', /expected/],
    ['?to=2026-02-30', 'to', /expected/],
    ['?limit=0', 'limit', /from 1 to 1000/],
    ['?limit=1001', 'limit', /from 1 to 1000/],
    ['?limit=1e3', 'limit', /whole number/],
    ['?before=-1', 'before', /whole number/],
    ['?topic=a.>.b', 'topic', /last word/],
    ['?event_id=e-1', 'event_id', /together with its topic/],
    ['?event_id=e-1&topic=a.*', 'event_id', /together with its topic/],
    ['?event_id=e-1&topic=a&topic=b', 'event_id', /together with its topic/],
    ['/summary?limit=1', 'limit', /unknown parameter/],
    ['/summary?by=week', 'by', /"hour" or "day"/],
    ['/summary?by=hour&from=2020-01-01', 'from', /narrow it/],
  ] as const) {
    const { errors } = await problemIn(await fetch(`${server.url}/audit${query}`), 422, 'invalid_parameter');
    assert.equal(errors?.[0]?.field, field, query);
    assert.match(errors[0].message, message, query);
  }
});

test('a summary counts by action, and by hours or days [AUD-7]', async (t) => {
  const clock = new TestClock(Date.now() - 2 * 3_600_000);
  const server = await TestServer.startOn(t, () => new MemoryStore(clock.now), ON);
  await server.publish(eventWith(), eventWith());
  clock.ms += 3_600_000;
  await server.publish(eventWith(), eventWith({ source: 'app' }));
  const all = await server.get<Summary>('/audit/summary');
  assert.deepEqual(Object.keys(all.counts), [...AUDIT_ACTIONS]);
  assert.deepEqual(
    [all.from, all.to, some(all.counts)],
    [null, null, { accepted: 1, dropped: 2, conflict: 1, started: 1 }],
  );
  const byHour = await server.get<Summary>('/audit/summary?by=hour');
  assert.deepEqual(some(byHour.counts), some(all.counts));
  assert.deepEqual(
    byHour.periods?.map(({ counts }) => some(counts)),
    [
      { accepted: 1, dropped: 1, started: 1 },
      { dropped: 1, conflict: 1 },
    ],
  );
  assert.ok(byHour.periods.every(({ at }) => at.endsWith(':00:00.000Z')));
  const from = new Date(clock.ms).toISOString();
  const late = await server.get<Summary>(`/audit/summary?by=day&from=${from}`);
  assert.deepEqual([late.from, some(late.counts)], [from, { dropped: 1, conflict: 1 }]);
  const { series } = await scraped(server.url);
  assert.ok(series.get('chronicleweaver_store_audit_records')! > 0);
  assert.equal(series.get('chronicleweaver_audit_lost_refusals_total'), 0);
});
