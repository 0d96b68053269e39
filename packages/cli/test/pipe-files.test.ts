import assert from 'node:assert/strict';
import {
  appendFileSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '../../../lab/program.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { FileTarget } from '../src/pipe/file-target.ts';
import { exactEvent, pipedGroups } from './support/piped-group.ts';

const TIMEOUT = { timeout: 60_000 };

/** What a pipe waits for that ends by itself. */
const UNENDING = new Promise(() => {});

const groupWith = pipedGroups(await sharedServer());

/** A file that a pipe writes, and the full ones before it. */
function filesIn(t: TestContext) {
  const folder = tempFolder(t);
  const path = join(folder, 'out.ndjson');
  const full = () => readdirSync(folder).filter((name) => /\.\d{16}-\d{16}\./.test(name)).toSorted(); // prettier-ignore
  return {
    folder,
    path,
    to: ['--to=file', path],
    full,
    /** The lines of the full files in the order of their names, then those of the current one. */
    lines: () =>
      [...full(), 'out.ndjson'].flatMap((name) =>
        readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1),
      ),
  };
}

test('a pipe to a file writes each event as it was sent, in order', TIMEOUT, async (t) => {
  const { pipe, stored } = await groupWith(t, 250);
  const { to, lines } = filesIn(t);
  const { code, stderr, stdout } = await pipe(to);
  assert.deepEqual([code, stderr, stdout], [0, '', '']);
  assert.deepEqual(lines(), await stored());
});

test(
  'what a file has is not written again, wherever a kill came before the acknowledgement',
  TIMEOUT,
  async (t) => {
    const { pipe, stored, group } = await groupWith(t, 6);
    const { path, to, lines } = filesIn(t);
    const events = await stored();
    // What was delivered late stands behind what is newer.
    const had = [events[1], events[4], events[2]];
    writeFileSync(path, had.map((line) => `${line}\n`).join(''));
    const { code, stderr } = await pipe(to);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(lines(), [...had, events[0], events[3], events[5]]);
    assert.equal((await group.group()).acknowledged, 6);
  },
);

test('half a line at the end of a file is cut off, and its event written whole', TIMEOUT, async (t) => {
  // A whole event without the end of its line is none either.
  for (const cut of [(): string => '{', (event: string) => event.slice(0, 60), (event: string) => event]) {
    const { pipe, stored } = await groupWith(t, 3);
    const events = await stored();
    const { path, to, lines } = filesIn(t);
    const torn = cut(events[1]!);
    writeFileSync(path, `${events[0]}\n${torn}`);
    const { code, stderr } = await pipe(to);
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`^chronicleweaver: cut off ${torn.length} bytes of .*out\\.ndjson: `));
    assert.deepEqual(lines(), events);
  }
});

test('zeros that a power failure left are cut off with what follows them', TIMEOUT, async (t) => {
  const { pipe, stored } = await groupWith(t, 3);
  const { path, to, lines } = filesIn(t);
  const events = await stored();
  writeFileSync(path, `${events[0]}\n{"event${'\0'.repeat(50)}\n${events[2]}\n`);
  const { code, stderr } = await pipe(to);
  assert.equal(code, 0, stderr);
  assert.deepEqual(lines(), events);
});

test('a file of something else is refused, and stays as it is', TIMEOUT, async (t) => {
  const { pipe, stored, group } = await groupWith(t, 2);
  const [event] = await stored();
  for (const [text, place] of [
    ['a note\n', 'line 1'],
    [`${event}\n\n`, 'line 2'],
    [`${event}\na note`, 'what is at its end'],
    ['\0\0\0\n', 'line 1'],
    ['{"level":30}\n', 'line 1'],
  ] as const) {
    const { path, to } = filesIn(t);
    writeFileSync(path, text);
    const { code, stderr } = await pipe(to, () => UNENDING);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`is not a file of events: ${place} is none; name another file$`, 'm'));
    assert.equal(readFileSync(path, 'utf8'), text);
  }
  assert.equal((await group.group()).lag, 2);
});

test('a path whose folder is missing or is none is refused in words', TIMEOUT, async (t) => {
  const { pipe } = await groupWith(t, 1);
  const { folder, path } = filesIn(t);
  writeFileSync(path, '');
  for (const place of [join(folder, 'none'), join(folder, 'none', 'deeper'), path]) {
    const { code, stderr } = await pipe(['--to=file', join(place, 'out.ndjson')], () => UNENDING);
    assert.equal(code, 2);
    assert.equal(
      stderr,
      `chronicleweaver: ${place} is not a folder that exists: make it, or name another file\n`,
    );
  }
});

test('an event of a restored log is written although a file has its offset', TIMEOUT, async (t) => {
  const { pipe, stored } = await groupWith(t, 2);
  const { path, to, lines } = filesIn(t);
  const events = await stored();
  const other = events[0]!.replace('e-1', 'e-0');
  writeFileSync(path, `${other}\n`);
  await pipe(to);
  assert.deepEqual(lines(), [other, ...events]);
});

