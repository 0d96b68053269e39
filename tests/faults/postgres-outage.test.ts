import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { type AggregatorProcess, Site, problemIn } from '../../lab/aggregator-process.ts';
import { PostgresServer, enterableFolder } from '../../lab/postgres-server.ts';
import { until } from '../../lab/program.ts';
import { SeededRandom } from '../../lab/random.ts';
import { beside } from '../../packages/aggregator/test/support/postgres-server.ts';
import { SmallDisk, mountMissing } from '../support/small-disk.ts';
import { SteadyPublishers } from '../support/steady-publishers.ts';

// What may happen to the database while the service runs: publishers are refused and told to come back, `/ready` says so,
// `/health` stays, and all is well again without a restart of the service.

const TIMEOUT = { timeout: 180_000 };

interface Running {
  readonly server: PostgresServer;
  readonly aggregator: AggregatorProcess;
}

async function running(
  t: TestContext,
  { settings = {}, parent, address }: { settings?: Record<string, string>; parent?: string; address?: (server: PostgresServer) => string } = {}, // prettier-ignore
): Promise<Running> {
  const server = await PostgresServer.start({ settings, ...(parent !== undefined && { parent }) });
  t.after(() => server.close());
  const site = new Site(t);
  const url = address?.(server) ?? server.address();
  return { server, aggregator: await site.start({ settings: { STORE_URL: url } }) };
}

/** Asserts that nothing can be committed, that it is said, and that the process is alive nevertheless. */
async function assertUnavailable(aggregator: AggregatorProcess, says: RegExp): Promise<void> {
  const ready = await fetch(`${aggregator.url}/ready`);
  assert.ok(Number(ready.headers.get('retry-after')) > 0);
  assert.match((await problemIn(ready, 503, 'store_unavailable')).detail, says);
  assert.equal((await fetch(`${aggregator.url}/health`)).status, 200);
}

async function untilReady(aggregator: AggregatorProcess): Promise<void> {
  await until(
    () => '/ready says so',
    async () => (await fetch(`${aggregator.url}/ready`)).status === 200,
    30_000,
  );
}

const sessionsOf = async (client: Client): Promise<{ count: number; idle_in_transaction: number }> => {
  const { rows } = await client.query<{ count: number; idle_in_transaction: number }>(`
    SELECT count(*)::int AS count, (count(*) FILTER (WHERE state LIKE 'idle in transaction%'))::int AS idle_in_transaction
    FROM pg_stat_activity WHERE application_name = 'chronicleweaver'`);
  return rows[0]!;
};

/** Two sessions that commit, four that read, one that listens. */
const SESSIONS = 7;

test(
  'a server that crashes and stays away is waited for, then publishers are refused, and all goes on when it is back [P-1, P-2, P-5, ERR-5, SYS-1, SYS-2]',
  TIMEOUT,
  async (t) => {
    const { server, aggregator } = await running(t);
    const publishers = new SteadyPublishers(aggregator);
    await publishers.more(200);
    await server.stop('immediate');
    await assertUnavailable(aggregator, /the database does not answer as it should/);
    const read = await fetch(`${aggregator.url}/events`);
    assert.ok(Number(read.headers.get('retry-after')) > 0);
    await problemIn(read, 503, 'store_unavailable');
    await until(() => 'publishers are refused', () => publishers.refusals.length > 4, 60_000); // prettier-ignore
    for (const detail of publishers.refusals) assert.match(detail, /ECONNREFUSED|ENOENT|terminated/);
    await server.start();
    await untilReady(aggregator);
    await publishers.more(200);
    await publishers.stop();
    await aggregator.stop();
  },
);

test(
  'a server that restarts again and again is only noticed by the time it takes [P-1, P-2, P-5]',
  TIMEOUT,
  async (t) => {
    const { server, aggregator } = await running(t);
    const publishers = new SteadyPublishers(aggregator);
    for (const mode of ['fast', 'immediate', 'fast', 'immediate'] as const) {
      await publishers.more(100);
      await server.stop(mode);
      await server.start();
    }
    await publishers.more(100);
    assert.deepEqual(publishers.refusals, []);
    await publishers.stop();
  },
);

