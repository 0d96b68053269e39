import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Document } from '../../support/api-document.ts';
import { changeBehind } from '../../support/behind.ts';
import { manyEvents } from '../../support/events.ts';
import { Group, leasesOf } from '../../support/group.ts';
import { Receiver, SECRET } from '../../support/receiver.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { askOddly } from '../../support/odd-query.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer } from '../../support/server.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const BASE = '/subscriptions/{name}';

test('every answer about groups matches its schema in the document [SYS-4]', async (t) => {
  const server = await TestServer.start(t, { WEBHOOK_ALLOW_PRIVATE: 'true' });
  await server.publish(...manyEvents(6));
  const document = await Document.of(server);
  const checked = new Set<string>();
  const check = async (method: string, path: string, response: Response): Promise<void> => {
    checked.add(await document.check(method, path, response));
  };
  const group = new Group(server.url);
  const nobody = new Group(server.url, 'nobody');
  const unnamed = new Group(server.url, ' ');
  const post = async (resource: string, body?: unknown, whose = group): Promise<void> =>
    check('post', `${BASE}/${resource}`, await whose.post(resource, body));

  const definition = { topics: ['>'], start: 'earliest', max_deliveries: 1 };
  for (const body of [definition, definition, { topics: ['a'] }, { topics: [] }, '{']) {
    await check('put', BASE, await group.put(body));
  }
  const delivered = await group.pull({ max: 4 });
  await group.giveBack(delivered.slice(2));
  await post('pull', { max: 1 });
  await check('get', '/subscriptions', await fetch(`${server.url}/subscriptions`));
  for (const one of [group, nobody, unnamed]) {
    await check('get', BASE, await one.get());
    await check('get', `${BASE}/dead`, await one.get('/dead'));
  }
  const receiver = await Receiver.start(t, () => 500);
  const hook = new Group(server.url, 'hook');
  await hook.make({ push: { url: receiver.url, secret: SECRET } });
  while ((await hook.view()).push?.state !== 'failing') await setImmediate();
  await check('get', BASE, await hook.get());
  await post('pull', {}, hook);
  for (const resource of ['pause', 'resume'])
    for (const one of [hook, group, nobody]) await post(resource, {}, one);
  const lost = { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] };
  for (const [resource, good, conflicting] of [
    ['pull', { max: 1 }, null],
    ['extend', leasesOf(delivered.slice(0, 2)), lost],
    ['nack', leasesOf(delivered.slice(0, 1)), lost],
    ['ack', leasesOf(delivered.slice(1, 2)), lost],
    ['dead/replay', {}, null],
    ['seek', { offset: 2 }, { offset: 99 }],
  ] as const) {
    await post(resource, good);
    if (conflicting !== null) await post(resource, conflicting);
    await post(resource, good, nobody);
  }

  // Requests refused before their group is known.
  const hasty = await TestServer.start(t, {}, { bodyPauseMs: 50 });
  const bodied = document.answers((path) => path.startsWith(BASE)).filter(({ status }) => status === '415');
  for (const { method, path } of bodied) {
    const target = path.replace('{name}', group.name);
    const send = (body: string, headers: Record<string, string>): Promise<Response> =>
      fetch(server.url + target, { method: method.toUpperCase(), headers, body });
    await check(method, path, await send('{', JSON_TYPE));
    await check(method, path, await send('{"x":1}', JSON_TYPE));
    await check(method, path, await send('x', { 'content-type': 'text/plain' }));
    await check(method, path, await send(JSON.stringify('x'.repeat(1024 * 1024)), JSON_TYPE));
    const head = `${method.toUpperCase()} ${target}`;
    const [late] = await exchange(hasty.url, requestText(head, { ...JSON_TYPE, 'content-length': '9' }, '{'));
    await check(method, path, late!);
  }
  await check('delete', BASE, await new Group(server.url, 'nobody').delete());
  await check('delete', BASE, await unnamed.delete());
  await new Group(server.url, 'other').make();
  await check('delete', BASE, await new Group(server.url, 'other').delete());

  const dropped = 'DROP TABLE hand; DROP TABLE event_group';
  await changeBehind(server, { sqlite: dropped, postgres: `${dropped} CASCADE` });
  await check('get', '/subscriptions', await fetch(`${server.url}/subscriptions`));
  await check('put', BASE, await group.put(definition));
  await check('get', BASE, await group.get());
  await check('get', `${BASE}/dead`, await group.get('/dead'));
  await post('pull', {});
  for (const resource of ['ack', 'nack', 'extend']) await post(resource, leasesOf(delivered));
  await post('dead/replay');
  await post('seek', { offset: 1 });
  for (const resource of ['pause', 'resume']) await post(resource, {}, hook);
  await check('delete', BASE, await group.delete());

  const keys = new TestKeys(t, {
    publisher: { scopes: ['publish'] },
    slow: { scopes: ['read'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  await fetch(`${guarded.url}/topics`, { headers: withKey('slow') });
  const documented = document.answers((path) => path.startsWith('/subscriptions'));
  for (const { method, path, status } of documented) {
    const key = { 401: 'nobody', 403: 'publisher', 429: 'slow' }[status];
    if (key === undefined) continue;
    const refused = await fetch(guarded.url + path, { method, headers: withKey(key) });
    await check(method, path, refused);
  }
  for (const { method, path } of documented.filter(({ status }) => status === '422')) {
    await check(method, path, await askOddly(server, method, path, 'surprise=1'));
  }
  assert.deepEqual(
    [...checked].toSorted(),
    documented.map(({ method, path, status }) => `${method} ${path} ${status}`).toSorted(),
  );
});
