import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '../../lab/program.ts';
import { command, docker, findCompose, freePort, inspect, logs, removeAll } from './engine.ts';

const MINUTE_MS = 60_000;
const COMPOSE_FILE = 'docker/docker-compose.postgres.yml';
const PREFIX = `chronicleweaver-test-${randomBytes(4).toString('hex')}`;

/** The shipped names of images may be somebody's; containers, networks and volumes are named after the project. */
const OWN_NAMES = `
services:
  aggregator-1: { image: '${PREFIX}-aggregator:latest' }
  aggregator-2: { image: '${PREFIX}-aggregator:latest' }
  publisher: { image: '${PREFIX}-publisher:latest' }
`;

const found = await findCompose();
if (found.found) {
  inContainers(found.compose);
} else if (process.env['REQUIRE_DOCKER'] === '1') {
  test('REQUIRE_DOCKER=1: there is a Docker engine with Compose', () => assert.fail(found.why));
} else {
  test('two instances on a primary and its standby, in a real engine', { skip: found.why });
}

/** The tests follow docs/operations.md, "Failover": each begins where the one before it has ended. */
function inContainers(composeCommand: readonly string[]): void {
  const image = `${PREFIX}-postgres:latest`;
  let folder: string;
  let port: number;
  let primary = 'postgres-1';

  /** The shipped file in a project of its own, with PostgreSQL and HAProxy as the machine has them. */
  const compose = async (args: readonly string[], env: Record<string, string> = {}): Promise<string> =>
    command(
      [...composeCommand, '-p', PREFIX, '-f', COMPOSE_FILE, '-f', join(folder, 'own-names.yml'), ...args],
      {
        timeoutMs: 10 * MINUTE_MS,
        env: {
          APP_PORT: String(port),
          POSTGRES_IMAGE: image,
          HAPROXY_IMAGE: image,
          DATABASE_PASSWORD: '',
          PUBLISH_COUNT: '',
          PRIMARY: primary,
          ...env,
        },
      },
    );
  const psql = async (server: string, ...statements: string[]): Promise<string> =>
    compose(['exec', '-T', server, 'psql', '-At', ...statements.flatMap((statement) => ['-c', statement])]);
  const containerOf = async (service: string): Promise<string> => {
    const id = await compose(['ps', '-q', service]);
    assert.match(id, /^[\da-f]+$/, service);
    return id;
  };

  /** Publishes, does the work once some of it is stored, and expects everything to be there once. */
  const publishing = async (count: number, work: () => Promise<unknown>): Promise<void> => {
    const before = await books(port);
    await compose(['rm', '--force', '--stop', 'publisher']);
    await compose(['up', '-d', '--no-deps', 'publisher'], { PUBLISH_COUNT: String(count) });
    await until(
      () => 'some of it to be stored',
      async () => (await books(port)).received > before.received + count / 10,
      MINUTE_MS,
    );
    await work();
    const publisher = await containerOf('publisher');
    assert.equal(await inspect(publisher, '{{.State.Status}}'), 'running', 'it was done too soon');
    assert.equal(await docker(['wait', publisher], { timeoutMs: 2 * MINUTE_MS }), '0', await logs(publisher));
    assert.match(await logs(publisher), /^PASS/m);
    const { unique_processed: stored } = await books(port);
    assert.equal(stored, before.unique_processed + count * 0.8);
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chronicleweaver-docker-'));
    await writeFile(join(folder, 'own-names.yml'), OWN_NAMES);
    port = await freePort();
    await docker(['build', '-t', image, 'tests/docker/stand-ins'], { timeoutMs: 10 * MINUTE_MS });
    await compose(['build']);
  });
  after(async () => {
    await removeAll(PREFIX);
    await rm(folder, { recursive: true, force: true });
  });

  test('compose up: two instances behind one address, a synchronous standby, and a publisher that passes', async () => {
    await compose(['up', '-d']);
    const publisher = await containerOf('publisher');
    assert.equal(await docker(['wait', publisher], { timeoutMs: 2 * MINUTE_MS }), '0', await logs(publisher));
    assert.match(await logs(publisher), /^PASS/m);
    assert.deepEqual(await books(port), { received: 5000, unique_processed: 4000, duplicated_dropped: 1000 });
    const standbys = await psql(
      primary,
      'SELECT application_name, state, sync_state FROM pg_stat_replication',
    );
    assert.equal(standbys, 'postgres-2|streaming|quorum');
    for (const service of ['postgres-1', 'postgres-2', 'balancer', 'aggregator-1', 'aggregator-2']) {
      const status = await compose(['exec', '-T', service, 'cat', '/proc/1/status']);
      assert.doesNotMatch(status, /^Uid:\t0\t/m, service);
      assert.match(status, /^CapEff:\t0+$/m, service);
    }
  });

  test('an instance is killed while the publisher runs: it passes, through the other one', async () => {
    await publishing(60_000, () => compose(['kill', 'aggregator-1']));
    await compose(['up', '-d', '--no-deps', 'aggregator-1']);
  });

  test('the primary is killed while the publisher runs and the standby promoted: it passes, and nothing is lost', async () => {
    await publishing(60_000, async () => {
      await compose(['kill', 'postgres-1']);
      await psql(
        'postgres-2',
        'SELECT pg_promote()',
        "ALTER SYSTEM SET synchronous_standby_names = ''",
        'SELECT pg_reload_conf()',
      );
    });
    primary = 'postgres-2';
  });

  test('the old primary does not come back as a second one, but becomes the standby when its data is given up', async () => {
    await compose(['up', '-d', '--no-deps', 'postgres-1']);
    const refused = await containerOf('postgres-1');
    await until(
      () => 'a refusal',
      async () => (await logs(refused)).includes('postgres-1 was a primary, and PRIMARY is postgres-2 now'),
      MINUTE_MS,
    );
    await compose(['stop', 'postgres-1']);
    const remove = ['-rf', '/var/lib/postgresql/chronicleweaver'];
    await compose(['run', '--rm', '--no-deps', '--entrypoint', 'rm', 'postgres-1', ...remove]);
    await compose(['up', '-d', '--no-deps', 'postgres-1']);
    await until(
      () => 'a standby that streams',
      async () => (await psql(primary, 'SELECT state FROM pg_stat_replication')) === 'streaming',
      MINUTE_MS,
    );
    await psql(primary, 'ALTER SYSTEM RESET synchronous_standby_names', 'SELECT pg_reload_conf()');
    await publishing(60_000, async () => {});
    assert.equal(
      await psql(primary, 'SELECT application_name, sync_state FROM pg_stat_replication'),
      'postgres-1|quorum',
    );
  });

  test('with its only standby gone, publishes get 503, reads go on, and publishing too once the operator gives the standby up', async () => {
    await compose(['kill', 'postgres-1']);
    const before = await books(port);
    const event = {
      event_id: 'waits',
      topic: 'orders',
      source: 'shop',
      payload: {},
      timestamp: '2025-10-28T10:00:00Z',
    };
    const publish = async (): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/publish`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(event),
      });
    const refused = await publish();
    assert.equal(refused.status, 503);
    assert.equal(((await refused.json()) as { code: string }).code, 'store_unavailable');
    assert.ok(refused.headers.has('retry-after'));
    assert.deepEqual(await books(port), before);
    await psql(primary, "ALTER SYSTEM SET synchronous_standby_names = ''", 'SELECT pg_reload_conf()');
    assert.equal((await publish()).status, 200);
    assert.equal((await books(port)).unique_processed, before.unique_processed + 1);
  });
}

interface Books {
  received: number;
  unique_processed: number;
  duplicated_dropped: number;
}

async function books(port: number): Promise<Books> {
  const answer = await fetch(`http://127.0.0.1:${port}/stats`);
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  const { received, unique_processed, duplicated_dropped } = JSON.parse(text) as Books;
  return { received, unique_processed, duplicated_dropped };
}
