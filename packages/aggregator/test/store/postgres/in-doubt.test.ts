import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { ACCEPTED, type AppendResult, DUPLICATE, type EventStore } from '../../../src/store/event-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { type Cut, CuttingProxy } from '../../support/cutting-proxy.ts';
import { PostgresServer } from '../../../../../lab/postgres-server.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { newLog, sharedServer } from '../../support/postgres-server.ts';
import { all } from '../../support/store-suites.ts';
import { until } from '../../support/until.ts';

/** A store that reaches its server through a proxy, and the address without it. */
async function proxied(
  t: TestContext,
  marker?: string,
): Promise<{ store: EventStore; proxy: CuttingProxy; address: string }> {
  const { folder } = await sharedServer();
  const address = await newLog();
  const proxy = await CuttingProxy.start(t, `${folder}/.s.PGSQL.5432`, marker);
  const schema = new URL(address).searchParams.get('schema')!;
  const store = await PostgresStore.open(
    `postgres://postgres@127.0.0.1:${proxy.port}/postgres?schema=${schema}`,
    undefined,
    { allowsLoss: true },
  );
  t.after(() => store.close());
  return { store, proxy, address };
}

/** The same, with another instance that reaches the server directly. */
async function withOther(t: TestContext, marker?: string) {
  const { address, ...parts } = await proxied(t, marker);
  const other = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => other.close());
  return { ...parts, other };
}

/** Appends the events, and has these ids forgotten while nobody answers its commit; then it may ask again. */
async function unanswered(
  { store, proxy, other }: Awaited<ReturnType<typeof withOther>>,
  events: readonly Parameters<typeof batchOf>[number][],
  forgotten: readonly string[],
): Promise<{ readonly answer: Promise<AppendResult[]> }> {
  const { accepted } = await other.stats();
  proxy.cuts.push('after');
  proxy.isClosed = true;
  const answer = store.append([batchOf(...events)]);
  await until(
    () => 'it is committed',
    async () => (await other.stats()).accepted > accepted,
  );
  for (const id of forgotten) assert.notEqual(await other.retention.erase('orders', id, true), null);
  proxy.isClosed = false;
  return { answer };
}

for (const cut of ['before', 'after', 'late'] as const satisfies Cut[]) {
  test(`an append whose connection is cut ${cut} the server commits it is stored and counted once, and answered [P-2, P-5]`, async (t) => {
    const { store, proxy } = await proxied(t);
    await store.append([batchOf(eventWith({ event_id: 'old' }))]);
    proxy.cuts.push(cut);
    const [result] = await store.append([
      batchOf(
        eventWith({ event_id: 'old' }),
        ...manyEvents(3),
        eventWith({ event_id: 'e-1', source: 'other' }),
      ),
    ]);
    assert.equal(proxy.done, 1);
    assert.deepEqual([...result!.offsets], [1, 2, 3, 4, 2]);
    assert.deepEqual([...result!.verdicts], [DUPLICATE, ACCEPTED, ACCEPTED, ACCEPTED, 2]);
    // One that comes late finds that it is too late.
    if (cut === 'late') await sleep(300);
    assert.equal((await all(store)).length, 4);
    const { received, accepted, conflicts } = await store.stats();
    assert.deepEqual({ received, accepted, conflicts }, { received: 6, accepted: 4, conflicts: 1 });
    const times = (await all(store)).map(({ received_at: at }) => Date.parse(at));
    assert.equal(times[1], result!.receivedMs);
  });

  test(`an append of nothing but duplicates that is cut ${cut} the commit is counted once [P-5]`, async (t) => {
    const { store, proxy } = await proxied(t);
    await store.append([batchOf(...manyEvents(3))]);
    proxy.cuts.push(cut, cut);
    const [result] = await store.append([batchOf(...manyEvents(3))]);
    assert.ok(proxy.done >= 1);
    assert.deepEqual([...result!.offsets], [1, 2, 3]);
    if (cut === 'late') await sleep(300);
    const { received, duplicates } = await store.stats();
    assert.deepEqual({ received, duplicates }, { received: 6, duplicates: 3 });
  });
}

