import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Client } from 'pg';
import { PostgresServer } from '../../../../../lab/postgres-server.ts';
import { ACCEPTED } from '../../../src/store/event-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { cutAll, lossFrom, opened } from '../../support/failover.ts';
import { beside, newLog, sharedServer } from '../../support/postgres-server.ts';
import { type EventsAnswer, TestServer, problemIn } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';
import { until } from '../../support/until.ts';

const NEW_EPOCH = 'the database was restored, promoted or copied: a new epoch begins after its end';

const append = (store: PostgresStore, id: string) => store.append([batchOf(eventWith({ event_id: id }))]);
const beginnings = (store: PostgresStore): number[] => store.epochs.map(({ afterOffset }) => afterOffset);

/** What a dump and its restore make of a schema: the same rows in other tables. */
async function copied(client: Client, from: string, to: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'",
    [from],
  );
  await client.query(`CREATE SCHEMA ${to}`);
  for (const { name } of rows) {
    await client.query(`CREATE TABLE ${to}.${name} (LIKE ${from}.${name} INCLUDING ALL)`);
    await client.query(`INSERT INTO ${to}.${name} OVERRIDING SYSTEM VALUE SELECT * FROM ${from}.${name}`);
  }
}

/**
 * As where a standby was promoted that lacks the commits of one event each from this offset on. All at once, since an
 * instance may begin a session at any moment.
 */
async function loseFrom(client: Client, offset: number): Promise<void> {
  await client.query(`BEGIN; ${lossFrom(offset)}; COMMIT`);
}

test('a restored dump begins an epoch after its end, once for all instances, and a restart begins none [EPO-1]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const first = await PostgresStore.open(address, undefined, { allowsLoss: true });
  await append(first, 'a');
  await append(first, 'b');
  await first.close();
  const again = await PostgresStore.open(address, undefined, { allowsLoss: true });
  assert.deepEqual(again.epochs, first.epochs);
  await again.close();
  const schema = new URL(address).searchParams.get('schema')!;
  await copied(client, schema, `${schema}_r`);
  const messages: string[] = [];
  const restored = address.replace(schema, `${schema}_r`);
  const stores = await Promise.all([0, 1, 2, 3].map(() => opened(t, restored, messages)));
  for (const store of stores) {
    assert.deepEqual(beginnings(store), [0, 2]);
    assert.deepEqual(store.epochs, stores[0]!.epochs);
  }
  assert.deepEqual(messages, [NEW_EPOCH]);
  const [added] = await append(stores[3]!, 'c');
  assert.deepEqual([...added!.offsets], [3]);
});

test('a database made of another as its template begins an epoch [EPO-1]', async (t) => {
  const { folder } = await sharedServer();
  const url = (database: string) => `postgres://localhost/${database}?host=${folder}&user=postgres`;
  const client = await beside(t, url('postgres'));
  const name = `original_${process.pid}`;
  await client.query(`CREATE DATABASE ${name}`);
  const store = await PostgresStore.open(url(name), undefined, { allowsLoss: true });
  await append(store, 'a');
  await store.close();
  await client.query(`CREATE DATABASE ${name}_copy TEMPLATE ${name}`);
  const copy = await PostgresStore.open(url(`${name}_copy`), undefined, { allowsLoss: true });
  assert.deepEqual(beginnings(copy), [0, 1]);
  await copy.close();
  await client.query(`DROP DATABASE ${name}_copy`);
  await client.query(`DROP DATABASE ${name}`);
});

