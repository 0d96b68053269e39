import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorProcess, Site } from '../lab/aggregator-process.ts';
import { Program, until } from '../lab/program.ts';
import { pathOf, textOf } from '../lab/repository.ts';

const TIMEOUT = { timeout: 60_000 };
const EXIT_WITHIN_MS = 30_000;

const event = (event_id: string) => ({
  event_id,
  topic: 'orders',
  source: 'web',
  payload: {},
  timestamp: '2025-10-28T10:00:00Z',
});

/** Runs a command in the repository, in a session of its own that ends with the test whatever became of npm. */
function run(
  t: TestContext,
  site: Site,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onLine: (line: string) => void = () => {},
): Program {
  const program = new Program(['setsid', ...command], {
    cwd: pathOf(''),
    env: { npm_config_cache: site.folder, npm_config_update_notifier: 'false', ...env },
    onLine,
  });
  t.after(() => signalAll(program, 'SIGKILL'));
  return program;
}

/** As a terminal does: to npm and everything it has started. */
function signalAll(program: Program, name: NodeJS.Signals): void {
  try {
    process.kill(-program.pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

async function serve(t: TestContext, site: Site, ...command: string[]): Promise<AggregatorProcess> {
  const env = { APP_PORT: '0', DEDUPLICATION_DB_PATH: site.databasePath };
  const service = new AggregatorProcess((onLine) =>
    // npm's own lines come before the log's.
    run(t, site, command, env, (line) => line.startsWith('{') && onLine(line)),
  );
  await service.listening();
  return service;
}

function assertStoppedOnce({ program, logs }: AggregatorProcess): void {
  const stops = logs.filter(({ msg }) => msg.startsWith('stopping'));
  assert.equal(stops.length, 1, program.printed());
  assert.equal(logs.at(-1)?.msg, 'stopped', program.printed());
}

/** Asserts that another service can use port and file, with the one event in it. */
async function assertFree(site: Site, { port }: AggregatorProcess): Promise<void> {
  const next = await site.start({ settings: { APP_PORT: String(port) } });
  assert.equal((await next.stats()).unique_processed, 1);
}

test("SIGTERM to npm's own pid stops npm start, and npm waits for it", TIMEOUT, async (t) => {
  const site = new Site(t);
  const service = await serve(t, site, 'npm', 'start');
  await service.publish(event('a'));
  service.program.signal('SIGTERM');
  // It resolves when nobody holds stdout any more: neither npm nor the service.
  assert.deepEqual(await service.program.exit(EXIT_WITHIN_MS), { code: 0, signal: null });
  assertStoppedOnce(service);
  await assertFree(site, service);
});

test("SIGTERM to npx's own pid stops chronicleweaver serve", TIMEOUT, async (t) => {
  const site = new Site(t);
  const service = await serve(t, site, 'npx', 'chronicleweaver', 'serve');
  await service.publish(event('a'));
  service.program.signal('SIGTERM');
  await service.program.exit(EXIT_WITHIN_MS);
  assertStoppedOnce(service);
  await assertFree(site, service);
});

test('Ctrl-C, which npm repeats to the service, stops it once', TIMEOUT, async (t) => {
  const site = new Site(t);
  const service = await serve(t, site, 'npm', 'start');
  signalAll(service.program, 'SIGINT');
  assert.deepEqual(await service.program.exit(EXIT_WITHIN_MS), { code: 0, signal: null });
  assertStoppedOnce(service);
});

test('a service stops when npm was killed', TIMEOUT, async (t) => {
  const service = await serve(t, new Site(t), 'npm', 'start');
  service.program.signal('SIGKILL');
  await service.program.exit(EXIT_WITHIN_MS);
  assertStoppedOnce(service);
});

test(
  'a service continues after its terminal was closed, or when a script left it in the background',
  TIMEOUT,
  async (t) => {
    const services = await Promise.all([
      serve(t, new Site(t), 'npm', 'start'),
      serve(t, new Site(t), 'npm', 'exec', '-c', 'chronicleweaver serve & wait'),
    ]);
    signalAll(services[0].program, 'SIGHUP');
    services[1].program.signal('SIGTERM');
    // Several times the interval of the watch.
    await sleep(500);
    for (const service of services) {
      assert.ok(service.program.hasExited, 'npm still runs');
      assert.equal((await service.publish(event('a'))).accepted, 1);
      process.kill(Number(service.logs[0]!['pid']), 'SIGTERM');
      await service.program.exit(EXIT_WITHIN_MS);
      assertStoppedOnce(service);
    }
  },
);

test("SIGTERM to npm's own pid stops npm run publisher, which reports its progress", TIMEOUT, async (t) => {
  const site = new Site(t);
  const service = await site.start();
  const args = ['run', 'publisher', '--', `--url=${service.url}`, '--count=10000000'];
  const publisher = run(t, site, ['npm', ...args]);
  await until(
    () => `the first events\n${publisher.printed()}`,
    async () => publisher.hasExited || (await service.stats()).received > 0,
  );
  publisher.signal('SIGTERM');
  assert.deepEqual(await publisher.exit(EXIT_WITHIN_MS), { code: 143, signal: null });
  assert.match(publisher.stdout, /INTERRUPTED/);
});

test('every script that runs Node.js replaces its shell with it, so that npm passes signals to it directly', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const between = Object.entries(scripts).filter(
    ([, line]) => /\bnode\b/.test(line) && !/^(?:\w+=\S+ )*exec node /.test(line),
  );
  assert.deepEqual(between, []);
});