test('an append whose ids are forgotten before it learns that it was committed is answered as it was, and remembers none of them [P-2, RET-16]', async (t) => {
  const parts = await withOther(t);
  const { store } = parts;
  await store.append([batchOf(eventWith({ event_id: 'old' }))]);
  const events = [...manyEvents(3), eventWith({ event_id: 'old' })];
  const { answer } = await unanswered(parts, events, ['e-1', 'e-2']);
  const [result] = await answer;
  assert.deepEqual([...result!.verdicts], [ACCEPTED, ACCEPTED, ACCEPTED, DUPLICATE]);
  assert.deepEqual([...result!.offsets], [2, 3, 4, 1]);
  const [again] = await store.append([batchOf(...manyEvents(3))]);
  assert.deepEqual([...again!.verdicts], [ACCEPTED, ACCEPTED, DUPLICATE]);
  assert.deepEqual([...again!.offsets], [5, 6, 4]);
});

test('an append of which nobody can tell any more which of its events it stored is in doubt [P-2, RET-16]', async (t) => {
  const parts = await withOther(t);
  const [old, fresh] = [eventWith({ event_id: 'old' }), eventWith({ event_id: 'new' })];
  await parts.store.append([batchOf(old)]);
  const { answer } = await unanswered(parts, [old, fresh], ['old', 'new']);
  await assert.rejects(answer, { code: 'in_doubt' });
});

test('an id is forgotten also by those who wait for an append that was committed before, and has no answer yet [RET-16]', async (t) => {
  const { store, proxy, other } = await withOther(t);
  const append = async (id: string) => (await store.append([batchOf(eventWith({ event_id: id }))]))[0]!;
  await Promise.all(['x', 'y', 'z'].map(append));
  proxy.cuts.push('unanswered');
  const first = append('e-1');
  await until(
    () => 'it is committed',
    async () => (await other.find('orders', 'e-1')) !== undefined,
  );
  await other.retention.erase('orders', 'e-1', true);
  // So that it knows what appends go by now.
  await append('another');
  const again = append('e-1');
  await sleep(100);
  proxy.answer();
  assert.equal((await first).verdicts[0], ACCEPTED);
  assert.equal((await again).verdicts[0], ACCEPTED);
  assert.equal((await all(store)).at(-1)!.event_id, 'e-1');
});

test('an erasure that learns late that it was done leaves the event alone that was published again under its id [RET-16]', async (t) => {
  const { store, proxy, other } = await withOther(t, 'COMMIT\0');
  await store.append([batchOf(eventWith())]);
  proxy.cuts.push('unanswered');
  const erasing = store.retention.erase('orders', 'e-1', true);
  await until(
    () => 'the id to be forgotten',
    async () => (await other.find('orders', 'e-1')) === undefined,
  );
  assert.equal((await other.append([batchOf(eventWith())]))[0]!.verdicts[0], ACCEPTED);
  proxy.drop();
  assert.equal((await erasing)?.offset, 1);
  assert.equal(typeof (await other.find('orders', 'e-1')), 'string');
});

