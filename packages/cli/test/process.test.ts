import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { Site } from '../../../lab/aggregator-process.ts';
import { type Program, until } from '../../../lab/program.ts';
import { pathOf } from '../../../lab/repository.ts';

const MAIN = pathOf('packages/cli/src/main.ts');
const TIMEOUT = { timeout: 60_000 };

function chronicleweaver(site: Site, args: readonly string[], env: Record<string, string> = {}): Program {
  return site.run([process.execPath, MAIN, ...args], env);
}

async function printed(program: Program, expected: RegExp): Promise<RegExpExecArray> {
  await until(
    () => `${expected}\n${program.printed()}`,
    () => expected.test(program.stdout) || program.hasExited,
  );
  return expected.exec(program.stdout) ?? assert.fail(program.printed());
}

test(
  'serve, publish, tail and verify work with one another, and signals end them as they should',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const file = join(site.folder, 'cli.db');
    const serve = chronicleweaver(site, ['serve', '--port', '0', '--file', file]);
    const port = (await printed(serve, /"port":(\d+)/))[1]!;
    const env = { CHRONICLEWEAVER_URL: `http://127.0.0.1:${port}` };

    const tail = chronicleweaver(site, ['tail', '--topic', 'orders.*', '--after', 'earliest', '--json'], env);
    const publish = spawn(process.execPath, [MAIN, 'publish'], { env: { ...process.env, ...env } });
    publish.stdin.end('{"topic":"orders.eu","payload":{"n":1}}\n{"topic":"users","payload":{}}\n');
    await printed(tail, /"payload":\{"n":1\}/);
    tail.signal('SIGINT');
    assert.deepEqual(await tail.exited, { code: 130, signal: null });
    assert.equal(tail.stderr, '');
    assert.equal(tail.stdout.split('\n').length, 2);

    serve.signal('SIGTERM');
    assert.deepEqual(await serve.exited, { code: 0, signal: null }, serve.printed());
    const usage = chronicleweaver(site, ['verify', '--help']);
    assert.equal((await usage.exited).code, 0);
    assert.match(usage.stdout, /^Usage: chronicleweaver verify \[options\] \[file\]/);
    const verify = chronicleweaver(site, ['verify', file, '--json']);
    assert.equal((await verify.exited).code, 0, verify.printed());
    const { sound, events } = JSON.parse(verify.stdout) as { sound: boolean; events: number };
    assert.deepEqual([sound, events], [true, 2]);
  },
);

test('a pipe that ends early ends a command silently', TIMEOUT, async (t) => {
  const site = new Site(t);
  const aggregator = await site.start();
  const text = 'x'.repeat(500);
  for (let batch = 0; batch < 5; batch++) {
    await aggregator.publish(
      ...Array.from({ length: 1000 }, (_, i) => ({
        event_id: `${batch}-${i}`,
        topic: 't',
        source: 's',
        payload: { text },
        timestamp: '2025-10-28',
      })),
    );
  }
  const pipe = `"${process.execPath}" "${MAIN}" events --json --url ${aggregator.url}`;
  const piped = site.run([
    'bash',
    '-c',
    `set -o pipefail; ${pipe} | head -1 | wc -l; echo "\${PIPESTATUS[0]}"`,
  ]);
  await piped.exited;
  assert.equal(piped.stdout, '1\n0\n');
  assert.equal(piped.stderr, '');
});

test('a missing service is reported in two lines, including what to do', TIMEOUT, async (t) => {
  const topics = chronicleweaver(new Site(t), ['topics', '--url', 'http://127.0.0.1:9']);
  assert.equal((await topics.exited).code, 1);
  assert.match(
    topics.stderr,
    /^chronicleweaver: GET http:\/\/127\.0\.0\.1:9\/topics: .*\nIs a service running there\? .*\n$/,
  );
});
