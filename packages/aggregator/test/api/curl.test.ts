import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { eventWith, manyEvents } from '../support/events.ts';
import { sharedServer } from '../support/server.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** curl itself, which repeats a request by `--retry`. */

const service = sharedServer();
const run = promisify(execFile);

/** What a script gives it: a cut connection counts as worth repeating only with `--retry-all-errors`. */
const RETRY = ['-sS', '--retry', '5', '--retry-delay', '1', '--retry-all-errors'];

const LINES = ['-H', 'content-type: application/x-ndjson', '-X', 'POST'];

interface Way {
  readonly argsOf: (file: string) => string[];
  readonly count: number;
  /** What the last attempt is told. */
  readonly verdict: 'accepted' | 'duplicate';
}

const WAYS: Readonly<Record<string, Way>> = {
  'one event as JSON': {
    argsOf: (file) => ['-H', 'content-type: application/json', '--data-binary', `@${file}`],
    count: 1,
    verdict: 'duplicate',
  },
  'a file of lines': {
    argsOf: (file) => [...LINES, '-H', 'expect:', '-T', file],
    count: 20,
    verdict: 'duplicate',
  },
  // The first thing that comes back is 100, and what is cut then has no body yet.
  'a file of lines, once it may': {
    argsOf: (file) => [...LINES, '-T', file],
    count: 20,
    verdict: 'accepted',
  },
};

for (const [what, { argsOf, count, verdict }] of Object.entries(WAYS)) {
  test(`what curl sends is stored once, however often its connection is cut: ${what} [P-2]`, async (t) => {
    const server = service();
    const proxy = await CuttingProxy.start(t, Number(new URL(server.url).port), '/publish');
    proxy.cuts.push('after', 'before');
    const events = manyEvents(count, () => ({ topic: t.name }));
    const file = join(tempFolder(t), 'events');
    writeFileSync(file, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    const address = `http://127.0.0.1:${proxy.port}/publish?results=true`;
    const { stdout } = await run('curl', [...RETRY, ...argsOf(file), address]);
    assert.equal(proxy.done, 2);
    const verdicts = [...stdout.matchAll(/"verdict":"(\w+)"/g)].map(([, verdict]) => verdict);
    assert.deepEqual(verdicts, Array(count).fill(verdict));
    const stored = await server.events(`?topic=${encodeURIComponent(t.name)}`);
    assert.deepEqual(
      stored.events.map(({ event_id }) => event_id),
      events.map(({ event_id }) => event_id),
    );
  });
}

test('a cut connection is not repeated by --retry alone', async (t) => {
  const proxy = await CuttingProxy.start(t, Number(new URL(service().url).port), '/publish');
  proxy.cuts.push('after');
  const args = ['-sS', '--retry', '5', '--json', JSON.stringify(eventWith({ topic: t.name }))];
  await assert.rejects(run('curl', [...args, `http://127.0.0.1:${proxy.port}/publish`]), { code: 52 });
  assert.equal(proxy.done, 1);
});