test('a role that may not ask the server for its number is served, and a copy is still told by its tables', async (t) => {
  const { folder } = await sharedServer();
  const admin = await beside(t, `postgres://localhost/postgres?host=${folder}&user=postgres`);
  const name = `plain_${process.pid}`;
  await admin.query(`CREATE DATABASE ${name}`);
  const inside = await beside(t, `postgres://localhost/${name}?host=${folder}&user=postgres`);
  await inside.query(`
    REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public; CREATE ROLE ${name} LOGIN;
    GRANT CREATE ON DATABASE ${name} TO ${name}`);
  const address = `postgres://localhost/${name}?host=${folder}&user=${name}`;
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  await append(store, 'a');
  await store.close();
  const again = await PostgresStore.open(address, undefined, { allowsLoss: true });
  assert.deepEqual(beginnings(again), [0]);
  await again.close();
  await inside.query("UPDATE chronicleweaver.head SET home = '1.1'");
  const other = await PostgresStore.open(address, undefined, { allowsLoss: true });
  assert.deepEqual(beginnings(other), [0, 1]);
  await other.close();
  await inside.end();
  await admin.query(`DROP DATABASE ${name}`);
  await admin.query(`DROP ROLE ${name}`);
});

test('a crash of the server begins no epoch; a promotion and a recovery to a point in time do, while instances run [EPO-1]', async (t) => {
  const server = await PostgresServer.start();
  t.after(() => server.close());
  const address = server.newLog();
  const messages: string[] = [];
  const stores = [await opened(t, address, messages), await opened(t, address, messages)] as const;
  await append(stores[0], 'a');
  await server.stop('immediate');
  await server.start();
  await append(stores[1], 'b');
  assert.deepEqual(beginnings(stores[1]), [0]);

  for (const [i, signal] of ['standby.signal', 'recovery.signal'].entries()) {
    await server.stop('fast');
    if (signal === 'recovery.signal') server.settings['restore_command'] = 'false';
    writeFileSync(join(server.folder, 'data', signal), '');
    await server.start();
    const client = await beside(t, address);
    if (signal === 'standby.signal') await client.query('SELECT pg_promote()');
    await append(stores[0], `after ${signal}`);
    await append(stores[1], `too after ${signal}`);
    const expected = [0, 2, 4].slice(0, i + 2);
    for (const store of stores) assert.deepEqual(beginnings(store), expected, signal);
  }
  assert.deepEqual(
    messages.filter((message) => message === NEW_EPOCH),
    [NEW_EPOCH, NEW_EPOCH],
  );
  assert.ok(!messages.some((message) => message.includes('has lost events')), messages.join());
});

test('the files of another time that were put in place begin an epoch where the operator says so, and running instances hear of it [EPO-4]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const [store, other] = [await opened(t, address), await opened(t, address)];
  await append(store, 'a');
  const told: unknown[] = [];
  t.after(other.watchEpochs((epoch) => told.push(epoch)));
  const schema = new URL(address).searchParams.get('schema')!;
  await client.query(`UPDATE ${schema}.head SET is_copy = true`);
  const third = await opened(t, address);
  assert.deepEqual(beginnings(third), [0, 1]);
  await until(
    () => `the running instances know ${beginnings(store).join()} and ${beginnings(other).join()}`,
    () => store.epochs.length === 2 && other.epochs.length === 2,
  );
  assert.deepEqual(told, [third.epochs[1]]);
  const fourth = await opened(t, address);
  assert.equal(fourth.epochs.length, 2);
});

