import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  linkSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { StoreError } from '../../../src/store/event-store.ts';
import { openForReading, openForWriting, refuseOldSqlite } from '../../../src/store/sqlite/file/database.ts';
import { refuseCutLog } from '../../../src/store/sqlite/file/ledger.ts';
import { FileLock } from '../../../src/store/sqlite/file/lock.ts';
import { MIGRATIONS } from '../../../src/store/sqlite/file/migrations.ts';
import { backup } from '../../../src/store/sqlite/upkeep/backup.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { SqliteStore } from '../../../src/store/sqlite/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const unusable = (message: RegExp) => (error: unknown) =>
  error instanceof StoreError && error.code === 'unusable' && message.test(error.message);

test('the writer syncs its log with every commit [P-1]', (t) => {
  const { db, lock } = openForWriting(join(tempFolder(t), 'deep/er/events.db'));
  t.after(() => {
    db.close();
    lock.release();
  });
  assert.equal(db.prepare('PRAGMA journal_mode').get()!['journal_mode'], 'wal');
  assert.equal(db.prepare('PRAGMA synchronous').get()!['synchronous'], 2);
});

test('a store whose reader dies while it closes lets go of the file all the same', async (t) => {
  const path = join(tempFolder(t), 'events.db');
  const store = await SqliteStore.open(path);
  await store.append([batchOf(eventWith())]);
  // The first thing that is said from now on is to the reader, which is to close.
  const said = t.mock.method(Worker.prototype, 'postMessage', function (this: Worker) {
    said.mock.restore();
    void this.terminate();
  });
  await assert.rejects(store.close(), /the store's reader thread has ended/);
  FileLock.take(path).release();
  assert.equal(existsSync(`${path}-wal`), false, 'what was written is in the file');
});

test('a log that grew during a long read shrinks when the read ends', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const { db, lock } = openForWriting(path);
  const reader = openForReading(path);
  t.after(() => {
    reader.close();
    db.close();
    lock.release();
  });
  const commit = (bytes: number): void => {
    db.prepare('UPDATE log SET secret = randomblob(?)').run(bytes);
  };
  commit(16);
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM log').get();
  for (let i = 0; i < 9; i++) commit(8 * 1024 * 1024);
  const grown = statSync(`${path}-wal`).size;
  reader.exec('COMMIT');
  // The first finds the log checkpointed, the second starts a new one.
  for (let i = 0; i < 3; i++) commit(16);
  const kept = statSync(`${path}-wal`).size;
  assert.ok(grown > 70e6, `it grew to ${grown} bytes only`);
  assert.ok(kept <= 32 * 1024 * 1024, `it kept ${kept} bytes`);
});

test('an SQLite that can corrupt the file is refused; versions from the first good one on are accepted', () => {
  for (const version of ['3.51.2', '3.50.9', '3.7.17', '2.8.0']) {
    assert.throws(() => refuseOldSqlite(version), unusable(/3\.51\.3 or later is needed/), version);
  }
  for (const version of ['3.51.3', '3.51.10', '3.53.4', '4.0.0']) refuseOldSqlite(version);
});

test('a file that is not ours is refused with advice, and left unchanged', async (t) => {
  const folder = tempFolder(t);
  const text = join(folder, 'notes.txt');
  writeFileSync(text, 'these are my notes, and not a database\n'.repeat(100));
  const foreign = join(folder, 'foreign.db');
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE dedup (id TEXT)');
  other.close();
  const newer = join(folder, 'newer.db');
  const ours = openForWriting(newer);
  ours.db.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
  ours.db.close();
  ours.lock.release();
  for (const [path, message] of [
    [text, /is not an SQLite file: move it away/],
    [foreign, /of another program: move it away/],
    [newer, /of format \d+, this program only supports up to \d+.*newer version/],
    [folder, /is a folder: name a file in it/],
  ] as const) {
    const before = path === folder ? '' : readFileSync(path, 'latin1');
    await assert.rejects(SqliteStore.open(path), unusable(message));
    if (path !== folder) assert.equal(readFileSync(path, 'latin1'), before);
  }
});

test('a file has one writer, whichever link leads to it [P-2]', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'events.db');
  const first = await SqliteStore.open(path);
  t.after(() => first.close());
  const link = join(folder, 'link.db');
  symlinkSync('events.db', link);
  const linkedFolder = join(tempFolder(t), 'folder');
  symlinkSync(folder, linkedFolder);
  for (const name of [link, join(linkedFolder, 'events.db'), join(linkedFolder, 'link.db')]) {
    await assert.rejects(SqliteStore.open(name), unusable(/another process has .*events\.db open/), name);
  }
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('link')),
    ['link.db'],
  );
});

test('a link to a file works like the file, and a dangling link is refused', async (t) => {
  const folder = tempFolder(t);
  const link = join(folder, 'link.db');
  symlinkSync(join(folder, 'events.db'), link);
  await assert.rejects(SqliteStore.open(link), unusable(/leads nowhere/));
  await (await SqliteStore.open(join(folder, 'events.db'))).close();
  const store = await SqliteStore.open(link);
  assert.ok((await store.stats()).storedBytes > 0);
  await store.close();
});

test('a file with a second hard link is refused, because its lock is only found under one name [P-2]', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'events.db');
  await (await SqliteStore.open(path)).close();
  linkSync(path, join(folder, 'other.db'));
  await assert.rejects(SqliteStore.open(path), unusable(/2 names \(hard links\).*remove/));
  unlinkSync(join(folder, 'other.db'));
  await (await SqliteStore.open(path)).close();
});

