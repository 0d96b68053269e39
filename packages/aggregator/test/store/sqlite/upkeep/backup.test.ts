import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { BackupError } from '../../../../src/store/sqlite/upkeep/backup-error.ts';
import { type BackupOptions, backup } from '../../../../src/store/sqlite/upkeep/backup.ts';
import type { Epoch } from '../../../../src/store/event-store.ts';
import { epochsOf } from '../../../../src/store/sqlite/file/epochs.ts';
import { openFile } from '../../../../src/store/sqlite/open-file.ts';
import { SqliteStore } from '../../../../src/store/sqlite/store.ts';
import type { StoreMessage } from '../../../../src/store/event-store.ts';
import { verifyFile } from '../../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, manyEvents } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

/** A folder with a closed file of this many events, and a path for a copy. */
function fileOf(t: TestContext, events: number): { folder: string; from: string; to: string } {
  const folder = tempFolder(t);
  const from = join(folder, 'events.db');
  const file = openFile(from);
  for (let at = 0; at < events; at += 500) {
    const some = manyEvents(Math.min(500, events - at), (i) => ({
      event_id: `e-${at + i + 1}`,
      topic: `t${i % 5}`,
      // The tests count pages, so the text must not compress well.
      payload: { message: randomBytes(60).toString('base64') },
    }));
    file.appender.append(batchOf(...some));
  }
  file.close();
  return { folder, from, to: join(folder, 'copy.db') };
}

async function refusal(options: BackupOptions): Promise<BackupError> {
  return backup(options).then(
    () => assert.fail('the copy was made'),
    (error: unknown) => (error instanceof BackupError ? error : assert.fail(String(error))),
  );
}

test('a copy holds the state at its start, whatever is committed between its steps', async (t) => {
  const { folder, from, to } = fileOf(t, 2000);
  const writer = openFile(from);
  t.after(() => writer.close());
  let steps = 0;
  let pages = 0;
  const made = await backup({
    from,
    to,
    stepPages: 2,
    progress: (step, _done, total) => {
      if (step !== 'copying') return;
      steps += 1;
      pages = total / 4096;
      // Without the transaction each commit would restart the copy.
      assert.ok(steps <= 2000, 'the copy never ends while a writer is active');
      writer.appender.append(batchOf(...manyEvents(3, (i) => ({ event_id: `meanwhile-${steps}-${i}` }))));
    },
  });
  assert.ok(steps > 10, `${steps} steps are too few to tell`);
  assert.ok(steps <= pages / 2 + 1, `${steps} steps for ${pages} pages: something was copied twice`);
  assert.equal(made.events, 2000);
  assert.equal(made.lastOffset, 2000);
  assert.equal(made.bytes, statSync(to).size);
  const found = verifyFile(to);
  assert.deepEqual(found.problems, []);
  assert.equal(found.events, 2000);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.includes('partial')),
    [],
  );
});

test('a copy tells when its last commit was, not when it was made or restored', async (t) => {
  const { folder, from, to } = fileOf(t, 0);
  assert.equal((await backup({ from, to })).lastCommitMs, null);
  let nowMs = Date.UTC(2025, 9, 28);
  const service = openFile(from, { now: () => nowMs });
  t.after(() => service.close());
  service.appender.append(batchOf(...manyEvents(3)));
  const lastMs = (nowMs += 5000);
  service.appender.append(batchOf(...manyEvents(4)));
  const copy = join(folder, 'of-running.db');
  const taken = await backup({
    from,
    to: copy,
    stepPages: 2,
    // Whoever sends again from the time that the copy tells must send these.
    progress: (step) => {
      if (step !== 'copying') return;
      nowMs += 1;
      service.appender.append(batchOf(...manyEvents(1, () => ({ event_id: `meanwhile-${nowMs}` }))));
    },
  });
  assert.deepEqual([taken.events, taken.lastCommitMs], [4, lastMs]);
  const restored = await backup({ from: copy, to: join(folder, 'restored.db') });
  assert.deepEqual([restored.events, restored.lastCommitMs], [4, lastMs]);
});

test('a copy leaves the file and the files beside it unchanged', async (t) => {
  const { folder, from, to } = fileOf(t, 1000);
  const bytes = readFileSync(from);
  const beside = readdirSync(folder);
  await backup({ from, to });
  assert.deepEqual(readFileSync(from), bytes);
  assert.deepEqual(readdirSync(folder), ['copy.db', ...beside].toSorted());
});

