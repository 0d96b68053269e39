import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { commandLine } from './support/command-line.ts';
import { exactEvent, pipedGroups } from './support/piped-group.ts';

const TIMEOUT = { timeout: 60_000 };

const server = await sharedServer();
const groupWith = pipedGroups(server);

/** Nobody stops it. */
function pipe(group: string, ...args: string[]) {
  return commandLine(['pipe', `--group=${group}`, `--url=${server.url}`, '--until-now', ...args]);
}

test(
  'with --until-now a pipe ends by itself once all is acknowledged, and at once where nothing is left',
  TIMEOUT,
  async (t) => {
    const { name, stored, group } = await groupWith(t, 250);
    const { code, lines, stderr } = await pipe(name, '--to=stdout');
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(lines, await stored());
    const { acknowledged, lag, in_flight } = await group.group();
    assert.deepEqual([acknowledged, lag, in_flight], [250, 0, 0]);
    assert.deepEqual(await pipe(name, '--to=stdout'), { code: 0, stdout: '', stderr: '', lines: [] });
  },
);

test(
  'with --until-now a pipe waits for events that were given back, until they are dead',
  TIMEOUT,
  async (t) => {
    const { name, group } = await groupWith(t, 3, { max_deliveries: 2 });
    const { code } = await pipe(name, '--exec=! grep -q \'"n":2.50\'');
    assert.equal(code, 0);
    const { acknowledged, dead, lag } = await group.group();
    assert.deepEqual({ acknowledged, dead, lag }, { acknowledged: 2, dead: 1, lag: 0 });
  },
);

test('with --until-now a pipe ends though more is published all the time', TIMEOUT, async (t) => {
  const { name, group } = await groupWith(t, 30);
  const file = join(tempFolder(t), 'events.ndjson');
  let published = 30;
  const done = new AbortController();
  // More than is handed over in the time.
  const publishing = (async () => {
    while (!done.signal.aborted) await group.chronicle.publish([exactEvent(t.name, ++published)]);
  })();
  const handOver = `cat >> '${file}'; sleep 0.05`;
  const { code } = await pipe(name, `--exec=${handOver}`, '--batch=1').finally(() => done.abort());
  await publishing;
  assert.equal(code, 0);
  const written = readFileSync(file, 'utf8').split('\n').length - 1;
  assert.ok(written >= 30 && written < published, `${written} of ${published}`);
  assert.equal((await group.group()).acknowledged, written);
});
