import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type Event, LIMITS } from '@chronicleweaver/protocol';
import { Document } from '../../support/api-document.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer } from '../../support/server.ts';
import { stallReader } from '../../support/stalled-reader.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

const publishText = (event: Event, headers: Record<string, string> = {}) =>
  requestText('POST /publish', { ...JSON_TYPE, ...headers }, JSON.stringify(event));

test('every answer matches its schema in the document [SYS-4]', async (t) => {
  const server = await TestServer.start(
    t,
    { QUEUE_EVENTS_MAX: '1', FOLLOWERS_MAX: '1' },
    { bodyPauseMs: 50 },
  );
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
  const [late] = await exchange(
    server.url,
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
  const other = new DatabaseSync(server.databasePath);
  for (const table of ['fresh_block', 'merged_block']) {
    other.exec(`UPDATE ${table} SET body = zeroblob(length(body))`);
  }
  await get('/events', '?limit=1');
  await get('/events/stream', '?after=earliest');
  await get('/events/{topic}/{event_id}', '', '/events/orders/e-1');
  other.exec('DROP TABLE ledger');
  other.close();
  await get('/ready');

  const keys = new TestKeys(t, {
    narrow: { scopes: ['read'], topics: ['x'] },
    reader: { scopes: ['read'] },
    publisher: { scopes: ['publish'] },
    slow: { scopes: ['read'], rate_limit: { events_per_second: 0.001, burst: 1 } },
  });
  const guarded = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  await check('get', '/stats', await fetch(`${guarded.url}/stats`, { headers: withKey('narrow') }));
  await fetch(`${guarded.url}/topics`, { headers: withKey('slow') });
  // Those of groups are checked where their answers are made (groups/answers.test.ts).
  const documented = document.answers((path) => !path.startsWith('/subscriptions'));
  for (const { method, path, status } of documented) {
    const other = path === '/publish' ? 'reader' : 'publisher';
    const key = { 401: 'nobody', 403: other, 429: 'slow' }[status];
    if (key === undefined) continue;
    const refused = await fetch(guarded.url + path, { method, headers: withKey(key) });
    assert.equal(refused.status, Number(status), `${method} ${path}`);
    await check(method, path, refused);
  }
  assert.deepEqual(
    [...checked].toSorted(),
    documented.map(({ method, path, status }) => `${method} ${path} ${status}`).toSorted(),
  );
});
