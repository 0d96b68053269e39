import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { StoreError } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { Document } from '../../support/api-document.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { askOddly } from '../../support/odd-query.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer } from '../../support/server.ts';
import { TestSources } from '../../support/sources.ts';

/** As little as may be. */
const BODY_BYTES_MAX = LIMITS.eventBytesMax;

const ONE = '/sources/{name}';
const IN = '/in/{name}';
/** Bodies that are taken where the address says the kind. */
const FIXED = { '/loki/api/v1/push': '{"streams":[]}', '/v1/batch': '{"batch":[]}' };

const JSON_TYPE = { 'content-type': 'application/json' };

/** A store that finds no space for anything about sources, nor for events. */
function blockedStore(): MemoryStore {
  const store = new MemoryStore();
  const refuse = () => Promise.reject(new StoreError('blocked', 'no space'));
  for (const step of ['list', 'find', 'put', 'remove'] as const) store.sources[step] = refuse;
  store.append = refuse;
  return store;
}

/** A store that has as many sources as there may be. */
async function fullStore(): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (let i = 0; i < LIMITS.sourcesMax; i++)
    await store.sources.put({ name: `s-${i}`, definition: '{}' }, null);
  return store;
}

test('every answer about sources, and to them, matches its schema in the document [SYS-4, SRC-1]', async (t) => {
  const settings = { BODY_BYTES_MAX: String(BODY_BYTES_MAX) };
  const server = await TestServer.startOn(t, () => new MemoryStore(), settings);
  const document = await Document.of(server);
  const checked = new Set<string>();
  const check = async (method: string, path: string, response: Response): Promise<void> => {
    checked.add(await document.check(method, path, response));
  };
  const sources = new TestSources(server);
  const source = { kind: 'generic', topic: 'a', id: '/id' };
  for (const [name, body] of [
    ['s', source],
    ['s', source],
    ['q', {}],
    ['q', 'x'.repeat(1024 * 1024)],
    ['signed', { ...source, secret: 'x', signature: { header: 'X-Signed' } }],
  ] as const) {
    await check('put', ONE, await sources.put(name, body));
  }
  const put = (body: string, headers: Record<string, string>) =>
    fetch(`${server.url}/sources/s`, { method: 'PUT', body, headers });
  await check('put', ONE, await put('{', JSON_TYPE));
  await check('put', ONE, await put('x', {}));
  await check('get', '/sources', await sources.get());
  for (const name of ['signed', 'none', ' ']) await check('get', ONE, await sources.get(name));
  for (const [name, body] of [
    ['s', '{"id":1}'],
    ['s', '{"id":[]}'],
    ['s', 'x'.repeat(LIMITS.eventBytesMax + 1)],
    ['signed', '{"id":1}'],
    ['none', ''],
  ] as const) {
    await check('post', IN, await sources.deliver(name, body));
  }
  await check('post', IN, await sources.deliver('s', '', { 'content-encoding': 'br' }));
  await sources.make('packed', { kind: 'collector', topic: 'a' });
  await check('post', IN, await sources.deliver('packed', 'x', { 'content-encoding': 'gzip' }));
  for (const [path, body] of Object.entries(FIXED)) {
    await check('post', path, await server.post(body, {}, path));
    await check('post', path, await server.post(body, { 'content-encoding': 'gzip' }, path));
    await check('post', path, await server.post(body, { 'content-encoding': 'snappy' }, path));
    await check('post', path, await server.post('x'.repeat(BODY_BYTES_MAX + 1), {}, path));
  }
  for (const name of ['s', 'none', ' ']) await check('delete', ONE, await sources.delete(name));

  const unavailable = await TestServer.startOn(t, () => blockedStore());
  const line = '{"stream":{},"values":[["1","x"]]}';
  await check(
    'post',
    '/loki/api/v1/push',
    await unavailable.post(`{"streams":[${line}]}`, {}, '/loki/api/v1/push'),
  );
  await check(
    'post',
    '/v1/batch',
    await unavailable.post('{"batch":[{"messageId":"1","type":"track"}]}', {}, '/v1/batch'),
  );
  const blocked = new TestSources(unavailable);
  await check('put', ONE, await blocked.put('s', source));
  await check('get', '/sources', await blocked.get());
  await check('get', ONE, await blocked.get('s'));
  await check('post', IN, await blocked.deliver('s', 'x'));
  await check('delete', ONE, await blocked.delete('s'));
  const full = new TestSources(await TestServer.startOn(t, fullStore));
  await check('put', ONE, await full.put('s', source));
  assert.equal((await full.put('s-1', source)).status, 200);

  const hasty = await TestServer.start(t, {}, { bodyPauseMs: 50 });
  await new TestSources(hasty).make('s', source);
  const head = { ...JSON_TYPE, 'content-length': '9' };
  for (const [method, address, path] of [
    ['put', '/sources/s', ONE],
    ['post', '/in/s', IN],
    ...Object.keys(FIXED).map((path) => ['post', path, path] as const),
  ] as const) {
    const text = requestText(`${method.toUpperCase()} ${address}`, head, '{');
    const [late] = await exchange(hasty.url, text);
    await check(method, path, late!);
  }

  const keys = new TestKeys(t, {
    reader: { scopes: ['read'] },
    slow: { scopes: ['admin', 'publish'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  await fetch(`${guarded.url}/stats`, { headers: withKey('slow') });
  const documented = document.answers((path) => /^\/(sources|in\/|loki|v1\/batch)/.test(path));
  for (const { method, path, status } of documented) {
    const key = { 401: 'nobody', 403: 'reader', 429: 'slow' }[status];
    if (key === undefined) continue;
    await check(method, path, await fetch(guarded.url + path, { method, headers: withKey(key) }));
  }
  for (const { method, path } of documented.filter(({ status }) => status === '422')) {
    if (path !== IN) await check(method, path, await askOddly(server, method, path, 'surprise=1'));
  }
  assert.deepEqual(
    [...checked].toSorted(),
    documented.map(({ method, path, status }) => `${method} ${path} ${status}`).toSorted(),
  );
});