/** A file with one event and its lock, as a killed service leaves them. */
function leaveKilled(folder: string): string {
  const path = join(folder, 'events.db');
  const file = openFile(join(folder, 'running.db'));
  file.appender.append(batchOf(eventWith()));
  file.lock.raise(file.appender.lastOffset);
  for (const suffix of ['', '-wal', '-lock'])
    copyFileSync(join(folder, `running.db${suffix}`), path + suffix);
  file.close();
  return path;
}

test('a file that held events and is now empty or missing is not silently replaced', async (t) => {
  const path = leaveKilled(tempFolder(t));
  const bytes = readFileSync(path);
  for (const ruin of [() => writeFileSync(path, ''), () => unlinkSync(path)]) {
    ruin();
    await assert.rejects(
      SqliteStore.open(path),
      unusable(/is missing or empty, but held events up to offset 1: .*to start over, remove .*-lock/),
    );
  }
  assert.ok(!existsSync(path), 'something was put in its place');
  writeFileSync(path, bytes);
  const store = await SqliteStore.open(path);
  assert.equal((await store.stats()).lastOffset, 1);
  await store.close();
  unlinkSync(path);
  unlinkSync(`${path}-lock`);
  await (await SqliteStore.open(path)).close();
});

test('a file without its log is refused, and accepted when the log is back [P-1]', async (t) => {
  const path = leaveKilled(tempFolder(t));
  const log = readFileSync(`${path}-wal`);
  unlinkSync(`${path}-wal`);
  await assert.rejects(
    SqliteStore.open(path),
    unusable(
      /ends at offset 0 but held events up to 1: its events\.db-wal was taken away, or it is an older file/,
    ),
  );
  writeFileSync(`${path}-wal`, log);
  const store = await SqliteStore.open(path);
  assert.equal((await store.stats()).lastOffset, 1);
  await store.close();
});

test('a file opened without a lock file is marked at once, so that its loss is noticed', async (t) => {
  const folder = tempFolder(t);
  const path = leaveKilled(folder);
  unlinkSync(`${path}-lock`);
  const store = await SqliteStore.open(path);
  const lock = readFileSync(`${path}-lock`);
  await store.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  writeFileSync(`${path}-lock`, lock);
  await assert.rejects(SqliteStore.open(path), unusable(/held events up to offset 1/));
});

test('a mark never goes back, unless the file is a different one', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const lock = FileLock.take(path);
  lock.raise(2 ** 33);
  lock.raise(5);
  assert.equal(lock.mark, 2 ** 33);
  lock.release();
  const again = FileLock.take(path);
  assert.equal(again.mark, 2 ** 33);
  again.lower(5);
  assert.equal(again.mark, 5);
  again.release();
});

test('a file whose log and books end at different offsets is refused, whichever is ahead [P-4]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  for (const id of ['a', 'b']) file.appender.append(batchOf(eventWith({ event_id: id })));
  file.close();
  const change = (sql: string): void => {
    const db = new DatabaseSync(path);
    db.exec(sql);
    db.close();
  };
  // Not the other way round: the file would be marked with more than it holds.
  for (const lastOffset of [1, 3]) {
    change(`UPDATE ledger SET last_offset = ${lastOffset}`);
    assert.throws(
      () => openFile(path, { before: refuseCutLog }),
      unusable(/the books end at offset \d, but the log at 2/),
    );
  }
});

test('a file that lacks one of its newest blocks is refused, because its keys are unknown [P-2, P-4]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  for (const id of ['a', 'b', 'c']) file.appender.append(batchOf(eventWith({ event_id: id })));
  file.close();
  const db = new DatabaseSync(path);
  db.exec('DELETE FROM fresh_block WHERE first_offset = 2');
  db.close();
  assert.throws(() => openFile(path), unusable(/a block at offset 3, but the previous one ends at 1/));
});

test('a backup that replaced a longer file is accepted', async (t) => {
  const folder = tempFolder(t);
  const empty = join(folder, 'empty.db');
  await (await SqliteStore.open(empty)).close();
  const path = leaveKilled(folder);
  await (await SqliteStore.open(path)).close();
  await backup({ from: empty, to: path, replace: true });
  for (let start = 1; start <= 2; start++) {
    const store = await SqliteStore.open(path);
    assert.equal((await store.stats()).lastOffset, 0);
    await store.close();
  }
});

test('a lock file that a power loss left half written is recreated', async (t) => {
  const path = leaveKilled(tempFolder(t));
  for (const bytes of [Buffer.alloc(4096), Buffer.alloc(1), readFileSync(`${path}-lock`).subarray(0, 512)]) {
    writeFileSync(`${path}-lock`, bytes);
    const store = await SqliteStore.open(path);
    await assert.rejects(SqliteStore.open(path), unusable(/another process/));
    await store.close();
  }
});

test('an empty file is treated as a new one', async (t) => {
  const path = join(tempFolder(t), 'empty.db');
  writeFileSync(path, '');
  const store = await SqliteStore.open(path);
  assert.equal((await store.stats()).received, 0);
  await store.close();
});

test('a failed migration step leaves the file in the format before it', (t) => {
  const path = join(tempFolder(t), 'half.db');
  const half = new DatabaseSync(path);
  // The application's mark, but no tables, as a crash between the two would leave it if that could happen.
  half.exec('PRAGMA application_id = 0x43685776; CREATE TABLE event (x)');
  half.close();
  assert.throws(() => openForWriting(path), unusable(/already exists/));
  const after = new DatabaseSync(path, { readOnly: true });
  t.after(() => after.close());
  assert.equal(after.prepare('PRAGMA user_version').get()!['user_version'], 0);
  assert.equal(after.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'topic'").get()!['n'], 0);
});
