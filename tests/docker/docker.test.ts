import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '../../lab/program.ts';
import { command, docker, findCompose, freePort, inspect, logs, removeAll, ROOT } from './engine.ts';

const MINUTE_MS = 60_000;
const COMPOSE_FILE = 'docker/docker-compose.yml';

// The shipped names are fixed, and a volume of that name may hold somebody's events. So this run overrides them: it
// touches nothing that existed before, and two runs do not interfere. The engine's build cache is left alone.
const PREFIX = `chronicleweaver-test-${randomBytes(4).toString('hex')}`;
const AGGREGATOR = `${PREFIX}-aggregator`;
const PUBLISHER = `${PREFIX}-publisher`;
const NETWORK = `${PREFIX}-network`;
const VOLUME = `${PREFIX}-data`;

const OWN_NAMES = `
services:
  aggregator: { image: '${AGGREGATOR}:latest', container_name: ${AGGREGATOR} }
  publisher: { image: '${PUBLISHER}:latest', container_name: ${PUBLISHER} }
networks:
  chronicleweaver-network: { name: ${NETWORK} }
volumes:
  chronicleweaver-data: { name: ${VOLUME} }
`;

const UNSET = {
  APP_PORT: undefined,
  DEDUPLICATION_DB_PATH: undefined,
  AGGREGATOR_HOST: undefined,
  AGGREGATOR_PORT: undefined,
};

const found = await findCompose();
if (found.found) {
  inContainers(found.compose);
} else if (process.env['REQUIRE_DOCKER'] === '1') {
  test('REQUIRE_DOCKER=1: there is a Docker engine with Compose', () => assert.fail(found.why));
} else {
  test('the images and the compose file, in a real engine', { skip: found.why });
}