test('a copy is a single file that can be read in a read-only folder', async (t) => {
  const { from, to } = fileOf(t, 10);
  await backup({ from, to });
  // https://sqlite.org/fileformat2.html#file_format_version_numbers: 2 is WAL.
  assert.deepEqual([...readFileSync(to).subarray(18, 20)], [1, 1]);
  assert.equal(statSync(to).mode, statSync(from).mode);
});

test('a file that a killed service left behind is copied together with everything in its log', async (t) => {
  const { folder, from } = fileOf(t, 100);
  const writer = openFile(from);
  t.after(() => writer.close());
  writer.appender.append(batchOf(...manyEvents(7, (i) => ({ event_id: `late-${i}` }))));
  // As a kill would leave it: the log is not checkpointed, and nobody has the file open.
  const left = join(folder, 'left.db');
  for (const suffix of ['', '-wal']) copyFileSync(from + suffix, left + suffix);
  const to = join(folder, 'copy.db');
  assert.equal((await backup({ from: left, to })).events, 107);
  assert.equal(verifyFile(to).events, 107);
});

test('an existing file is replaced only on request, and never while a service uses it', async (t) => {
  const { folder, from, to } = fileOf(t, 10);
  writeFileSync(to, 'something else');
  const there = await refusal({ from, to });
  assert.equal(there.code, 'target');
  assert.match(there.message, /already exists/);
  assert.equal(readFileSync(to, 'utf8'), 'something else');
  await backup({ from, to, replace: true });
  assert.equal(verifyFile(to).events, 10);

  const used = join(folder, 'used.db');
  const service = openFile(used);
  const inUse = await refusal({ from: to, to: used, replace: true });
  assert.match(inUse.message, /-wal belongs to another file|another process has/);
  service.close();
  // Its lock file is still there, but nobody holds the lock.
  await backup({ from: to, to: used, replace: true });
  assert.equal(verifyFile(used).events, 10);
});

test('a service that has no log yet is noticed by its lock', async (t) => {
  const { folder, from } = fileOf(t, 10);
  const to = join(folder, 'used.db');
  openFile(to).close();
  const holder = new DatabaseSync(`${to}-lock`);
  t.after(() => holder.close());
  holder.exec('BEGIN EXCLUSIVE');
  assert.match((await refusal({ from, to, replace: true })).message, /another process has .* open/);
  assert.equal(verifyFileWithout(t, to), 0);
});

/** The number of events in a copy of the file, whose own lock is held. */
function verifyFileWithout(t: TestContext, path: string): number {
  const copy = join(tempFolder(t), 'copy.db');
  copyFileSync(path, copy);
  return verifyFile(copy).events;
}

test("a target beside another file's log is refused", async (t) => {
  for (const suffix of ['-wal', '-shm', '-journal']) {
    const { from, to } = fileOf(t, 10);
    writeFileSync(to + suffix, '');
    for (const replace of [false, true]) {
      const { code, message } = await refusal({ from, to, replace });
      assert.equal(code, 'target');
      assert.match(message, /belongs to another file of that name and would damage the copy/);
    }
    assert.equal(existsSync(to), false);
  }
});

test('a file is not copied onto itself, whatever name is used', async (t) => {
  const { folder, from } = fileOf(t, 10);
  const bytes = readFileSync(from);
  symlinkSync(from, join(folder, 'symbolic.db'));
  linkSync(from, join(folder, 'hard.db'));
  for (const name of ['events.db', 'events.db-wal', 'events.db-lock', 'symbolic.db', 'hard.db']) {
    const { code, message } = await refusal({ from, to: join(folder, name), replace: true });
    assert.equal(code, 'target', name);
    assert.match(message, /belongs to the file to be copied/, name);
  }
  assert.deepEqual(readFileSync(from), bytes);
});

