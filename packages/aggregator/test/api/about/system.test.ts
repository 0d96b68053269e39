import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STORE } from '../../../../../lab/test-store.ts';
import { VERSION } from '../../../src/version.ts';
import { booksOf } from '../../support/books.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { TestServer, sharedServer } from '../../support/server.ts';

const service = sharedServer();

test('the service says that it is running and healthy, in the words of the original [SYS-1]', async () => {
  const server = service();
  for (const [path, body] of [
    ['/', '{"message":"ChronicleWeaver is running..."}'],
    ['/health', '{"message":"healthy"}'],
    ['/ready', `{"message":"ready","store":"${STORE}"}`],
  ] as const) {
    const response = await fetch(server.url + path);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.equal(await response.text(), body);
  }
});

test('many simultaneous readiness checks are all answered and leave the log unchanged [SYS-2]', async () => {
  const server = service();
  await server.publish(eventWith());
  const before = await booksOf(server);
  for (let i = 0; i < 3; i++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => server.get<{ store: string }>('/ready')),
    );
    assert.ok(answers.every((answer) => answer.store === STORE));
  }
  assert.deepEqual(await booksOf(server), before);
});

test('the statistics have all counts since the beginning [SYS-3, P-5]', async (t) => {
  const server = await TestServer.start(t);
  const read = () => server.get<Record<string, unknown>>('/stats');
  const empty = await read();
  assert.deepEqual(empty, {
    received: 0,
    unique_processed: 0,
    duplicated_dropped: 0,
    stored: 0,
    expired: 0,
    topics: [],
    uptime: empty['uptime'],
    conflicts: 0,
    first_offset: null,
    last_offset: 0,
    stored_bytes: empty['stored_bytes'],
    queued_events: 0,
    queued_bytes: 0,
    commits: 0,
    followers: 0,
    store: STORE,
    database: empty['database'],
    store_version: empty['store_version'],
    version: VERSION,
    epoch: empty['epoch'],
  });
  assert.ok(Number.isInteger(empty['uptime']) && Number(empty['stored_bytes']) > 0);
  assert.match(String(empty['database']), STORE === 'sqlite' ? /events\.db$/ : /^postgres:\/\/localhost:/);
  assert.match(String(empty['store_version']), /^\d+\.\d+/);

  await server.publish(...manyEvents(3), eventWith({ event_id: 'e-1' }), eventWith({ topic: 'a' }));
  await server.publish(eventWith({ source: 'elsewhere' }));
  const counts = {
    received: 6,
    unique_processed: 4,
    duplicated_dropped: 2,
    stored: 4,
    expired: 0,
    topics: ['a', 'orders'],
    conflicts: 1,
    last_offset: 4,
    queued_events: 0,
    queued_bytes: 0,
  };
  const full = await read();
  assert.ok(Number(full['stored_bytes']) >= Number(empty['stored_bytes']));
  assert.deepEqual(full, { ...full, ...counts, commits: 2 });

  await server.restart();
  const restarted = await read();
  assert.deepEqual(restarted, { ...restarted, ...counts, commits: 0 });
  assert.match(VERSION, /^\d+\.\d+\.\d+/);
});
