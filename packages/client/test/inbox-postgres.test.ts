import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { Pool, type PoolClient } from 'pg';
import { until } from '../../../lab/program.ts';
import { textOf } from '../../../lab/repository.ts';
import { sharedServer as sharedPostgres } from '../../aggregator/test/support/postgres-server.ts';
import {
  type PostgresClient,
  type PostgresInboxOptions,
  type PostgresPool,
  inbox,
} from '../src/inbox/index.ts';
import { ChronicleWeaver, type DeliveredEvent } from '../src/index.ts';
import { groupsOn } from './support/groups.ts';
import { sharedServer } from './support/shared-server.ts';

const TIMEOUT = { timeout: 60_000 };

const server = await sharedServer();
const groupOf = groupsOn(server);
type Group = Awaited<ReturnType<typeof groupOf>>;

/** A schema of the test's own, with an account for each of two owners, and a pool on it. */
async function shopOf(t: TestContext, max = 5): Promise<{ pool: Pool; config: { options: string } }> {
  const schema = `bank_${randomBytes(6).toString('hex')}`;
  const config = {
    connectionString: (await sharedPostgres()).address(),
    options: `-c search_path=${schema}`,
  };
  const pool = new Pool({ ...config, max });
  pool.on('error', () => {});
  t.after(() => pool.end());
  await pool.query(`CREATE SCHEMA ${schema}`);
  await pool.query(`CREATE TABLE effects (event_id text); CREATE TABLE account (owner text PRIMARY KEY, balance int);
                    INSERT INTO account VALUES ('a', 0), ('b', 0)`);
  return { pool, config };
}

const effect = (event: DeliveredEvent, tx: PostgresClient): Promise<unknown> =>
  tx.query('INSERT INTO effects VALUES ($1)', [event.event_id]);

async function effectsIn(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query<{ event_id: string }>('SELECT event_id FROM effects ORDER BY event_id');
  return rows.map(({ event_id: id }) => id);
}

/** Runs an inbox until the group is drained; returns what onError was told. */
async function drain(
  { chronicle, name, drained }: Group,
  pool: PostgresPool,
  handler: (event: DeliveredEvent, tx: PostgresClient) => unknown,
  options: PostgresInboxOptions = {},
): Promise<unknown[]> {
  const told: unknown[] = [];
  const stop = new AbortController();
  const onError = (error: unknown): void => void told.push(error);
  const running = inbox<PostgresPool>(chronicle, pool, name, handler, {
    nackDelayMs: () => 0,
    onError,
    ...options,
    signal: stop.signal,
  });
  await Promise.race([running, drained()]);
  stop.abort();
  await running;
  return told;
}

/** A pool whose clients do with each statement what the test says. */
function poolAround(
  pool: Pool,
  query: (
    sql: string,
    go: () => ReturnType<PostgresClient['query']>,
    client: PoolClient,
  ) => ReturnType<PostgresClient['query']>,
): PostgresPool {
  return {
    connect: async () => {
      const client = await pool.connect();
      const own: PostgresClient = {
        query: (sql, values) => query(sql, () => client.query(sql, values), client),
        on: (event, listener) => client.on(event, listener),
        off: (event, listener) => client.off(event, listener),
        release: (destroy) => client.release(destroy),
      };
      return own;
    },
  };
}

test(
  'a second worker waits for the transaction of the first, and sees whether the event is done',
  TIMEOUT,
  async (t) => {
    const { pool } = await shopOf(t);
    for (const commits of [true, false]) {
      const group = await groupOf(t, 1);
      await pool.query('DROP TABLE IF EXISTS chronicle_inbox; TRUNCATE effects');
      const calls: string[] = [];
      const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const deaf = new ChronicleWeaver({ url: server.url });
      const stop = new AbortController();
      const first = inbox(
        deaf,
        pool,
        group.name,
        async (event, tx) => {
          calls.push('first');
          await effect(event, tx);
          begun.resolve();
          await go.promise;
          if (!commits) throw new Error('not now');
        },
        { signal: stop.signal, onError: () => {} },
      );
      await begun.promise;
      // It loses its lease, of a minute, without knowing.
      await group.chronicle.groups.seek(group.name, { offset: 'earliest' });
      const second = drain(group, pool, async (event, tx) => {
        calls.push('second');
        await effect(event, tx);
      });
      await until(
        () => 'the second one to wait',
        async () => {
          const { rows } = await pool.query(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%chronicle_inbox%' AND query NOT LIKE '%pg_stat%'",
          );
          return rows.length > 0;
        },
      );
      stop.abort();
      assert.deepEqual(calls, ['first']);
      go.resolve();
      await Promise.all([first, second]);
      await deaf.close();
      assert.deepEqual(calls, commits ? ['first'] : ['first', 'second']);
      assert.deepEqual(await effectsIn(pool), ['e-1']);
    }
  },
);

