import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { until } from '../../../../../lab/program.ts';
import { ACCEPTED, StoreError } from '../../../src/store/event-store.ts';
import { LogEnd } from '../../../src/store/postgres/log-end.ts';
import type { PostgresOptions } from '../../../src/store/postgres/parts.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { TO_FORMAT_1, TO_FORMAT_7 } from '../../support/older-schema.ts';
import { StoredGroup } from '../../support/stored-group.ts';
import { TestClock } from '../../support/stores.ts';
import { beside, newLog, refusalToOpen, sharedServer } from '../../support/postgres-server.ts';

const LOSSY: PostgresOptions = { allowsLoss: true };

test('twenty instances that start at once on an empty database make one log', async (t) => {
  const address = await newLog();
  const stores = await Promise.all(
    Array.from({ length: 20 }, () => PostgresStore.open(address, undefined, LOSSY)),
  );
  t.after(() => Promise.all(stores.map((store) => store.close())));
  const results = await Promise.all(stores.map((store) => store.append([batchOf(eventWith())])));
  assert.equal(results.flat().reduce((sum, { accepted }) => sum + accepted, 0), 1); // prettier-ignore
  assert.equal(new Set(stores.map(({ epochs }) => epochs[0]!.name)).size, 1);
});

test('a server that could lose what it confirms is refused', async () => {
  const message = await refusalToOpen(await newLog(), {});
  assert.match(message, /fsync is off/);
});

test('a schema of a newer version is refused, and left as it is', async (t) => {
  const address = await newLog();
  await (await PostgresStore.open(address, undefined, LOSSY)).close();
  const client = await beside(t, address);
  await client.query('UPDATE about SET format = 1000');
  assert.match(await refusalToOpen(address), /has format 1000, which a newer version wrote/);
});

test('a schema of an older format is brought up to date by its owner, with its groups as they were', async (t) => {
  const address = await newLog();
  const old = await PostgresStore.open(address, undefined, LOSSY);
  await StoredGroup.make({ store: old, clock: new TestClock(1_000_000) });
  await old.close();
  const client = await beside(t, address);
  const schema = new URL(address).searchParams.get('schema')!;
  await client.query(TO_FORMAT_1);
  const user = `user_of_${schema}`;
  await client.query(`CREATE ROLE ${user} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${user};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${user}`);
  const asUser = new URL(address);
  asUser.searchParams.set('user', user);
  assert.match(
    await refusalToOpen(asUser.href),
    /has format 1, and the user may not .* start this version once as the owner/,
  );
  const store = await PostgresStore.open(address, undefined, LOSSY);
  t.after(() => store.close());
  const [group] = await store.groups.apply([['find', 'workers']]);
  assert.equal(group!.expired, 0);
});

test('repeats that an older format has noted are told by the next one as what they are', async (t) => {
  const address = await newLog();
  const clock = new TestClock(1_000_000);
  const old = await PostgresStore.open(address, undefined, { ...LOSSY, now: clock.now });
  await old.append([batchOf(eventWith(), eventWith({ event_id: 'e-2' }))]);
  clock.ms += 5000;
  const other = eventWith({ event_id: 'e-2', source: 'app' });
  await old.append([batchOf(eventWith(), eventWith({ event_id: 'e-3' }), other, eventWith({ event_id: 'e-3' }), eventWith())]); // prettier-ignore
  await old.close();
  const client = await beside(t, address);
  await client.query(TO_FORMAT_7);
  const store = await PostgresStore.open(address, undefined, { ...LOSSY, now: clock.now });
  t.after(() => store.close());
  const { duplicates, conflicts } = await store.repeats.ages({});
  assert.deepEqual([duplicates.slice(0, 3), conflicts.slice(0, 3)], [[1, 3, 0], [0, 1, 0]]); // prettier-ignore
  const page = await store.repeats.conflicts({ before: null, limit: 10 });
  assert.deepEqual(
    page.conflicts.map(({ eventId, offset, source, text }) => [eventId, offset, source, JSON.parse(text!)]),
    [['e-2', 2, 'app', other]],
  );
  assert.equal((await store.repeats.history('orders', 'e-3'))?.duplicates, 1);
});

test('a schema of another program is refused, and left as it is', async (t) => {
  const address = await newLog();
  const schema = new URL(address).searchParams.get('schema')!;
  const client = await beside(t, address);
  await client.query(`CREATE SCHEMA ${schema}; CREATE TABLE head (x int)`);
  assert.match(await refusalToOpen(address), /holds tables of another program/);
  await client.query('CREATE TABLE about (page text)');
  assert.match(await refusalToOpen(address), /holds tables of another program/);
  const { rows } = await client.query('SELECT FROM pg_tables WHERE schemaname = $1', [schema]);
  assert.equal(rows.length, 2);
});

