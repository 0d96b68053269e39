import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { Document } from '../../support/api-document.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestClock } from '../../support/stores.ts';
import { TestServer } from '../../support/server.ts';

const AGES = '/duplicates/ages';
const TOP = '/duplicates/top';
const HISTORY = '/events/{topic}/{event_id}/history';
const CONFLICTS = '/conflicts';

interface Counts {
  duplicates: number;
  conflicts: number;
}
type Ages = Counts & {
  counted_since: string;
  ages: (Counts & { up_to: string | null; let_through: number })[];
};
type Top = { since: string; top: (Counts & { name: string })[]; unnamed: Counts };
type History = Counts & {
  received_at: string;
  repeats: { verdict: string; source: string; key: string | null }[];
};
type Conflicts = {
  count: number;
  conflicts: { number: number; topic: string; event: Event | null }[];
  next: number | null;
};

test('every answer about duplicates matches its schema in the document [SYS-4]', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore());
  const document = await Document.of(server);
  const checked = new Set<string>();
  const check = async (path: string, address: string, headers = {}, url = server.url): Promise<void> => {
    checked.add(await document.check('get', path, await fetch(url + address, { headers })));
  };
  await server.publish(eventWith(), eventWith(), eventWith({ source: 'app' }));
  await server.publish(eventWith({ event_id: 'bare' }), eventWith({ event_id: 'bare', source: 'app' }));
  await fetch(`${server.url}/events/orders/bare`, { method: 'DELETE' });
  for (const [path, address] of [
    [AGES, AGES],
    [AGES, `${AGES}?topic=orders&topic=x.*&source=app`],
    [AGES, `${AGES}?topic=a.>.b`],
    [TOP, TOP],
    [TOP, `${TOP}?by=source&period=hour&limit=1`],
    [TOP, `${TOP}?by=key`],
    [HISTORY, '/events/orders/e-1/history'],
    [HISTORY, '/events/orders/bare/history'],
    [HISTORY, '/events/orders/none/history'],
    [HISTORY, '/events/orders/%ff/history'],
    [HISTORY, `/events/orders/${'x'.repeat(3000)}/history`],
    [CONFLICTS, CONFLICTS],
    [CONFLICTS, `${CONFLICTS}?limit=1`],
    [CONFLICTS, `${CONFLICTS}?before=0`],
  ] as const) {
    await check(path, address);
  }
  const keys = new TestKeys(t, {
    publisher: { scopes: ['publish'] },
    slow: { scopes: ['read'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.startOn(t, () => new MemoryStore(), { API_KEYS_FILE: keys.path });
  await fetch(`${guarded.url}/stats`, { headers: withKey('slow') });
  const documented = document.answers((path) => [AGES, TOP, HISTORY, CONFLICTS].includes(path));
  for (const { path, status } of documented) {
    const key = { 401: 'nobody', 403: 'publisher', 429: 'slow' }[status];
    if (key !== undefined) await check(path, path, withKey(key), guarded.url);
  }
  // What the store refuses is the same for all resources (unavailable.test.ts).
  const expected = documented.filter(({ status }) => status !== '500' && status !== '503');
  assert.deepEqual(
    [...checked].toSorted(),
    expected.map(({ method, path, status }) => `${method} ${path} ${status}`).toSorted(),
  );
});

test('ages say what a window would have let through [DUP-1]', async (t) => {
  const clock = new TestClock(Date.now());
  const server = await TestServer.startOn(t, () => new MemoryStore(clock.now));
  await server.publish(eventWith());
  const since = new Date(clock.ms).toISOString();
  clock.ms += 90_000;
  await server.publish(eventWith(), eventWith({ source: 'app' }));
  clock.ms += 60 * 86_400_000;
  await server.publish(eventWith());
  const { counted_since, duplicates, conflicts, ages } = await server.get<Ages>(AGES);
  assert.deepEqual([counted_since, duplicates, conflicts], [since, 3, 1]);
  assert.deepEqual(
    ages.map(({ up_to, let_through }) => [up_to, let_through]),
    [
      ['1s', 3],
      ['10s', 3],
      ['1m', 3],
      ['2m', 1],
      ['5m', 1],
      ['10m', 1],
      ['1h', 1],
      ['6h', 1],
      ['1d', 1],
      ['7d', 1],
      ['30d', 1],
      [null, 0],
    ],
  );
  assert.deepEqual([ages[3]!.duplicates, ages[3]!.conflicts], [2, 1]);
  assert.equal((await server.get<Ages>(`${AGES}?source=app`)).duplicates, 1);
});

test("the last hour is that of the store's clock, which may be another than the service's [DUP-3]", async (t) => {
  const clock = new TestClock(Date.UTC(2020, 0, 1, 12, 5));
  const server = await TestServer.startOn(t, () => new MemoryStore(clock.now));
  await server.publish(eventWith(), eventWith());
  clock.ms += 2 * 3_600_000;
  await server.publish(eventWith({ event_id: 'e-2' }), eventWith({ event_id: 'e-2' }));
  const { since, top } = await server.get<Top>(`${TOP}?period=hour`);
  assert.equal(since, '2020-01-01T13:00:00.000Z');
  assert.deepEqual(top, [{ name: 'orders', duplicates: 1, conflicts: 0 }]);
  assert.equal((await server.get<Top>(`${TOP}?period=day`)).top[0]!.duplicates, 2);
});

test('repeats are told with the name of their key, for single events, batches and lines [DUP-2]', async (t) => {
  const keys = new TestKeys(t, {
    till: { scopes: ['publish', 'read'] },
    phone: { scopes: ['publish'] },
  });
  const server = await TestServer.startOn(t, () => new MemoryStore(), { API_KEYS_FILE: keys.path });
  const publish = async (key: string, type: string, body: string) => {
    const headers = { ...withKey(key), 'content-type': type };
    const response = await fetch(`${server.url}/publish`, { method: 'POST', headers, body });
    assert.equal(response.status, 200);
  };
  const event = JSON.stringify(eventWith());
  await publish('till', 'application/json', event);
  await publish('phone', 'application/json', `{"events":[${event},${event}]}`);
  await publish('till', 'application/x-ndjson', `${event}\n`);
  await publish('phone', 'application/json', event);
  const response = await fetch(`${server.url}/events/orders/e-1/history`, { headers: withKey('till') });
  const { duplicates, repeats } = (await response.json()) as History;
  assert.equal(duplicates, 4);
  assert.deepEqual(
    repeats.map(({ key }) => key),
    ['phone', 'till', 'phone', 'phone'],
  );
});

test('a text that lost is told as it was sent, with every digit [DUP-4]', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore());
  await server.publish(...manyEvents(3));
  const lost =
    '{"event_id":"e-1","topic":"orders","source":"web","payload":{"n":12345678901234567890.10},"timestamp":"2025-10-28T10:00:00Z"}';
  const headers = { 'content-type': 'application/json' };
  await fetch(`${server.url}/publish`, { method: 'POST', headers, body: lost });
  await server.publish(
    eventWith({ event_id: 'e-2', source: 'app' }),
    eventWith({ event_id: 'e-3', source: 'app' }),
  );
  const first = await server.get<Conflicts>(`${CONFLICTS}?limit=2`);
  assert.deepEqual([first.count, first.conflicts.map(({ number }) => number), first.next], [2, [3, 2], 2]);
  const text = await (await fetch(`${server.url}${CONFLICTS}?before=${first.next}`)).text();
  assert.ok(text.includes(`"event":${lost}}],"next":null}`), text);
});