test(
  'an exhausted pool is waited for: no event is given back, none is delivered again',
  TIMEOUT,
  async (t) => {
    const { config } = await shopOf(t);
    const pool = new Pool({ ...config, max: 1 });
    t.after(() => pool.end());
    const group = await groupOf(t, 4, { max_deliveries: 1 });
    const taken = await pool.connect();
    // Not for the connection itself.
    pool.options.connectionTimeoutMillis = 50;
    const told: unknown[] = [];
    const onError = (error: unknown): void => void told.push(error);
    const draining = drain(group, pool, effect, { concurrency: 4, onError });
    await until(
      () => 'some attempts',
      () => told.length > 3,
    );
    assert.equal((await group.group()).acknowledged, 0);
    taken.release();
    await draining;
    assert.match(String(told[0]), /timeout exceeded when trying to connect/);
    assert.deepEqual(await effectsIn(pool), ['e-1', 'e-2', 'e-3', 'e-4']);
    const { acknowledged, deliveries, dead } = await group.group();
    assert.deepEqual([acknowledged, deliveries, dead], [4, 4, 0]);
  },
);

for (const [when, isCommitted] of [
  ['before the server has it', false],
  ['after the server has done it', true],
] as const) {
  test(
    `a connection lost in the middle of COMMIT, ${when}: the table is asked before the handler is called again`,
    TIMEOUT,
    async (t) => {
      const { pool } = await shopOf(t);
      const group = await groupOf(t, 2, { max_deliveries: 1 });
      const calls: string[] = [];
      let isLost = false;
      const breaking = poolAround(pool, async (sql, go, client) => {
        if (sql !== 'COMMIT' || isLost) return go();
        isLost = true;
        const { processID } = client as unknown as { processID: number };
        if (isCommitted) await go();
        await pool.query('SELECT pg_terminate_backend($1)', [processID]);
        await until(
          () => 'its end',
          async () =>
            (await pool.query('SELECT FROM pg_stat_activity WHERE pid = $1', [processID])).rowCount === 0,
        );
        return go();
      });
      const told = await drain(group, breaking, async (event, tx) => {
        calls.push(event.event_id);
        await effect(event, tx);
      });
      assert.equal(told.length, 1);
      assert.deepEqual(calls, isCommitted ? ['e-1', 'e-2'] : ['e-1', 'e-1', 'e-2']);
      assert.deepEqual(await effectsIn(pool), ['e-1', 'e-2']);
      assert.equal((await group.group()).deliveries, 2);
    },
  );
}

test('a connection lost while the handler works is not the fault of its event', TIMEOUT, async (t) => {
  const { pool } = await shopOf(t);
  const group = await groupOf(t, 1, { max_deliveries: 1 });
  let calls = 0;
  const told = await drain(group, pool, async (event, tx) => {
    await effect(event, tx);
    if (++calls > 1) return;
    await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
  });
  assert.equal(calls, 2);
  assert.equal(told.length, 1);
  assert.deepEqual(await effectsIn(pool), ['e-1']);
  assert.equal((await group.group()).dead, 0);
});

test('transactions that fail to serialize are tried again, without another delivery', TIMEOUT, async (t) => {
  const { pool } = await shopOf(t);
  const group = await groupOf(t, 8, { max_deliveries: 1 });
  let calls = 0;
  const conflict = Promise.withResolvers<void>();
  await drain(
    group,
    pool,
    async (event, tx) => {
      calls++;
      const { rows } = await tx.query("SELECT balance FROM account WHERE owner = 'a'");
      // The first two have both read before either writes.
      if (calls > 1) conflict.resolve();
      await conflict.promise;
      const { balance } = rows[0] as { balance: number };
      await tx.query("UPDATE account SET balance = $1 WHERE owner = 'a'", [balance + 1]);
      await effect(event, tx);
    },
    { isolation: 'serializable', concurrency: 4 },
  );
  const { rows } = await pool.query("SELECT balance FROM account WHERE owner = 'a'");
  assert.deepEqual(rows, [{ balance: 8 }]);
  assert.ok(calls > 8, `${calls} calls: there were conflicts`);
  assert.equal((await effectsIn(pool)).length, 8);
  const { deliveries, dead } = await group.group();
  assert.deepEqual([deliveries, dead], [8, 0]);
});