test(
  'sessions that are ended or cancelled all the time cost time alone, and leave none behind [P-1, P-2, P-5]',
  TIMEOUT,
  async (t) => {
    const { server, aggregator } = await running(t);
    const client = await beside(t, server.address());
    const publishers = new SteadyPublishers(aggregator, 8);
    const reading = new AbortController();
    const readers = Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        while (!reading.signal.aborted) {
          // What reads may be cut short, or refused while nobody can be asked.
          const path = ['/events?limit=10', '/stats', '/topics', '/ready'][i]!;
          await fetch(aggregator.url + path).then((response) => response.text(), () => {}); // prettier-ignore
        }
      }),
    );
    for (let round = 0; round < 60; round++) {
      const how = round % 3 === 0 ? 'pg_terminate_backend' : 'pg_cancel_backend';
      await client.query(`
        SELECT ${how}(pid) FROM pg_stat_activity WHERE application_name = 'chronicleweaver' AND random() < 0.7`);
      await sleep(20);
    }
    reading.abort();
    await readers;
    await publishers.more(50);
    assert.deepEqual(publishers.refusals, []);
    await publishers.stop();
    await sleep(200);
    const { count, idle_in_transaction: open } = await sessionsOf(client);
    assert.ok(count <= SESSIONS, `${count} sessions`);
    assert.equal(open, 0);
    await aggregator.stop();
    await until(() => 'all sessions are gone', async () => (await sessionsOf(client)).count === 0); // prettier-ignore
  },
);

test(
  'rights that are revoked are missed, and serve again once they are granted [ERR-5, SYS-2]',
  TIMEOUT,
  async (t) => {
    const { server, aggregator, client } = await runningAs(t, 'writer');
    const publishers = new SteadyPublishers(aggregator);
    await publishers.more(50);
    for (const right of ['INSERT ON ours.key', 'UPDATE ON ours.head', 'SELECT ON ours.log']) {
      const before = publishers.refusals.length;
      await client.query(`REVOKE ${right} FROM writer`);
      await until(() => 'publishers are refused', () => publishers.refusals.length > before); // prettier-ignore
      assert.match(publishers.refusals.at(-1)!, /permission denied for table/);
      if (right.includes('head')) await assertUnavailable(aggregator, /permission denied for table head/);
      assert.equal((await fetch(`${aggregator.url}/health`)).status, 200);
      await client.query(`GRANT ${right} TO writer`);
      await publishers.more(50);
    }
    // Nobody may connect.
    await client.query('ALTER ROLE writer NOLOGIN');
    await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writer'");
    await assertUnavailable(aggregator, /role "writer" is not permitted to log in/);
    await client.query('ALTER ROLE writer LOGIN');
    await untilReady(aggregator);
    await publishers.more(50);
    await publishers.stop();
    assert.ok(server.log.length >= 0);
  },
);

test('a server without a free connection is waited for', TIMEOUT, async (t) => {
  const { server, aggregator, client } = await runningAs(t, 'writer');
  const publishers = new SteadyPublishers(aggregator);
  await publishers.more(50);
  await client.query('ALTER ROLE writer CONNECTION LIMIT 0');
  await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writer'");
  await assertUnavailable(aggregator, /too many connections for role "writer"/);
  await client.query('ALTER ROLE writer CONNECTION LIMIT -1');
  await untilReady(aggregator);
  await publishers.more(50);
  assert.deepEqual(publishers.refusals, []);
  await publishers.stop();
  assert.ok(server.log.length >= 0);
});

test(
  'a statement that the server has forgotten, or cannot plan any more, is prepared again',
  TIMEOUT,
  async (t) => {
    const { aggregator, client } = await runningAs(t, 'writer');
    const publishers = new SteadyPublishers(aggregator);
    await publishers.more(50);
    // As a newer version does at its start, while this one runs.
    for (const sql of [
      'ALTER TABLE ours.head ALTER COLUMN last_ms TYPE numeric; ALTER TABLE ours.head ALTER COLUMN last_ms TYPE bigint',
      'ALTER TABLE ours.log ADD COLUMN more int',
      'ALTER TABLE ours.log DROP COLUMN more',
      // What a statement answers has another type from then on.
      'ALTER TABLE ours.log ALTER COLUMN received_ms TYPE numeric',
      'ALTER TABLE ours.head ALTER COLUMN received TYPE numeric',
      'ALTER TABLE ours.topic ALTER COLUMN name TYPE varchar; ALTER TABLE ours.topic ALTER COLUMN name TYPE text COLLATE "C"',
    ]) {
      await client.query(sql);
      await publishers.more(30);
      assert.equal((await aggregator.get<{ count: number }>('/topics')).count, 3);
      assert.ok((await aggregator.stats()).received > 0);
    }
    assert.deepEqual(publishers.refusals, []);
    await publishers.stop();
  },
);