function inContainers(composeCommand: readonly string[]): void {
  let folder: string;
  let port: number;

  /** The shipped file, under this run's names. Variables are empty, so that no docker/.env of this checkout applies. */
  const compose = async (...args: string[]): Promise<string> => {
    const files = ['-f', COMPOSE_FILE, '-f', join(folder, 'own-names.yml')];
    const empty = { DEDUPLICATION_DB_PATH: '', AGGREGATOR_HOST: '', AGGREGATOR_PORT: '' };
    return command([...composeCommand, '-p', PREFIX, ...files, ...args], {
      timeoutMs: 10 * MINUTE_MS,
      env: { APP_PORT: String(port), ...empty },
    });
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'chronicleweaver-docker-'));
    await writeFile(join(folder, 'own-names.yml'), OWN_NAMES);
    port = await freePort();
    await compose('build');
  });
  after(async () => {
    await removeAll(PREFIX);
    await rm(folder, { recursive: true, force: true });
  });

  test('the compose file has the names of the README', async () => {
    const config = await command([...composeCommand, '-f', COMPOSE_FILE, 'config'], { env: UNSET });
    for (const line of [
      'image: chronicleweaver-aggregator:latest',
      'image: chronicleweaver-publisher:latest',
      'container_name: chronicleweaver-aggregator',
      'container_name: chronicleweaver-publisher',
      'name: chronicleweaver-network',
      'name: chronicleweaver-data',
    ]) {
      assert.match(config, new RegExp(`^ *${line}$`, 'm'));
    }
  });

  test('compose up: the publisher waits for a healthy aggregator, passes, and its events can be read from outside', async () => {
    await compose('up', '-d');
    await assertPublisherPassed();
    assert.equal(await inspect(AGGREGATOR, '{{.State.Health.Status}}'), 'healthy');
    assert.deepEqual(await books(port), { received: 5000, unique_processed: 4000, duplicated_dropped: 1000 });
  });

  test('the aggregator is not root, has no capability, and can write to its volume only', async () => {
    assert.equal(await docker(['exec', AGGREGATOR, 'id', '-u']), '1000');
    const status = await docker(['exec', AGGREGATOR, 'cat', '/proc/1/status']);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
    await assert.rejects(
      docker(['exec', '--user', '0', AGGREGATOR, 'touch', '/app/a']),
      /Read-only file system/,
    );
    await docker(['exec', AGGREGATOR, 'sh', '-c', 'touch /app/data/a && rm /app/data/a']);
    // An intruder's program could be stored there, but not run.
    await docker(['exec', AGGREGATOR, 'sh', '-c', 'cp /bin/true /tmp/a']);
    await assert.rejects(docker(['exec', AGGREGATOR, '/tmp/a']), { code: 126 });
  });

  test('a sort too large for memory has a place to spill to on the read-only file system', async () => {
    const sort = `
      const { DatabaseSync } = require('node:sqlite');
      const database = new DatabaseSync('/app/data/sort.db');
      database.exec('PRAGMA cache_size = 50');
      const rows = database.prepare(
        'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) ' +
        'SELECT hex(randomblob(50)) AS text FROM n ORDER BY text');
      rows.iterate().next();
      console.log('sorted');`;
    const image = `${AGGREGATOR}:latest`;
    assert.equal(await docker(['run', '--rm', '--read-only', image, 'node', '--eval', sort]), 'sorted');
  });

  test('neither /docs nor /redoc needs the files that the image leaves out', async () => {
    for (const path of [
      '/docs',
      '/docs/static/swagger-ui-bundle.js',
      '/redoc',
      '/redoc/redoc.standalone.js',
    ]) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`);
      assert.equal(answer.status, 200, path);
      await answer.body?.cancel();
    }
  });

  test('compose down and up: the new container has the events of the old one', async () => {
    await compose('down');
    await compose('up', '-d');
    await assertPublisherPassed();
    assert.deepEqual(await books(port), {
      received: 10_000,
      unique_processed: 8000,
      duplicated_dropped: 2000,
    });
  });

  test('a backup is taken in the running container or in one beside it, and restored into a volume of its own', async () => {
    const backup = ['node', 'packages/aggregator/src/programs/backup.ts'];
    const image = `${AGGREGATOR}:latest`;
    const held = ['--rm', '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
    const said = /8000 events up to offset 8000, .*, sound$/;
    assert.match(await docker(['exec', AGGREGATOR, ...backup, '/app/data/copy.db']), said);
    const beside = ['run', ...held, '-v', `${VOLUME}:/app/data`, image, ...backup, '/app/data/beside.db'];
    assert.match(await docker(beside), said);

    const restored = `${PREFIX}-restored`;
    const volumes = ['-v', `${VOLUME}:/from:ro`, '-v', `${restored}:/app/data`];
    const restore = [...backup, '/app/data/chronicle.db', '--from', '/from/copy.db'];
    assert.match(await docker(['run', ...held, ...volumes, image, ...restore]), said);
    const restoredPort = await freePort();
    const run = ['run', '-d', '--name', restored, ...held.slice(1), '-p', `${restoredPort}:8000`];
    await docker([...run, '-v', `${restored}:/app/data`, image]);
    await healthy(restored);
    assert.deepEqual(await books(restoredPort), await books(port));
    await docker(['rm', '--force', restored]);
    await docker(['exec', AGGREGATOR, 'rm', '/app/data/copy.db', '/app/data/beside.db']);
  });

  test('docker stop ends the aggregator with exit code 0, before the engine would kill it', async () => {
    await docker(['stop', '--time', '10', AGGREGATOR]);
    assert.equal(await inspect(AGGREGATOR, '{{.State.ExitCode}}'), '0');
    await compose('down');
  });

  test('the docker/.env and the edit of the README change the port everywhere', async () => {
    const otherPort = await freePort();
    const shipped = await readFile(join(ROOT, COMPOSE_FILE), 'utf8');
    const edited = shipped.replace('\n  aggregator:\n', '\n  aggregator:\n    env_file:\n      - .env\n');
    assert.notEqual(edited, shipped);
    await mkdir(join(folder, 'docker'));
    await writeFile(join(folder, COMPOSE_FILE), edited);
    const settings = [
      `APP_PORT=${otherPort}`,
      'DEDUPLICATION_DB_PATH=/app/data/chronicle.db',
      '',
      'AGGREGATOR_HOST=aggregator',
      `AGGREGATOR_PORT=${otherPort}`,
      '',
    ];
    await writeFile(join(folder, 'docker/.env'), settings.join('\n'));

    const files = ['-f', join(folder, COMPOSE_FILE), '-f', join(folder, 'own-names.yml')];
    const up = [...composeCommand, '-p', PREFIX, ...files, 'up', '-d', '--no-build'];
    await command(up, { env: UNSET, timeoutMs: 2 * MINUTE_MS });
    await assertPublisherPassed();
    assert.equal((await books(otherPort)).received, 15_000);
    // Without -v the volume would stay, but the next test needs a new one.
    await compose('down', '-v');
  });

  test('the docker commands of the README do the same without Compose', async () => {
    const build = async (name: string): Promise<string> =>
      docker(['build', '-f', `docker/${name}.Dockerfile`, '-t', `${PREFIX}-${name}:latest`, '.'], {
        timeoutMs: 10 * MINUTE_MS,
      });
    await build('aggregator');
    await build('publisher');
    await docker(['network', 'create', NETWORK]);
    const onNetwork = ['--network', NETWORK];
    const store = ['-p', `${port}:8000`, '-v', `${VOLUME}:/app/data`];
    await docker(['run', '-d', '--name', AGGREGATOR, ...onNetwork, ...store, `${AGGREGATOR}:latest`]);
    const target = ['-e', `AGGREGATOR_HOST=${AGGREGATOR}`, '-e', 'AGGREGATOR_PORT=8000'];
    const report = await docker(['run', '--name', PUBLISHER, ...onNetwork, ...target, `${PUBLISHER}:latest`]);
    assert.match(report, /^PASS/m);
    assert.deepEqual(await books(port), { received: 5000, unique_processed: 4000, duplicated_dropped: 1000 });
    await docker(['stop', '--time', '10', AGGREGATOR]);
    assert.equal(await inspect(AGGREGATOR, '{{.State.ExitCode}}'), '0');
  });
}

/** Waits for the publisher's end. */
async function assertPublisherPassed(): Promise<void> {
  const exitCode = await docker(['wait', PUBLISHER], { timeoutMs: 2 * MINUTE_MS });
  const log = await logs(PUBLISHER);
  assert.equal(exitCode, '0', log);
  assert.match(log, /^PASS/m);
}

async function healthy(container: string): Promise<void> {
  await until(
    () => `${container} to be healthy`,
    async () => (await inspect(container, '{{.State.Health.Status}}')) === 'healthy',
    MINUTE_MS,
  );
}

interface Books {
  received: number;
  unique_processed: number;
  duplicated_dropped: number;
}

async function books(port: number): Promise<Books> {
  const answer = await fetch(`http://127.0.0.1:${port}/stats`);
  assert.equal(answer.status, 200);
  const { received, unique_processed, duplicated_dropped } = (await answer.json()) as Books;
  return { received, unique_processed, duplicated_dropped };
}