test('what is wrong with an address is said in one line that tells what to do, without the password', async () => {
  const { folder } = await sharedServer();
  const at = (rest: string) => `postgres://postgres:hidden@localhost${rest}`;
  const wrong: [string, RegExp][] = [
    [at(`/missing?host=${folder}`), /database "missing" does not exist; make it/],
    [`postgres://nobody:hidden@localhost/postgres?host=${folder}`, /role "nobody" does not exist/],
    [at('/postgres?schema=A-b'), /schema is "A-b": it takes/],
    ['postgres://postgres:hidden@127.0.0.1:1/postgres', /ECONNREFUSED/],
    ['postgres://postgres:hidden@x.invalid/postgres', /ENOTFOUND|EAI_AGAIN/],
  ];
  for (const [address, says] of wrong) {
    const message = await refusalToOpen(address);
    assert.match(message, says);
    assert.ok(!message.includes('hidden'), message);
  }
});

test('an instance serves nothing before a commit of its own is confirmed', async (t) => {
  const address = await newLog();
  await (await PostgresStore.open(address, undefined, LOSSY)).close();
  const client = await beside(t, address);
  await client.query('BEGIN');
  await client.query('SELECT FROM head FOR UPDATE');
  let isOpen = false;
  const opening = PostgresStore.open(address, undefined, LOSSY).then((store) => {
    isOpen = true;
    return store;
  });
  await sleep(300);
  assert.equal(isOpen, false, 'what it would read may be on no standby');
  await client.query('COMMIT');
  await (await opening).close();
});

test('no time-out of the role or the database cuts a commit short', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  await client.query("ALTER DATABASE postgres SET statement_timeout = '100ms'");
  const store = await PostgresStore.open(address, undefined, LOSSY);
  t.after(() => store.close());
  await client.query('BEGIN');
  await client.query('SELECT FROM head FOR UPDATE');
  const appending = store.append([batchOf(eventWith())]);
  await sleep(300);
  await client.query('COMMIT');
  await client.query('ALTER DATABASE postgres RESET statement_timeout');
  const [result] = await appending;
  assert.equal(result!.accepted, 1);
});

test('a log that ends below what was acknowledged begins a new epoch, loudly', async (t) => {
  const address = await newLog();
  const messages: string[] = [];
  const store = await PostgresStore.open(address, ({ message }) => messages.push(message), LOSSY);
  t.after(() => store.close());
  await store.append([batchOf(eventWith({ event_id: 'a' }))]);
  await store.append([batchOf(eventWith({ event_id: 'b' }))]);
  const client = await beside(t, address);
  await loseLast(client);
  await cutAll(client);
  const [again] = await store.append([batchOf(eventWith({ event_id: 'b' }))]);
  assert.deepEqual([...again!.offsets], [2]);
  assert.deepEqual(
    store.epochs.map(({ afterOffset }) => afterOffset),
    [0, 1],
  );
  assert.ok(
    messages.some((message) => message.includes('has lost events that were acknowledged')),
    messages.join(),
  );
});

test('what was acknowledged is missed though another instance has written on in its place', async (t) => {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, LOSSY);
  const other = await PostgresStore.open(address, undefined, LOSSY);
  t.after(() => Promise.all([store.close(), other.close()]));
  await store.append([batchOf(eventWith({ event_id: 'a' }))]);
  await store.append([batchOf(eventWith({ event_id: 'b' }))]);
  const client = await beside(t, address);
  await loseLast(client);
  await other.append([batchOf(eventWith({ event_id: 'c' }), eventWith({ event_id: 'd' }))]);
  await cutAll(client);
  const [again] = await store.append([batchOf(eventWith({ event_id: 'b' }))]);
  assert.deepEqual([...again!.verdicts], [ACCEPTED]);
  assert.deepEqual([...again!.offsets], [4]);
  assert.deepEqual(
    store.epochs.map(({ afterOffset }) => afterOffset),
    [0, 1],
  );
});

test('a start that fails once it hears of commits leaves no connection behind', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const looks = t.mock.method(LogEnd.prototype, 'look', async () => {
    if (looks.mock.callCount() > 0) throw new StoreError('failed', 'the connection was lost');
    return 0;
  });
  await assert.rejects(PostgresStore.open(address, undefined, LOSSY));
  assert.equal(looks.mock.callCount(), 2);
  try {
    await until(
      () => 'all connections are closed',
      async () => {
        const { rows } = await client.query(
          "SELECT FROM pg_stat_activity WHERE application_name = 'chronicleweaver'",
        );
        return rows.length === 0;
      },
      10_000,
    );
  } finally {
    // One that is left would keep this process from ending, too.
    await cutAll(client);
  }
});

/** As where a standby was promoted that lacks the commit of offset 2. */
async function loseLast(client: Client): Promise<void> {
  await client.query(
    'DELETE FROM block WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 2)',
  );
  await client.query('DELETE FROM key WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 2)');
  await client.query('DELETE FROM log WHERE first_offset = 2');
  await client.query('UPDATE head SET last_offset = 1, received = 1');
}

async function cutAll(client: Client): Promise<void> {
  await client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chronicleweaver'",
  );
}
