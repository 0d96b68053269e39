import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { type InboxOptions, type SqliteDatabase, type SqliteHandler, inbox } from '../src/inbox/index.ts';
import type { DeliveredEvent } from '../src/index.ts';
import { groupsOn } from './support/groups.ts';
import { effectInSqlite } from './support/inbox-shops.ts';
import { sharedServer } from './support/shared-server.ts';

const TIMEOUT = { timeout: 60_000 };

const server = await sharedServer();
const groupOf = groupsOn(server);
type Group = Awaited<ReturnType<typeof groupOf>>;

function shopOf(t: TestContext): { path: string; database: DatabaseSync; effects: () => unknown[] } {
  const path = join(tempFolder(t), 'shop.db');
  const database = new DatabaseSync(path);
  t.after(() => database.close());
  database.exec(`PRAGMA journal_mode = WAL; CREATE TABLE effects (event_id TEXT);
                 CREATE TABLE account (balance INTEGER); INSERT INTO account VALUES (0)`);
  const effects = () =>
    database
      .prepare('SELECT * FROM effects ORDER BY event_id')
      .all()
      .map((row) => row['event_id']);
  return { path, database, effects };
}

async function drain<D extends SqliteDatabase>(
  { chronicle, name, drained }: Group,
  database: D,
  handler: SqliteHandler<D>,
  options: InboxOptions = {},
): Promise<unknown[]> {
  const told: unknown[] = [];
  const stop = new AbortController();
  const onError = (error: unknown): void => void told.push(error);
  const running = inbox(chronicle, database, name, handler, { onError, ...options, signal: stop.signal });
  await Promise.race([running, drained()]);
  stop.abort();
  await running;
  return told;
}

/** A database as better-sqlite3 and Bun have it: their errors have words for codes, and integers may be bigints. */
function inWords(database: DatabaseSync): SqliteDatabase {
  const worded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      const { errcode, message } = error as { errcode: number; message: string };
      throw Object.assign(new Error(message), { code: errcode === 5 ? 'SQLITE_BUSY' : 'SQLITE_ERROR' });
    }
  };
  return {
    exec: (sql) => worded(() => database.exec(sql)),
    prepare: (sql) => {
      const statement = worded(() => database.prepare(sql));
      statement.setReadBigInts(true);
      return {
        get: (...values) => worded(() => statement.get(...values)),
        all: (...values) => worded(() => statement.all(...values)),
      };
    },
  };
}

for (const [kind, opened] of [
  ['node:sqlite', (database: DatabaseSync): SqliteDatabase => database],
  ['a database as better-sqlite3 has it', inWords],
] as const) {
  test(
    `${kind}: a file that somebody else writes to is waited for, without another delivery`,
    TIMEOUT,
    async (t) => {
      const { path, database, effects } = shopOf(t);
      const group = await groupOf(t, 5, { max_deliveries: 1 });
      const other = new DatabaseSync(path);
      t.after(() => other.close());
      other.exec('BEGIN IMMEDIATE');
      const told: unknown[] = [];
      const attempts = Promise.withResolvers<void>();
      const onError = (error: unknown): void => {
        if (told.push(error) === 3) attempts.resolve();
      };
      const draining = drain(group, opened(database), effectInSqlite, { onError, concurrency: 3 });
      await attempts.promise;
      other.exec('COMMIT');
      await draining;
      for (const error of told) assert.match(String(error), /locked/);
      assert.deepEqual(effects(), ['e-1', 'e-2', 'e-3', 'e-4', 'e-5']);
      const { deliveries, dead } = await group.group();
      assert.deepEqual([deliveries, dead], [5, 0]);
    },
  );

  test(
    `${kind}: a transaction that is open on the same connection is not touched, but waited for`,
    TIMEOUT,
    async (t) => {
      const { database, effects } = shopOf(t);
      const group = await groupOf(t, 1, { max_deliveries: 1 });
      await drain(group, opened(database), () => {});
      await group.chronicle.groups.seek(group.name, { offset: 'earliest' });
      database.exec("DELETE FROM chronicle_inbox; BEGIN; INSERT INTO effects VALUES ('mine')");
      const told: unknown[] = [];
      const onError = (error: unknown): void => {
        if (told.push(error) === 3) database.exec('ROLLBACK');
      };
      await drain(group, opened(database), effectInSqlite, { onError });
      assert.equal((told[0] as { code: string }).code, 'transaction_open');
      assert.deepEqual(effects(), ['e-1']);
    },
  );
}

