import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Event, LIMITS } from '@chronicleweaver/protocol';
import { Document } from '../../support/api-document.ts';
import { changeBehind } from '../../support/behind.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { askOddly } from '../../support/odd-query.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { expireTo } from '../../support/letting-go.ts';
import { TestServer } from '../../support/server.ts';
import { stallReader } from '../../support/stalled-reader.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

const publishText = (event: Event, headers: Record<string, string> = {}) =>
  requestText('POST /publish', { ...JSON_TYPE, ...headers }, JSON.stringify(event));

test('every answer matches its schema in the document [SYS-4]', async (t) => {
  const server = await TestServer.start(t, { QUEUE_EVENTS_MAX: '1', FOLLOWERS_MAX: '1' });
  const document = await Document.of(server);
  const checked = new Set<string>();
  const check = async (method: string, path: string, response: Response): Promise<void> => {
    checked.add(await document.check(method, path, response));
  };
  const get = async (path: string, query = '', at = path) =>
    check('get', path, await fetch(server.url + at + query));
  const post = async (body: unknown, query = '', headers = {}) =>
    check('post', '/publish', await server.post(body, headers, `/publish${query}`));

  for (let round = 0; round < 2; round++) {
    await get('/');
    await get('/health');
    await get('/ready');
    await get('/stats');
    await get('/metrics');
    await get('/topics');
    for (const query of [
      '',
      '?limit=1',
      '?limit=10',
      '?order=desc',
      '?limit=0',
      '?x=1',
      '?topic=%',
      '?after=1&epoch=x',
    ])
      await get('/events', query);
    await get('/events/{topic}/{event_id}', '', '/events/orders/none');
    await get('/events/{topic}/{event_id}', '', '/events/orders/%ff');
    await get('/events/{topic}/{event_id}', '', `/events/orders/${'x'.repeat(LIMITS.eventIdCharsMax + 1)}`);
    await check('get', '/events/{topic}/{event_id}', await fetch(`${server.url}/events/orders/e-2`, { headers: { accept: 'application/cloudevents+json' } })); // prettier-ignore
    await post(eventWith({ payload: { message: 'm', timestamp: '2025-10-28', n: 1 } }));
    await post({ events: manyEvents(3, () => ({ timestamp: '2025-10-28 10:00:00,5+07' })) }, '?results=true');
    await post({ events: [] }, '?results=true');
    await post({ events: [eventWith({ source: 'conflict' })] }, '?results=true');
    await get('/events/{topic}/{event_id}', '', '/events/orders/e-2');
    await post('{');
    await post({ events: [{}] });
    await post({}, '?results=maybe');
    await post({}, '', { 'content-type': 'text/plain' });
    await post(`{"events":[${'0,'.repeat(LIMITS.batchEventsMax)}0]}`);
  }
  const stream = await fetch(`${server.url}/events/stream`);
  for (const query of ['', '?after=x', '?after=1000']) await get('/events/stream', query);
  await stream.body!.cancel();
  await check('get', '/events/stream', new Response('retry: 1000', stream));
  const [, full] = await exchange(
    server.url,
    publishText(eventWith({ event_id: 'x' })) +
      publishText(eventWith({ event_id: 'y' }), { connection: 'close' }),
  );
  await check('post', '/publish', full!);
  const hasty = await TestServer.start(t, {}, { bodyPauseMs: 50 });
  const [late] = await exchange(
    hasty.url,
    requestText('POST /publish', { ...JSON_TYPE, 'content-length': '9' }, '{'),
  );
  await check('post', '/publish', late!);
  const crowded = await TestServer.start(t, { READ_BYTES_MAX: `${1024 * 1024}` });
  const stalled = await stallReader(t, crowded);
  const path = `${crowded.url}/events?topic=none`;
  let crowdedOut = await fetch(path);
  while (crowdedOut.status !== 503) crowdedOut = await fetch(path);
  await check('get', '/events', crowdedOut);
  stalled.leave();
  const zeros = "decode(repeat('00', octet_length(body)), 'hex')";
  await changeBehind(server, {
    sqlite: ['fresh_block', 'merged_block']
      .map((one) => `UPDATE ${one} SET body = zeroblob(length(body))`)
      .join(';'),
    postgres: ['block', 'merged_block'].map((one) => `UPDATE ${one} SET body = ${zeros}`).join(';'),
  });
  // Blocks that it keeps in memory are as they were.
  if (server.storeUrl !== undefined) await server.restart();
  await get('/events', '?limit=1');
  await get('/events/stream', '?after=earliest');
  await get('/events/{topic}/{event_id}', '', '/events/orders/e-1');
  await changeBehind(server, { sqlite: 'DROP TABLE ledger', postgres: 'ALTER TABLE head RENAME TO gone' });
  await get('/ready');

  const log = new MemoryStore();
  const forgetful = await TestServer.startOn(t, () => log);
  await forgetful.publish(...manyEvents(3));
  await expireTo(log.retention, 2);
  for (const [path, address] of [
    ['/events/{topic}/{event_id}', '/events/orders/e-1'],
    ['/topics', '/topics'],
    ['/stats', '/stats'],
    ['/events', '/events'],
    ['/events', '/events?after=2&expired=refuse&order=desc'],
    ['/events/stream', '/events/stream?after=1&expired=refuse'],
  ] as const) {
    await check('get', path, await fetch(forgetful.url + address));
  }

  const keys = new TestKeys(t, {
    narrow: { scopes: ['read'], topics: ['x'] },
    reader: { scopes: ['read'] },
    publisher: { scopes: ['publish'] },
    slow: { scopes: ['read'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  await check('get', '/stats', await fetch(`${guarded.url}/stats`, { headers: withKey('narrow') }));
  await fetch(`${guarded.url}/topics`, { headers: withKey('slow') });
  // The others are checked where their answers are made (groups/, retention/answers.test.ts, in/answers.test.ts, duplicates/, audit/, cloudevents/, otlp/).
  const documented = document
    .answers(
      (path) =>
        !/^\/(subscriptions|retention|sources|in|duplicates|conflicts|audit|v1|loki)|(cloudevents|history)$/.test(
          path,
        ),
    )
    .filter(({ method }) => method !== 'delete');
  for (const { method, path, status } of documented) {
    const other = path === '/publish' ? 'reader' : 'publisher';
    const key = { 401: 'nobody', 403: other, 429: 'slow' }[status];
    if (key === undefined) continue;
    const refused = await fetch(guarded.url + path, { method, headers: withKey(key) });
    assert.equal(refused.status, Number(status), `${method} ${path}`);
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