test('a key with topics is told of the repeats on these topics alone [DUP-6]', async (t) => {
  const keys = new TestKeys(t, {
    all: { scopes: ['publish', 'read'] },
    eu: { scopes: ['read'], topics: ['eu.>'] },
  });
  const server = await TestServer.startOn(t, () => new MemoryStore(), { API_KEYS_FILE: keys.path });
  const events = ['eu.orders', 'us.orders'].flatMap((topic) => [
    eventWith({ topic }),
    eventWith({ topic, source: topic }),
  ]);
  const headers = { ...withKey('all'), 'content-type': 'application/json' };
  await fetch(`${server.url}/publish`, { method: 'POST', headers, body: JSON.stringify({ events }) });
  const asked = async <T>(address: string): Promise<T> =>
    (await (await fetch(server.url + address, { headers: withKey('eu') })).json()) as T;
  assert.equal((await asked<Ages>(AGES)).duplicates, 1);
  assert.equal((await asked<Ages>(`${AGES}?topic=*.orders`)).duplicates, 1);
  for (const [by, name] of [
    ['topic', 'eu.orders'],
    ['source', 'eu.orders'],
  ]) {
    const { top } = await asked<Top>(`${TOP}?by=${by}`);
    assert.deepEqual(top, [{ name, duplicates: 1, conflicts: 1 }]);
  }
  const { conflicts } = await asked<Conflicts>(CONFLICTS);
  assert.deepEqual(
    conflicts.map(({ topic }) => topic),
    ['eu.orders'],
  );
  for (const address of [
    '/events/us.orders/e-1/history',
    `${AGES}?topic=us.orders`,
    `${CONFLICTS}?topic=us.orders`,
  ]) {
    assert.equal((await fetch(server.url + address, { headers: withKey('eu') })).status, 403);
  }
});