test('where acknowledged events are gone, every instance tells its readers, goes on after what is left, and delivers nothing of it [EPO-2, EPO-4]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const open = () => PostgresStore.open(address, undefined, { allowsLoss: true });
  const servers = [await TestServer.startOn(t, open), await TestServer.startOn(t, open)] as const;
  const epochOf = async (server: TestServer) => (await server.get<{ epoch: string }>('/stats')).epoch;
  for (const id of ['a', 'b', 'lost']) await servers[0].publish(eventWith({ event_id: id }));
  for (const topic of ['too', 'three']) await servers[1].publish(eventWith({ event_id: 'lost', topic }));
  const before = await epochOf(servers[1]);
  const readers = await Promise.all(
    servers.map((server) => StreamReader.open(`${server.url}/events/stream?after=0`)),
  );
  for (const reader of readers) {
    t.after(() => reader.cut());
    await reader.until(5);
    assert.equal(reader.response.headers.get('chronicle-epoch'), before);
  }
  await loseFrom(client, 3);
  await cutAll(client);
  for (const server of servers) await server.publish(eventWith({ event_id: `on ${server.url}` }));
  await until(
    () => 'the streams of before have ended',
    () => readers.every(({ hasEnded }) => hasEnded),
  );
  const epoch = await epochOf(servers[0]);
  assert.notEqual(epoch, before);
  const { rows } = await client.query('SELECT after_offset::int FROM epoch ORDER BY epoch_id');
  assert.deepEqual(rows, [{ after_offset: 0 }, { after_offset: 2 }], 'one epoch, whoever found it first');
  for (const server of servers) {
    assert.equal(await epochOf(server), epoch);
    const stream = `${server.url}/events/stream`;
    const refused = await fetch(`${stream}?epoch=${before}`, { headers: { 'last-event-id': '5' } });
    assert.match((await problemIn(refused, 409, 'log_restored')).detail, /continue with after=2/);
    const reader = await StreamReader.open(`${stream}?after=2&epoch=${before}`);
    t.after(() => reader.cut());
    assert.equal(reader.response.headers.get('chronicle-epoch'), epoch);
    await reader.until(2);
    // And what comes live, from here and from the other.
    for (const one of servers) await one.publish(eventWith({ event_id: `live ${one.url} ${server.url}` }));
    await reader.until(4);
    assert.deepEqual(reader.offsets.slice(0, 4), [3, 4, 5, 6]);
    const { events } = await server.get<EventsAnswer>('/events');
    assert.ok(!events.some(({ event_id: id }) => id === 'lost'));
  }
});

test('leases that were given before an epoch began are unknown afterwards, and their events come again [EPO-3]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const server = await TestServer.startOn(t, () =>
    PostgresStore.open(address, undefined, { allowsLoss: true }),
  );
  const call = (path: string, body: unknown, method: 'POST' | 'PUT' = 'POST') =>
    fetch(`${server.url}/subscriptions/g${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const pulled = async () => {
    const answer = (await (await call('/pull', { max: 1, wait_ms: 5000 })).json()) as {
      events: { offset: number; lease_id: string }[];
    };
    return answer.events[0]!;
  };
  await call('', { topics: ['>'], start: 'earliest', lease_ms: 1000 }, 'PUT');
  await server.publish(eventWith({ event_id: 'a' }));
  const before = await pulled();
  await client.query('UPDATE head SET is_copy = true');
  await cutAll(client);
  await server.publish(eventWith({ event_id: 'b' }));
  await problemIn(await call('/ack', { lease_ids: [before.lease_id] }), 409, 'lease_unknown');
  const after = await pulled();
  assert.equal((await call('/ack', { lease_ids: [after.lease_id] })).status, 200);
  const again = await pulled();
  assert.deepEqual(new Set([after.offset, again.offset]), new Set([1, 2]));
});

test('instances that were given ranges of append ids in what was lost share no id with those that came after [P-1, P-2]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const before = await opened(t, address);
  // As where a copy from before is put back while it still runs.
  await client.query('UPDATE head SET ranges = 0, is_copy = true');
  const after = await opened(t, address);
  for (const [store, id] of [
    [after, 'a'],
    [before, 'b'],
    [after, 'c'],
    [before, 'd'],
  ] as const) {
    assert.deepEqual([...(await append(store, id))[0]!.verdicts], [ACCEPTED], id);
  }
  assert.equal((await after.snapshot({ order: 'asc', after: 0 })).lastOffset, 4);
});

test('an instance that misses what it knows takes no range of append ids that it may have already [P-1, P-2]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  await (await PostgresStore.open(address, undefined, { allowsLoss: true })).close();
  const { rows } = await client.query<{ ranges: string }>('SELECT ranges FROM head');
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true, rangeIds: 2 });
  t.after(() => store.close());
  await append(store, 'lost');
  await loseFrom(client, 1);
  await client.query(`UPDATE head SET ranges = ${rows[0]!.ranges}`);
  await cutAll(client);
  for (let i = 1; i <= 12; i++) {
    assert.deepEqual([...(await append(store, `e-${i}`))[0]!.offsets], [i]);
  }
});