test(
  'a handler that waits is refused: an async function before anything happens, a promise at the first event',
  TIMEOUT,
  async (t) => {
    const { database, effects } = shopOf(t);
    const group = await groupOf(t, 2);
    const waits = async (event: DeliveredEvent, tx: SqliteDatabase): Promise<void> =>
      effectInSqlite(event, tx);
    // @ts-expect-error a handler for SQLite returns no promise
    const first = inbox(group.chronicle, database, group.name, waits);
    await assert.rejects(first, { code: 'asynchronous_handler' });
    const returning: (...given: Parameters<typeof effectInSqlite>) => unknown = (event, tx) => {
      effectInSqlite(event, tx);
      return Promise.reject(new Error('nobody hears this'));
    };
    const second = drain(group, database, returning as () => void);
    await assert.rejects(second, { code: 'asynchronous_handler' });
    assert.deepEqual(effects(), []);
    const { acknowledged, dead } = await group.group();
    assert.deepEqual([acknowledged, dead], [0, 0]);
  },
);

test(
  'a handler that ends the transaction itself has its event given back, and no effect twice',
  TIMEOUT,
  async (t) => {
    const { database, effects } = shopOf(t);
    const group = await groupOf(t, 2);
    const told = await drain(
      group,
      database,
      (event, tx) => {
        effectInSqlite(event, tx);
        if (event.delivery === 1) tx.exec(event.event_id === 'e-1' ? 'COMMIT' : 'ROLLBACK');
      },
      { nackDelayMs: () => 0 },
    );
    assert.deepEqual(effects(), ['e-1', 'e-2']);
    for (const error of told) assert.match(String(error), /no transaction is active/);
    assert.equal((await group.group()).redeliveries, 2);
  },
);

test('a foreign key that is checked at the end has the event given back', TIMEOUT, async (t) => {
  const { database, effects } = shopOf(t);
  database.exec(`CREATE TABLE part (of INTEGER REFERENCES whole (id) DEFERRABLE INITIALLY DEFERRED);
                 CREATE TABLE whole (id INTEGER PRIMARY KEY)`);
  const group = await groupOf(t, 2, { max_deliveries: 1 });
  const told = await drain(group, database, (event, tx) => {
    effectInSqlite(event, tx);
    if (event.event_id === 'e-1') tx.exec('INSERT INTO part VALUES (1)');
  });
  assert.match(String(told[0]), /FOREIGN KEY/);
  assert.deepEqual(effects(), ['e-2']);
  assert.equal((await group.group()).dead, 1);
});

test(
  'a worker that stood still for so long that rows may be gone gives back what it has in hand',
  TIMEOUT,
  async (t) => {
    const { database, effects } = shopOf(t);
    const group = await groupOf(t, 1);
    let days = 0;
    const { now } = Date;
    t.mock.method(Date, 'now', () => now() + days * 86_400_000);
    const slow: SqliteDatabase = {
      exec: (sql) => {
        if (sql.startsWith('BEGIN')) days += days === 0 ? 3 : 0;
        database.exec(sql);
      },
      prepare: (sql) => database.prepare(sql),
    };
    const told = await drain(group, slow, effectInSqlite, { nackDelayMs: () => 0 });
    assert.deepEqual(
      told.map((error) => (error as { code?: string }).code),
      ['stalled'],
    );
    assert.deepEqual(effects(), ['e-1']);
    assert.equal((await group.group()).redeliveries, 1);
  },
);
