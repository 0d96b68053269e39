import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { Site } from '../../lab/aggregator-process.ts';
import { PostgresServer } from '../../lab/postgres-server.ts';
import { type Program, until } from '../../lab/program.ts';
import { pathOf } from '../../lab/repository.ts';
import { packed } from './packed.ts';
import { runtime, versionOf } from './runtimes.ts';

const run = promisify(execFile);
const DIST = pathOf('packages/cli/dist');
const TIMEOUT = { timeout: 120_000 };

/** An empty folder into which the pack was installed. */
const project = mkdtempSync(join(tmpdir(), 'chronicleweaver-'));
after(() => rmSync(project, { recursive: true, force: true }));
before(() => packed('packages/cli', project));

test('publint finds nothing to mend in the package', async () => {
  const { messages, pkg } = await publint({ pkgDir: DIST, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg ?? {})),
    [],
  );
});

test('the oldest Node.js 22 that the package requires is the one it is tested on', () => {
  const { engines } = JSON.parse(readFileSync(join(DIST, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  assert.match(engines.node, new RegExp(`^\\^${versionOf('node22')} `));
});

test("it serves, publishes, follows and verifies on this repository's Node.js", TIMEOUT, (t) =>
  serves(t, process.execPath),
);

test('the same on the oldest Node.js that it requires', TIMEOUT, async (t) =>
  serves(t, await runtime('node22/bin/node')),
);

test('on a Node.js that is too old it says so', TIMEOUT, async () => {
  const node = await runtime('node20/bin/node');
  await assert.rejects(run(node, [join(project, 'node_modules/.bin/chronicleweaver'), 'serve']), {
    code: 1,
    stderr: /^chronicleweaver: this is Node.js 20\.[\d.]+; it needs 22\.22\.3 or later\n$/,
  });
});

test('npx finds it', TIMEOUT, async () => {
  const { stdout } = await run('npx', ['--no-install', 'chronicleweaver', '--version'], { cwd: project });
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('npx serves until its own pid is told to stop', TIMEOUT, async (t) => {
  const site = new Site(t);
  const npx = ['npx', '--no-install', '--prefix', project, 'chronicleweaver', 'serve'];
  const env = { npm_config_cache: site.folder, npm_config_update_notifier: 'false', APP_PORT: '0' };
  const serve = site.run(npx, env);
  await until(
    () => `the start\n${serve.printed()}`,
    () => serve.stdout.includes('"port"') || serve.hasExited,
  );
  serve.signal('SIGTERM');
  // It resolves when nobody holds stdout any more: neither npx nor the service.
  await serve.exit(10_000);
  assert.match(serve.stdout, /"msg":"stopped"\}\n$/);
});

/** The first steps of a user. */
async function serves(t: TestContext, node: string): Promise<void> {
  const site = new Site(t);
  const file = join(site.folder, 'events.db');
  const bin = join(project, 'node_modules/.bin/chronicleweaver');
  const start = (...args: string[]): Program => site.run([node, bin, ...args]);
  const serve = start('serve', '--port', '0', '--file', file);
  const url = await addressOf(serve);

  const tail = start('tail', '--url', url, '--after', 'earliest');
  const publish = spawn(node, [bin, 'publish', '--url', url], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  publish.stdin.end('{"topic":"orders","payload":{"message":"order placed"}}\n');
  await until(
    () => `the event\n${tail.printed()}`,
    () => / orders .* order placed\n/.test(tail.stdout),
  );
  tail.signal('SIGTERM');
  const stress = start('stress', '--url', url, '--count=200', '--json');
  assert.equal((await stress.exited).code, 0, stress.printed());
  for (const path of [
    '/docs/',
    '/redoc',
    '/redoc/redoc.standalone.js',
    '/openapi.json',
    '/dashboard',
    '/dashboard/app.js',
  ]) {
    assert.equal((await fetch(url + path)).status, 200, path);
  }

  serve.signal('SIGTERM');
  await serve.exited;
  const verify = start('verify', file);
  assert.equal((await verify.exited).code, 0, verify.printed());
  assert.match(verify.stdout, /^sound: 161 events/);
  await goesOnInPostgres(site, [node, bin], file);
}

/** Moves the file into PostgreSQL and serves it from there. */
async function goesOnInPostgres(site: Site, command: readonly string[], file: string): Promise<void> {
  const server = await PostgresServer.start();
  try {
    const STORE_URL = server.newLog();
    const move = site.run([...command, 'move', '--from', `sqlite:${file}`, '--to', STORE_URL]);
    assert.equal((await move.exited).code, 0, move.printed());
    const serve = site.run([...command, 'serve', '--port', '0'], { STORE_URL });
    const url = await addressOf(serve);
    const stats = site.run([...command, 'stats', '--url', url, '--json']);
    assert.equal((await stats.exited).code, 0, stats.printed());
    assert.match(stats.stdout, /"last_offset":161\b/);
    serve.signal('SIGTERM');
    assert.equal((await serve.exited).code, 0, serve.printed());
  } finally {
    await server.close();
  }
}

async function addressOf(serve: Program): Promise<string> {
  const listening = /"port":(\d+)/;
  await until(
    () => `the start\n${serve.printed()}`,
    () => listening.test(serve.stdout) || serve.hasExited,
  );
  return `http://127.0.0.1:${listening.exec(serve.stdout)?.[1] ?? assert.fail(serve.printed())}`;
}
