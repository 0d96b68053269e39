import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keysCommand } from '../packages/aggregator/src/programs/keys-command.ts';
import { type AggregatorProcess, LEVEL, Site } from '../lab/aggregator-process.ts';
import { until } from '../lab/program.ts';
import { pathOf } from '../lab/repository.ts';

const TIMEOUT = { timeout: 60_000 };

/** Runs `npm run keys` on the file and returns the secret it made, if it made one. */
async function keys(site: Site, file: string, ...args: string[]): Promise<string> {
  const program = site.run([process.execPath, pathOf('packages/aggregator/src/programs/keys.ts'), ...args], {
    API_KEYS_FILE: file,
  });
  assert.equal((await program.exit(60_000)).code, 0, program.printed());
  return program.stdout.trim();
}

async function status(server: AggregatorProcess, secret: string, path = '/topics'): Promise<number> {
  const response = await fetch(server.url + path, { headers: { authorization: `Bearer ${secret}` } });
  await response.body?.cancel();
  return response.status;
}

/** Sends SIGHUP and waits for the log to report the outcome at this level. */
async function hangUp(server: AggregatorProcess, level: number, said: RegExp): Promise<void> {
  const before = server.logs.length;
  server.program.signal('SIGHUP');
  await until(
    () => `${said} in the log\n${server.program.printed()}`,
    () => server.logs.slice(before).some((line) => line.level === level && said.test(line.msg)),
  );
}

test(
  'SIGHUP adopts the keys that the command creates and revokes; an invalid file leaves the old keys in force [KEY-8]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const file = join(site.folder, 'keys.json');
    const first = await keys(site, file, 'create', 'first', '--scope', 'read');
    const server = await site.start({ settings: { API_KEYS_FILE: file } });
    assert.equal(await status(server, first), 200);
    assert.equal(await status(server, first, '/health'), 200);

    const second = await keys(site, file, 'create', 'second', '--scope', 'read');
    assert.equal(await status(server, second), 401);
    await hangUp(server, LEVEL.info, /were reloaded/);
    assert.deepEqual([await status(server, first), await status(server, second)], [200, 200]);

    assert.equal(await keysCommand(['revoke', 'first'], file, process.stdout, { write: () => true }), 0);
    await hangUp(server, LEVEL.info, /were reloaded/);
    assert.deepEqual([await status(server, first), await status(server, second)], [401, 200]);

    writeFileSync(file, '{"keys":[{"name":"second"}]}');
    await hangUp(server, LEVEL.error, /the old ones stay in force/);
    const { err } = server.logs.at(-1) as unknown as { err: { message: string } };
    assert.match(err.message, /keys\.json cannot be used: \/keys\/0 /);
    assert.deepEqual([await status(server, first), await status(server, second)], [401, 200]);
    await server.stop();
  },
);

test('SIGHUP with nothing to reload changes nothing', TIMEOUT, async (t) => {
  const server = await new Site(t).start();
  await hangUp(server, LEVEL.info, /were reloaded/);
  assert.equal(await status(server, 'none'), 200);
  await server.stop();
});

test('a missing key file refuses the start in one line [KEY-8]', TIMEOUT, async (t) => {
  const program = await new Site(t).fail({ settings: { API_KEYS_FILE: 'keys.json' } });
  assert.equal((await program.exited).code, 1);
  assert.match(
    program.stderr,
    /^chronicleweaver: API_KEYS_FILE: the keys in keys\.json cannot be read: ENOENT[^\n]+\n$/,
  );
});
