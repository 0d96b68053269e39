import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import type { Report } from '../src/report.ts';
import { startFakeAggregator } from './fake-aggregator.ts';

const MAIN = path.join(import.meta.dirname, '../src/main.ts');

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Starts the program in an empty directory of its own; `envFile` becomes its `.env`. */
async function start(
  t: TestContext,
  args: string[],
  env: Record<string, string> = {},
  envFile?: string,
): Promise<{ child: ChildProcess; ended: Promise<Ended> }> {
  const cwd = await mkdtemp(path.join(tmpdir(), 'publisher-'));
  t.after(() => rm(cwd, { recursive: true }));
  if (envFile !== undefined) await writeFile(path.join(cwd, '.env'), envFile);
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env });
  const ended = Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]).then(
    ([[code], stdout, stderr]): Ended => ({ code, stdout, stderr }),
  );
  return { child, ended };
}

test('PASS is exit code 0, with one line of JSON on stdout', async (t) => {
  const fake = await startFakeAggregator(t);
  const env = { AGGREGATOR_HOST: '127.0.0.1', AGGREGATOR_PORT: String(fake.port) };
  const { code, stdout, stderr } = await (await start(t, ['--json', '--count=200'], env)).ended;
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^\{.*\}\n$/);
  const report: Report = JSON.parse(stdout);
  assert.equal(report.outcome, 'PASS');
  assert.equal(report.answered, 200);
  assert.equal(stderr, '');
});

test('FAIL is exit code 1', async (t) => {
  const fake = await startFakeAggregator(t, { keep: () => [] });
  const args = ['--host=127.0.0.1', `--port=${fake.port}`, '--count=50'];
  const { code, stdout } = await (await start(t, args)).ended;
  assert.equal(code, 1);
  assert.match(stdout, /^FAIL: (.*\n)*  FAIL  stored: 40 missing/);
});

test('a wrong value is exit code 2 and one line on stderr', async (t) => {
  const { code, stdout, stderr } = await (await start(t, [], { PUBLISH_COUNT: 'x' })).ended;
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.equal(stderr, 'publisher: PUBLISH_COUNT takes a whole number from 1 to 10000000, not "x"\n');
});

test('.env is read, and the real environment wins over it', async (t) => {
  const fake = await startFakeAggregator(t);
  const env = { PUBLISH_COUNT: '30', PUBLISH_RUN_ID: 'real' };
  const envFile = `AGGREGATOR_HOST=127.0.0.1\nAGGREGATOR_PORT=${fake.port}\nPUBLISH_COUNT=99\n`;
  const { code, stdout, stderr } = await (await start(t, ['--json'], env, envFile)).ended;
  assert.equal(code, 0, stdout + stderr);
  const report: Report = JSON.parse(stdout);
  assert.equal(report.answered, 30);
  assert.equal(report.run_id, 'real');
});

test('no line of .env is lost: one after a byte order mark is read, and a misspelt one is refused', async (t) => {
  const marked = await (await start(t, [], {}, '\ufeffPUBLISH_COUNT=x\r\n')).ended;
  assert.equal(marked.stderr, 'publisher: PUBLISH_COUNT takes a whole number from 1 to 10000000, not "x"\n');
  const misspelt = await (await start(t, [], {}, 'AGREGATOR_HOST=log.example\n')).ended;
  assert.equal(misspelt.code, 2);
  assert.match(
    misspelt.stderr,
    /^publisher: \.env, line 1: there is no setting AGREGATOR_HOST: write AGGREGATOR_HOST .*\n$/,
  );
});

test('--help names every flag and variable', async (t) => {
  const { code, stdout } = await (await start(t, ['--help'])).ended;
  assert.equal(code, 0);
  for (const name of ['--retry-seconds', 'PUBLISH_RETRY_SECONDS', '--host', 'AGGREGATOR_HOST', '--json']) {
    assert.ok(stdout.includes(name), name);
  }
});

for (const [name, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${name} stops the run with the report so far and exit code ${exitCode}`, async (t) => {
    const hanging = Promise.withResolvers<void>();
    const fake = await startFakeAggregator(t, {
      hang(request) {
        if (request === 3) hanging.resolve();
        return request >= 3;
      },
    });
    const args = ['--host=127.0.0.1', `--port=${fake.port}`, '--concurrency=1', '--run-id=r'];
    const { child, ended } = await start(t, args);
    await hanging.promise;
    child.kill(name);
    const { code, stdout } = await ended;
    assert.equal(code, exitCode);
    assert.match(stdout, /^INTERRUPTED: (.*\n)*  answered   200 of 5000 events/);
    assert.match(stdout, new RegExp(`stopped    by ${name}\n  resume with --run-id=r `));
  });
}
