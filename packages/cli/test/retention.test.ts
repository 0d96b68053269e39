import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { MemoryStore } from '../../aggregator/src/store/memory/store.ts';
import { eventWith, manyEvents } from '../../aggregator/test/support/events.ts';
import { Group } from '../../aggregator/test/support/group.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { type Ran, commandLine, ok } from './support/command-line.ts';

/** Rounds begin too late for these tests, unless a policy changes. */
const TIMING = { tickMs: 3_600_000 };

async function start(t: TestContext) {
  const server = await TestServer.startOn(t, () => new MemoryStore(), {}, {}, TIMING);
  const run = (args: readonly string[], input?: Readable): Promise<Ran> =>
    commandLine([...args, '--url', server.url], input);
  return { server, run };
}

/** Somebody at a terminal who gives this answer; without one the input ends. */
function somebody(answer = ''): Readable {
  return Object.assign(Readable.from(answer === '' ? [] : [`${answer}\n`]), { isTTY: true });
}

test('policies are set, listed, shown and removed', async (t) => {
  const { run } = await start(t);
  const { stdout } = await ok(
    run(['retention', 'set', 'orders', '--topic=orders.>', '--topic=bills', '--max-age=4w', '--max-bytes=10GB', '--ids=P60D', '--held-max=1h']), // prettier-ignore
  );
  assert.equal(
    stdout.replaceAll(/ {2,}/g, ' '),
    'name orders\ntopics orders.> bills\nkeep events\nmax_age 28d\nmax_bytes 10000000000\nmax_events -\nids 60d\n' +
      'past_groups false\nheld_max 1h\n',
  );
  await ok(run(['retention', 'set', 'seen', '--topic=seen', '--keep=ids']));
  const { lines } = await ok(run(['retention', 'list']));
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/)),
    [
      ['POLICY', 'KEEP', 'MAX AGE', 'MAX BYTES', 'MAX EVENTS', 'IDS', 'TOPICS'],
      ['orders', 'events', '28d', '10000000000', '-', '60d', 'orders.> bills'],
      ['seen', 'ids', '-', '-', '-', 'forever', 'seen'],
    ],
  );
  const shown = await ok(run(['retention', 'show', 'orders', '--json']));
  assert.deepEqual((JSON.parse(shown.stdout) as { held_by: unknown }).held_by, []);
  assert.equal((await ok(run(['retention', 'remove', 'seen']))).stdout, 'seen is removed\n');
  const gone = await run(['retention', 'show', 'seen']);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /404 policy_not_found/);
  const wrong = await run(['retention', 'set', 'p', '--topic=x', '--max-age=soon', '--json']);
  assert.equal((JSON.parse(wrong.stderr) as { error: { code: string } }).error.code, 'invalid_parameter');
});

test('a preview tells what would go, and setting a policy asks before anything goes', async (t) => {
  const { server, run } = await start(t);
  await server.publish(...manyEvents(5), eventWith({ topic: 'other' }));
  const bytes = (await server.get<{ topics: { bytes: number }[] }>('/topics')).topics[0]!.bytes / 5;
  const policy = ['--topic=orders', '--max-events=2'];
  const preview = await ok(run(['retention', 'preview', 'p', ...policy]));
  assert.match(preview.stdout, new RegExp(`^3 events \\(${3 * bytes} bytes\\) would go\nthe oldest that stays is 4, committed at 20\\S+Z\n$`)); // prettier-ignore
  for (const [input, code, message] of [
    [undefined, 2, /Give --yes, since nobody can be asked here/],
    [somebody('n'), 1, /would go at once, for good. Set it\? \[y\/N\] .*nothing was done/s],
    [somebody(), 1, /nothing was done/],
  ] as const) {
    const ran = await run(['retention', 'set', 'p', ...policy], input);
    assert.equal(ran.code, code, ran.stderr);
    assert.match(ran.stderr, message);
  }
  assert.equal((await ok(run(['retention', 'list']))).lines.length, 1);
  await ok(run(['retention', 'set', 'p', ...policy], somebody('y')));
  while ((await server.stats()).expired < 3);
  await new Group(server.url).make({ topics: ['orders'] });
  const held = await ok(run(['retention', 'preview', 'p', '--topic=orders', '--max-events=1']));
  assert.match(held.lines[2]!, /^the group workers holds 1 event, since 20\S+Z$/);
  await ok(run(['retention', 'set', 'p', '--topic=orders', '--max-events=1', '--past-groups', '--yes']));
});

test('a topic is truncated and an event erased once somebody has agreed', async (t) => {
  const { server, run } = await start(t);
  await server.publish(...manyEvents(5, (i) => ({ event_id: `e/${i + 1}` })));
  const bytes = (await server.get<{ topics: { bytes: number }[] }>('/topics')).topics[0]!.bytes / 5;
  for (const args of [
    ['truncate', 'orders', '3'],
    ['erase', 'orders', 'e/1'],
  ]) {
    assert.equal((await run(args)).code, 2);
    assert.equal((await run(args, somebody('no'))).code, 1);
  }
  assert.equal((await server.stats()).expired, 0);
  const truncated = await ok(run(['truncate', 'orders', '3'], somebody('yes')));
  assert.equal(truncated.stdout, `2 events (${2 * bytes} bytes) have expired; the first that is kept is 3\n`);
  const erased = await ok(run(['erase', 'orders', 'e/3', '--yes']));
  assert.match(erased.stdout, /^event 3, committed at 20\S+Z, is erased; its id stays known\n$/);
  const forgotten = await ok(run(['erase', 'orders', 'e/3', '--forget', '--yes', '--json']));
  const {
    offset,
    was_kept,
    forgotten: isForgotten,
  } = JSON.parse(forgotten.stdout) as Record<string, unknown>;
  assert.deepEqual([offset, was_kept, isForgotten], [3, false, true]);
  const missing = await run(['erase', 'orders', 'e/3', '--yes']);
  assert.match(missing.stderr, /404 event_not_found/);
  const beyond = await run(['truncate', 'orders', '99', '--yes']);
  assert.match(beyond.stderr, /409 cursor_beyond_end: before: the log ends at offset 5/);
  const all = await ok(run(['truncate', 'orders', '6', '--yes']));
  assert.equal(all.stdout, `2 events (${2 * bytes} bytes) have expired; nothing is kept\n`);
});
