import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { StoreError } from '../../../src/store/event-store.ts';
import { Document } from '../../support/api-document.ts';
import { eventWith } from '../../support/events.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { Policies } from '../../support/policies.ts';
import { askOddly } from '../../support/odd-query.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer } from '../../support/server.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const BASE = '/retention/{name}';
const TOPIC = '/topics/{topic}';
const EVENT = '/events/{topic}/{event_id}';

/** A store that finds no space for anything about retention. */
function blockedStore(): MemoryStore {
  const store = new MemoryStore();
  const refuse = () => Promise.reject(new StoreError('blocked', 'no space'));
  for (const step of ['policies', 'put', 'remove', 'expire', 'erase'] as const)
    store.retention[step] = refuse;
  return store;
}

test('every answer about retention matches its schema in the document [SYS-4]', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore());
  const document = await Document.of(server);
  const checked = new Set<string>();
  const check = async (method: string, path: string, response: Response): Promise<void> => {
    checked.add(await document.check(method, path, response));
  };
  const policies = new Policies(server);
  const policy = { topics: ['a'], max_age: '1d' };
  for (const [name, body] of [
    ['p', policy],
    ['p', policy],
    ['q', policy],
    ['q', {}],
    ['q', '{'],
    ['q', `"${'x'.repeat(1024 * 1024)}"`],
  ] as const) {
    await check('put', BASE, await policies.put(name, body));
  }
  await check('put', BASE, await policies.preview('r', { topics: ['b'], max_age: '1d' }));
  await check('put', BASE, await fetch(`${server.url}/retention/p`, { method: 'PUT', body: 'x' }));
  await check('get', '/retention', await policies.get());
  for (const name of ['p', 'none', ' ']) await check('get', BASE, await policies.get(name));
  for (const name of ['p', 'none', ' ']) await check('delete', BASE, await policies.delete(name));

  await server.publish(eventWith());
  for (const [path, address] of [
    [TOPIC, '/topics/orders?before=1'],
    [TOPIC, '/topics/orders?before=9'],
    [TOPIC, '/topics/orders?before=x'],
    [TOPIC, '/topics/none?before=1'],
    [TOPIC, '/topics/%ff?before=1'],
    [EVENT, '/events/orders/e-1'],
    [EVENT, '/events/orders/none'],
    [EVENT, '/events/orders/e-1?forget=x'],
    [EVENT, '/events/orders/%ff'],
  ] as const)
    await check('delete', path, await fetch(server.url + address, { method: 'DELETE' }));

  const blockedServer = await TestServer.startOn(t, () => blockedStore());
  const blocked = new Policies(blockedServer);
  await blockedServer.publish(eventWith());
  for (const [path, address] of [
    [TOPIC, '/topics/orders?before=1'],
    [EVENT, '/events/orders/e-1'],
  ] as const)
    await check('delete', path, await fetch(blockedServer.url + address, { method: 'DELETE' }));
  await check('put', BASE, await blocked.put('p', policy));
  await check('get', '/retention', await blocked.get());
  await check('get', BASE, await blocked.get('p'));
  await check('delete', BASE, await blocked.delete('p'));

  const hasty = await TestServer.start(t, {}, { bodyPauseMs: 50 });
  const head = { ...JSON_TYPE, 'content-length': '9' };
  const [late] = await exchange(hasty.url, requestText('PUT /retention/p', head, '{'));
  await check('put', BASE, late!);

  const keys = new TestKeys(t, {
    reader: { scopes: ['read'] },
    slow: { scopes: ['admin'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  await fetch(`${guarded.url}/stats`, { headers: withKey('slow') });
  const documented = document
    .answers((path) => path.startsWith('/retention') || [TOPIC, EVENT].includes(path))
    .filter(({ method, path }) => method !== 'get' || path.startsWith('/retention'));
  for (const { method, path, status } of documented) {
    const key = { 401: 'nobody', 403: 'reader', 429: 'slow' }[status];
    if (key === undefined) continue;
    await check(method, path, await fetch(guarded.url + path, { method, headers: withKey(key) }));
  }
  for (const { method, path } of documented.filter(({ status }) => status === '422')) {
    await check(method, path, await askOddly(server, method, path, 'surprise=1'));
  }
  assert.deepEqual(
    [...checked].toSorted(),
    documented.map(({ method, path, status }) => `${method} ${path} ${status}`).toSorted(),
  );
});