test(
  'a handler that goes on after a failed statement, or ends the transaction itself, has its event given back',
  TIMEOUT,
  async (t) => {
    const { pool } = await shopOf(t);
    const group = await groupOf(t, 2);
    const told = await drain(group, pool, async (event, tx) => {
      await effect(event, tx);
      if (event.delivery > 1) return;
      if (event.event_id === 'e-1') await tx.query('SELECT 1 / 0').catch(() => {});
      else await tx.query('ROLLBACK');
    });
    assert.deepEqual(
      told.map((error) => (error as { code?: string }).code),
      ['transaction_aborted', 'transaction_aborted'],
    );
    assert.deepEqual(await effectsIn(pool), ['e-1', 'e-2']);
    assert.equal((await group.group()).redeliveries, 2);
  },
);

test(
  'a user without the right to make the table can use one that is there, and is told what is missing otherwise',
  TIMEOUT,
  async (t) => {
    const { pool, config } = await shopOf(t);
    const role = `worker_${randomBytes(6).toString('hex')}`;
    const schema = config.options.split('=')[1]!;
    await pool.query(
      `CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT INSERT ON effects TO ${role}`,
    );
    const own = new Pool({ ...config, connectionString: (await sharedPostgres()).address('postgres', role) });
    t.after(() => own.end());
    const group = await groupOf(t, 2);
    let sql = '';
    await assert.rejects(drain(group, own, effect), (error: { code: string; message: string }) => {
      assert.equal(error.code, 'inbox_table');
      sql = /have it made: (.*)$/.exec(error.message)?.[1] ?? '';
      return true;
    });
    await pool.query(sql);
    await pool.query('DROP TABLE chronicle_inbox');
    await pool.query(/^```sql\n(.*?)^```$/ms.exec(textOf('packages/client/README.md'))![1]!);
    await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON chronicle_inbox TO ${role}`);
    assert.deepEqual(await drain(group, own, effect), []);
    assert.deepEqual(await effectsIn(pool), ['e-1', 'e-2']);

    // In another schema, by its name.
    await group.chronicle.groups.seek(group.name, { offset: 'earliest' });
    await drain(group, pool, () => {}, { table: `${schema}.Other_Inbox` });
    const { rows } = await pool.query('SELECT event_id FROM "Other_Inbox" ORDER BY event_id');
    assert.deepEqual(rows, [{ event_id: 'e-1' }, { event_id: 'e-2' }]);
  },
);

test('many workers that start at once make one table', TIMEOUT, async (t) => {
  const { pool } = await shopOf(t);
  const group = await groupOf(t, 20);
  await Promise.all(Array.from({ length: 5 }, () => drain(group, pool, effect, { concurrency: 4 })));
  assert.equal(new Set(await effectsIn(pool)).size, 20);
  assert.equal((await effectsIn(pool)).length, 20);
});

const WAITS = "SELECT FROM pg_locks WHERE relation = 'chronicle_inbox'::regclass AND NOT granted";

test('a table that goes while it runs ends the inbox, and not the events', TIMEOUT, async (t) => {
  const { pool } = await shopOf(t);
  const group = await groupOf(t, 3, { max_deliveries: 2 });
  const running = drain(group, pool, async (event, tx) => {
    await effect(event, tx);
    if (event.event_id !== 'e-1') return;
    void pool.query('DROP TABLE chronicle_inbox');
    // It goes once this transaction is over, before the next one can use it.
    await until(() => 'the wait for the table', async () => (await pool.query(WAITS)).rowCount === 1); // prettier-ignore
  });
  await assert.rejects(running, { code: '42P01' });
  const { dead } = await group.group();
  assert.equal(dead, 0);
});

test('an inbox whose database is down can be stopped, and gives its events back', TIMEOUT, async (t) => {
  const pool = new Pool({ host: '127.0.0.1', port: 1 });
  const { name, chronicle, group } = await groupOf(t, 2);
  const told: unknown[] = [];
  const stop = new AbortController();
  const running = inbox(chronicle, pool, name, () => assert.fail('it has no transaction'), {
    signal: stop.signal,
    onError: (error) => told.push(error),
  });
  await until(
    () => 'some attempts',
    () => told.length > 3,
  );
  stop.abort();
  await running;
  assert.equal((told[0] as { code: string }).code, 'ECONNREFUSED');
  const { in_flight, returned } = await group();
  assert.deepEqual([in_flight, returned], [0, 1]);

  await pool.end();
  await assert.rejects(
    inbox(chronicle, pool, name, () => {}),
    /after calling end/,
  );
});