test("a source that is not the service's file is refused, and so is an impossible target", async (t) => {
  const { folder, from, to } = fileOf(t, 10);
  const text = join(folder, 'text');
  writeFileSync(text, 'The minutes of the meeting, in plain text.\n'.repeat(200));
  const foreign = join(folder, 'foreign.db');
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE x (y)');
  other.close();
  const newer = join(folder, 'newer.db');
  copyFileSync(from, newer);
  const changed = new DatabaseSync(newer);
  changed.exec('PRAGMA user_version = 1000');
  changed.close();
  const empty = join(folder, 'empty.db');
  writeFileSync(empty, '');
  mkdirSync(join(folder, 'a-folder'));
  const cases: [Partial<BackupOptions>, BackupError['code'], RegExp][] = [
    [{ from: join(folder, 'missing.db') }, 'source', /missing.db does not exist/],
    [{ from: text }, 'source', /is not an SQLite file/],
    [{ from: foreign }, 'source', /SQLite file of another program/],
    [{ from: newer }, 'source', /is of format 1000/],
    [{ from: empty }, 'source', /is empty/],
    [{ from: join(folder, 'a-folder') }, 'source', /a-folder/],
    [{ to: join(folder, 'a-folder') }, 'target', /is a folder; name a file in it/],
    [{ to: join(folder, 'x'.repeat(300)) }, 'target', /is too long/],
    [{ to: join(folder, 'none', 'copy.db') }, 'target', /the folder .* does not exist/],
    [{ to: join(text, 'copy.db') }, 'target', /the folder .* does not exist/],
  ];
  const before = readdirSync(folder);
  for (const [options, code, message] of cases) {
    const refused = await refusal({ from, to, ...options });
    assert.match(refused.message, message);
    assert.equal(refused.code, code, refused.message);
  }
  assert.deepEqual(readdirSync(folder), before);
});

test('an unsound copy is deleted and reported, or kept if verifying was declined', async (t) => {
  const { from, to } = fileOf(t, 100);
  const damaged = new DatabaseSync(from);
  damaged.exec("UPDATE topic SET events = 7 WHERE name = 't3'");
  damaged.close();
  const refused = await refusal({ from, to });
  assert.equal(refused.code, 'unsound');
  assert.match(refused.problems.join('\n'), /topic "t3": the books say 7 events/);
  assert.equal(existsSync(to), false);
  await backup({ from, to, verify: false });
  assert.equal(verifyFile(to).problemsFound, 1);
});

test('a copy begins a new epoch at its end once a service writes to it, and not by being verified [EPO-1]', async (t) => {
  const { folder, from, to } = fileOf(t, 20);
  const epochs = (path: string): Epoch[] => {
    const db = new DatabaseSync(path);
    const found = epochsOf(db);
    db.close();
    return found;
  };
  const [first, ...others] = epochs(from);
  assert.match(first!.name, /^[0-9a-f]{16}$/);
  assert.deepEqual([first!.afterOffset, others], [0, []]);
  await backup({ from, to });
  assert.deepEqual(verifyFile(to).problems, []);
  assert.deepEqual(epochs(to), [first]);
  const again = join(folder, 'again.db');
  await backup({ from: to, to: again });

  const told: StoreMessage[] = [];
  const restored = await SqliteStore.open(to, (line) => told.push(line));
  assert.deepEqual(
    restored.epochs.map(({ afterOffset }) => afterOffset),
    [0, 20],
  );
  assert.equal(told.length, 1);
  assert.match(told[0]!.message, /a new epoch begins/);
  const { epochs: begun } = restored;
  await restored.close();
  const restarted = await SqliteStore.open(to, (line) => told.push(line));
  assert.deepEqual(restarted.epochs, begun);
  assert.equal(told.length, 1);
  await restarted.close();
  // The same copy, restored a second time, is a different log.
  const other = await SqliteStore.open(again);
  assert.deepEqual(other.epochs[0], first);
  assert.notEqual(other.epochs[1]!.name, begun[1]!.name);
  await other.close();
});

test('a copy aborted while copying or verifying leaves nothing behind', async (t) => {
  const { folder, from, to } = fileOf(t, 3000);
  const before = readdirSync(folder);
  for (const stopAt of ['copying', 'verifying']) {
    const off = new AbortController();
    const reason = new Error('aborted');
    const made = backup({
      from,
      to,
      stepPages: 4,
      signal: off.signal,
      progress: (step) => {
        if (step === stopAt) off.abort(reason);
      },
    });
    await assert.rejects(made, (error) => error === reason, stopAt);
    assert.deepEqual(readdirSync(folder), before, stopAt);
  }
});
