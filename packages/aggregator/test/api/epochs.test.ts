import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { requireCursorOf } from '../../src/api/epochs.ts';
import { backup } from '../../src/store/sqlite/upkeep/backup.ts';
import { manyEvents } from '../support/events.ts';
import { type EventsAnswer, TestServer, problemIn } from '../support/server.ts';
import { StreamReader } from '../support/stream-reader.ts';
import { tempFolder } from '../support/temp-folder.ts';

const named = (name: string, count: number) => manyEvents(count, (i) => ({ event_id: `${name}-${i}` }));

const epochOf = async (server: TestServer): Promise<string> =>
  (await server.get<{ epoch: string }>('/stats')).epoch;

/** A service that lost its events 4 to 6 in a restore, and then stored different events as 4 to 8. */
async function restored(t: TestContext): Promise<{ lost: string; server: TestServer }> {
  const before = await TestServer.start(t);
  await before.publish(...named('kept', 3));
  const copy = join(tempFolder(t), 'copy.db');
  await backup({ from: before.databasePath, to: copy, verify: false });
  await before.publish(...named('lost', 3));
  const lost = await epochOf(before);
  const server = await TestServer.start(t, { DEDUPLICATION_DB_PATH: copy });
  await server.publish(...named('new', 5));
  return { lost, server };
}

test('statistics, reads and streams name the epoch, and only a restore changes it [EPO-1, SYS-3]', async (t) => {
  const { lost, server } = await restored(t);
  const epoch = await epochOf(server);
  assert.notEqual(epoch, lost);
  assert.match(epoch, /^[0-9a-f]{16}$/);
  for (const path of ['/events', '/events?limit=1', '/events/stream']) {
    const { headers, body } = await fetch(server.url + path);
    assert.equal(headers.get('chronicle-epoch'), epoch, path);
    await body?.cancel();
    const head = await fetch(server.url + path, { method: 'HEAD' });
    assert.equal(head.headers.get('chronicle-epoch'), epoch, path);
  }
  await server.restart();
  assert.equal(await epochOf(server), epoch);
});

test('a cursor from before a restore that no longer means the same events is refused, with the place to continue [EPO-2]', async (t) => {
  const { lost, server } = await restored(t);
  const epoch = await epochOf(server);
  const stream = `${server.url}/events/stream`;
  const refused = [
    await fetch(`${server.url}/events?after=6&epoch=${lost}`),
    await fetch(`${server.url}/events?after=4&limit=10&epoch=${lost}`),
    await fetch(`${server.url}/events?after=6&order=desc&epoch=${lost}`),
    await fetch(`${stream}?after=6&epoch=${lost}`),
    await fetch(`${stream}?epoch=${lost}`, { headers: { 'last-event-id': '6' } }),
  ];
  for (const response of refused) {
    const { detail } = await problemIn(response, 409, 'log_restored');
    assert.match(detail, /a copy that ends at offset 3, .* continue with after=3; the epoch is now/);
    assert.ok(detail.includes(epoch));
  }
  const elsewhere = await fetch(`${server.url}/events?after=1&epoch=0123456789abcdef`);
  const { detail } = await problemIn(elsewhere, 409, 'log_restored');
  assert.match(detail, /never had the epoch "0123456789abcdef"/);
  await problemIn(
    await fetch(`${server.url}/events?after=1&epoch=${'x'.repeat(65)}`),
    422,
    'invalid_parameter',
  );
});

test('a group goes back with the log, and leases from before the restore are unknown [EPO-3]', async (t) => {
  const before = await TestServer.start(t);
  const call = async (
    server: TestServer,
    path: string,
    body: object,
    method: 'POST' | 'PUT' = 'POST',
  ): Promise<Response> =>
    fetch(`${server.url}/subscriptions/g${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const pulled = async (server: TestServer): Promise<{ offset: number; lease_id: string }> => {
    const answer = (await (await call(server, '/pull', { max: 1 })).json()) as {
      events: [{ offset: number; lease_id: string }];
    };
    return answer.events[0];
  };
  assert.equal((await call(before, '', { topics: ['>'], start: 'earliest' }, 'PUT')).status, 201);
  const copy = join(tempFolder(t), 'copy.db');
  await backup({ from: before.databasePath, to: copy, verify: false });
  await before.publish(...named('lost', 1));
  const lost = await pulled(before);

  const server = await TestServer.start(t, { DEDUPLICATION_DB_PATH: copy });
  await server.publish(...named('new', 1));
  const held = await pulled(server);
  assert.equal(held.offset, lost.offset);
  await problemIn(await call(server, '/ack', { lease_ids: [lost.lease_id] }), 409, 'lease_unknown');
  assert.equal((await call(server, '/ack', { lease_ids: [held.lease_id] })).status, 200);
});

test('a cursor up to the end of the copy is valid in both epochs, and any cursor of the new epoch is valid [EPO-2]', async (t) => {
  const { lost, server } = await restored(t);
  const epoch = await epochOf(server);
  const offsets = async (query: string): Promise<number[]> =>
    (await server.get<EventsAnswer>(`/events?${query}`)).events.map(({ offset }) => offset);
  assert.deepEqual(await offsets(`after=3&epoch=${lost}`), [4, 5, 6, 7, 8]);
  assert.deepEqual(await offsets(`after=2&limit=2&epoch=${lost}`), [3, 4]);
  assert.deepEqual(await offsets(`after=6&epoch=${epoch}`), [7, 8]);
  assert.deepEqual(await offsets(`epoch=${lost}`), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(await offsets('after=6'), [7, 8]);
  const stream = await StreamReader.open(`${server.url}/events/stream?after=3&epoch=${lost}`);
  await stream.until(5);
  await stream.cut();
  assert.deepEqual(stream.offsets, [4, 5, 6, 7, 8]);
});

test('a cursor is valid up to where the log went back furthest since its epoch [EPO-2]', () => {
  const epochs = [
    { name: 'first', afterOffset: 0 },
    { name: 'second', afterOffset: 100 },
    { name: 'third', afterOffset: 90 },
  ];
  for (const name of ['first', 'second']) requireCursorOf(epochs, name, 90);
  for (const name of ['first', 'second']) assert.throws(() => requireCursorOf(epochs, name, 91), /after=90/);
  requireCursorOf(epochs, 'third', 1000);
});