test(
  "the database's clock alone tells when an event came, however wrong that of the instance is",
  TIMEOUT,
  async (t) => {
    const server = await PostgresServer.start();
    t.after(() => server.close());
    const site = new Site(t);
    const late = 'data:text/javascript,const now = Date.now; Date.now = () => now() - 5 * 3600_000';
    const early = late.replace('-', '+');
    const settings = { STORE_URL: server.address() };
    const instances = [
      await site.start({ settings }),
      await site.start({ settings: { ...settings, NODE_OPTIONS: `--import "${late}"` } }),
      await site.start({ settings: { ...settings, NODE_OPTIONS: `--import "${early}"` } }),
    ];
    const from = Date.now();
    for (let i = 0; i < 9; i++) {
      const event = { topic: 't', source: 's', payload: {}, timestamp: '2025-10-28T10:00:00Z' };
      await instances[i % 3]!.publish({ ...event, event_id: `${i}` });
    }
    const { events } = await instances[1]!.events();
    const times = events.map(({ received_at: at }) => Date.parse(at));
    assert.equal(times.length, 9);
    assert.deepEqual(times, times.toSorted((a, b) => a - b)); // prettier-ignore
    assert.ok(times[0]! >= from - 1000 && times.at(-1)! <= Date.now() + 1000);
    // The clocks are wrong indeed: it is the one that the log's lines are told by.
    const hoursOff = instances.map(
      ({ logs }) => Math.round((Number(logs[0]!['time']) - from) / 3600_000) + 0,
    );
    assert.deepEqual(hoursOff, [0, -5, 5]);
  },
);

/** A service whose log, in the schema `ours`, belongs to somebody else than its role. */
async function runningAs(t: TestContext, role: string): Promise<Running & { client: Client }> {
  const server = await PostgresServer.start();
  t.after(() => server.close());
  const site = new Site(t);
  const client = await beside(t, server.address());
  await (await site.start({ settings: { STORE_URL: `${server.address()}&schema=ours` } })).stop();
  await client.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ours TO ${role}`);
  await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ours TO ${role}`);
  const settings = { STORE_URL: `${server.address('postgres', role)}&schema=ours` };
  return { server, client, aggregator: await site.start({ settings }) };
}

const missing = mountMissing();
if (missing === null) testsOnSmallDisks();
else if (process.env['REQUIRE_MOUNTS'] === '1' && process.getuid?.() === 0) {
  test('root can mount a disk, as REQUIRE_MOUNTS=1 asks', () => assert.fail(missing));
} else test("the effects of the server's full disk, on a small one mounted for the test", { skip: missing }, () => {}); // prettier-ignore

function testsOnSmallDisks(): void {
  test(
    'on a full disk of the server publishes are refused, reads go on, and all is well again once there is space [P-3, ERR-5, SYS-2]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      let server: PostgresServer | undefined;
      t.after(() => server?.close());
      const disk = new SmallDisk(t, 160, enterableFolder());
      const settings = { max_wal_size: '32MB', min_wal_size: '32MB', wal_recycle: 'off' };
      server = await PostgresServer.start({ settings, parent: disk.folder });
      const aggregator = await site.start({ settings: { STORE_URL: server.address() } });
      const publish = (first: number, chars: number) => aggregator.post({ events: [bulky(first, chars)] });
      assert.equal((await publish(1, 10)).status, 200);
      disk.fill();
      let refused: Response | undefined;
      for (let id = 2; refused === undefined; id++) {
        const response = await publish(id, 500_000);
        if (response.status !== 200) refused = response;
        else assert.ok(id < 200, 'the disk is never full');
      }
      assert.ok(Number(refused.headers.get('retry-after')) > 0);
      const { detail } = await problemIn(refused, 503, 'store_unavailable');
      t.diagnostic(detail);
      assert.equal((await fetch(`${aggregator.url}/health`)).status, 200);
      // Or the server has no space for its own log, and is gone or back already.
      if (detail.startsWith('no space is left')) {
        const ready = await fetch(`${aggregator.url}/ready`);
        assert.equal(ready.status, 503, await ready.text());
      }
      disk.free();
      // Without space for its log the server itself gives up; whoever looks after it starts it again.
      await server.stop('immediate').catch(() => {});
      await server.start();
      await untilReady(aggregator);
      assert.equal((await publish(1000, 10)).status, 200);
      const { unique_processed: stored } = await aggregator.stats();
      assert.equal((await aggregator.events()).events.length, stored);
      await aggregator.stop();
    },
  );
}

/** Its message is so long, and cannot be packed. */
function bulky(id: number, chars: number) {
  const random = new SeededRandom(id);
  const words = Array.from({ length: Math.ceil(chars / 6) }, () => random.whole(0x100000, 0xffffff).toString(16)); // prettier-ignore
  const payload = { message: words.join('').slice(0, chars) };
  return { event_id: `${id}`, topic: 't', source: 's', payload, timestamp: '2025-10-28T10:00:00Z' };
}