test('a commit at which the server warns is not taken for done until a later one is confirmed', async (t) => {
  const { store, address } = await proxied(t);
  await store.append([batchOf(eventWith({ event_id: 'first' }))]);
  const url = new URL(address);
  const schema = url.searchParams.get('schema')!;
  url.searchParams.delete('schema');
  const other = new Client(url.href);
  await other.connect();
  // As where the wait for a standby is cut short: the commit is done, and the server says so with a warning.
  await other.query(`
    CREATE SEQUENCE ${schema}.warned;
    CREATE FUNCTION ${schema}.warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF nextval('${schema}.warned') <= 2 THEN
        RAISE WARNING 'canceling wait for synchronous replication due to user request';
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER warn AFTER UPDATE ON ${schema}.head FOR EACH ROW EXECUTE FUNCTION ${schema}.warn()`);
  const [result] = await store.append([batchOf(eventWith({ event_id: 'second' }))]);
  assert.deepEqual([...result!.offsets], [2]);
  assert.deepEqual([...result!.verdicts], [ACCEPTED]);
  const { rows } = await other.query<{ last_value: string }>(`SELECT last_value FROM ${schema}.warned`);
  // The commit, the session that was begun next and warned at, too, and one that was not.
  assert.ok(Number(rows[0]!.last_value) >= 3, rows[0]!.last_value);
  assert.equal((await store.stats()).received, 2);
  await other.end();
});

test('what was committed with its wait for the standby cut short is shown by no instance before a later commit is confirmed [P-1]', async (t) => {
  const server = await PostgresServer.start({ settings: { fsync: 'off', full_page_writes: 'off' } });
  const address = server.newLog();
  const schema = new URL(address).searchParams.get('schema')!;
  const publisher = await PostgresStore.open(address, undefined, { allowsLoss: true });
  const reader = await PostgresStore.open(address, undefined, { allowsLoss: true });
  const admin = new Client(server.address());
  await admin.connect();
  const other = new Client(server.address());
  await other.connect();
  await other.query('CREATE TABLE written (one int)');
  const standbys = async (names: string): Promise<void> => {
    await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    await admin.query('SELECT pg_reload_conf()');
  };
  const isAny = (sql: string) => async () => (await admin.query(sql)).rows.length > 0;
  t.after(async () => {
    await standbys('');
    await Promise.all([publisher.close(), reader.close(), admin.end(), other.end()]);
    await server.close();
  });
  await publisher.append([batchOf(eventWith({ event_id: 'first' }))]);
  let shownTo = 0;
  reader.watch(0, ({ lastOffset }) => (shownTo = lastOffset));
  await until(
    () => 'the first event is shown',
    () => shownTo === 1,
  );
  // A session that begins makes a commit, which would wait, too: none of the looks below is to need a new one.
  await Promise.all(Array.from({ length: 16 }, () => reader.topics()));
  // There is none, so every commit waits, as soon as the server has taken note.
  await standbys('nobody');
  const waiting = (text: string): string =>
    `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%${text}%'`;
  await until(
    () => 'commits wait',
    async () => {
      void other.query('INSERT INTO written VALUES (1)');
      await sleep(100);
      return (await admin.query(waiting('INSERT INTO written'))).rows.length > 0;
    },
  );
  await admin.query(`SELECT pg_cancel_backend(pid) FROM (${waiting('INSERT INTO written')}) AS one`);
  const answer = publisher.append([batchOf(eventWith({ event_id: 'second' }))]);
  await until(() => 'the commit waits', isAny(waiting('INSERT INTO key')));
  await admin.query(`SELECT pg_cancel_backend(pid) FROM (${waiting('INSERT INTO key')}) AS one`);
  await until(() => 'the server shows it', isAny(`SELECT FROM ${schema}.head WHERE last_offset = 2`));
  const looks: Promise<unknown>[] = [];
  for (const look of [
    () => reader.find('orders', 'second'),
    () => reader.stats(),
    () => reader.topics(),
    () => reader.snapshot({ order: 'asc', after: 0 }),
  ]) {
    looks.push(look());
    assert.equal(await Promise.race([...looks, sleep(300, 'none')]), 'none');
  }
  assert.equal(shownTo, 1);
  await standbys('');
  assert.deepEqual([...(await answer)[0]!.offsets], [2]);
  assert.equal((await reader.snapshot({ order: 'asc', after: 0 })).lastOffset, 2);
  await Promise.all(looks);
  await until(
    () => 'the second event is shown',
    () => shownTo === 2,
  );
});