test('a full file is named after its offsets, and a seek back writes nothing twice', TIMEOUT, async (t) => {
  const { pipe, stored, group, name } = await groupWith(t, 200);
  const { folder, path, to, lines, full } = filesIn(t);
  const rotating = [...to, '--rotate-size=10kB', '--batch=30'];
  assert.equal((await pipe(rotating)).code, 0);
  const events = await stored();
  assert.deepEqual(lines(), events);
  assert.ok(full().length >= 3, full().join());
  for (const name of full()) {
    const text = readFileSync(join(folder, name), 'utf8');
    assert.ok(text.length <= 10_000 && text.length > 8000, `${name} ${text.length}`);
    const offsets = [...text.matchAll(/,"offset":(\d+),/g)].map(([, offset]) => Number(offset));
    const [low, high] = [offsets[0]!, offsets.at(-1)!].map((offset) => String(offset).padStart(16, '0'));
    assert.equal(name, `out.${low}-${high}.ndjson`);
  }
  assert.ok(statSync(path).size <= 10_000);
  await group.chronicle.groups.seek(name, { offset: 'earliest' });
  assert.equal((await pipe(rotating)).code, 0);
  assert.deepEqual(lines(), events);
  // One that was taken away is not looked into.
  const [away] = full();
  renameSync(join(folder, away!), join(folder, 'away'));
  await group.chronicle.groups.seek(name, { offset: 'earliest' });
  assert.equal((await pipe(rotating)).code, 0);
  assert.deepEqual(lines().toSorted(), events.toSorted());
});

test('only so many full files are kept as --keep says', TIMEOUT, async (t) => {
  const { pipe, stored } = await groupWith(t, 200);
  const { to, lines, full } = filesIn(t);
  assert.equal((await pipe([...to, '--rotate-size=5kB', '--keep=2'])).code, 0);
  assert.equal(full().length, 2);
  const events = await stored();
  assert.deepEqual(lines(), events.slice(-lines().length));
});

test('a full file that was taken away need not be removed', TIMEOUT, async (t) => {
  const { pipe, stored, group } = await groupWith(t, 100);
  const { folder, to, lines, full } = filesIn(t);
  const { drained } = group;
  const { code, stderr } = await pipe([...to, '--rotate-size=5kB', '--keep=2'], async () => {
    await drained();
    renameSync(join(folder, full()[0]!), join(folder, 'away'));
    await group.chronicle.publish(Array.from({ length: 100 }, (_, i) => exactEvent(t.name, 101 + i)));
    await drained();
  });
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(full().length, 2);
  const events = await stored();
  assert.deepEqual(lines(), events.slice(-lines().length));
});

test('a file that is closed while the one before it ends stays as it is', TIMEOUT, async (t) => {
  const { path, full, lines } = filesIn(t);
  const periodMs = 1000;
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
  const failed = t.mock.fn();
  const rotation = { bytesMax: Infinity, periodMs, filesKept: Infinity };
  const target = await FileTarget.open(path, rotation, () => {}, failed);
  const events = [1, 2].map((offset) => {
    const text = `${exactEvent(t.name, offset).slice(0, -1)},"offset":${offset},"received_at":"x"}`;
    return { text, offset, delivery: 1 };
  });
  const { signal } = new AbortController();
  await target.take([events[0]!], signal);
  t.mock.timers.tick(periodMs);
  await Promise.all([target.take([events[1]!], signal), target.close()]);
  t.mock.timers.tick(periodMs);
  // Long enough for what a timer has begun, by the clock that stays.
  const endMs = performance.now() + 200;
  while (performance.now() < endMs) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(full().length, 1);
  assert.deepEqual(
    lines(),
    events.map(({ text }) => text),
  );
  assert.equal(failed.mock.callCount(), 0);
});

test('a file has the events of one period, also if nothing comes at its end', TIMEOUT, async (t) => {
  const { pipe, stored, group } = await groupWith(t, 1);
  const { path, to, lines, full } = filesIn(t);
  assert.equal((await pipe([...to, '--rotate-every=1d'])).code, 0);
  const yesterday = new Date(Date.now() - 86_400_000);
  utimesSync(path, yesterday, yesterday);
  await group.chronicle.publish(exactEvent(t.name, 2));
  assert.equal((await pipe([...to, '--rotate-every=1d'])).code, 0);
  assert.equal(full().length, 1);
  const events = await stored();
  assert.deepEqual(lines(), events);
  await pipe([...to, '--rotate-every=1s'], () => until(() => 'the second file', () => full().length === 2)); // prettier-ignore
  assert.equal(readFileSync(path, 'utf8'), '');
  assert.deepEqual(lines(), events);
});

test(
  'a second pipe on the same file is refused, and so is a file that somebody changes',
  TIMEOUT,
  async (t) => {
    const { pipe, stored, group } = await groupWith(t, 1);
    const { path, to, lines } = filesIn(t);
    const { drained } = group;
    const first = await pipe(to, async () => {
      await drained();
      const { code, stderr } = await pipe(to);
      assert.equal(code, 1);
      assert.match(stderr, /another pipe writes to .*out\.ndjson: stop it, or name another file$/m);
    });
    assert.equal(first.code, 0, first.stderr);
    const { code, stderr } = await pipe(to, async () => {
      await group.chronicle.publish(exactEvent(t.name, 2));
      await drained();
      appendFileSync(path, 'a note\n');
      await group.chronicle.publish(exactEvent(t.name, 3));
      await new Promise(() => {});
    });
    assert.equal(code, 1);
    assert.match(stderr, /out\.ndjson was changed by somebody else/);
    assert.deepEqual(lines(), [...(await stored()).slice(0, 2), 'a note']);
    assert.equal((await group.group()).acknowledged, 2);
  },
);
