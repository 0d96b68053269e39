import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../event-store.ts';
import { isCopy } from './epochs.ts';
import { MOVE_IT, openErrorOf } from './errors.ts';
import { readLedger } from './ledger.ts';
import { FileLock } from './lock.ts';
import { MIGRATIONS } from './migrations.ts';
import { placeOf } from './place.ts';

/** Marks a file as ours in its header (`PRAGMA application_id`): the letters "ChWv". */
const APPLICATION_ID = 0x43685776;

/** Older ones can corrupt the file in WAL mode: https://sqlite.org/releaselog/3_51_3.html */
const SQLITE_VERSION_MIN = '3.51.3';

/** The log (WAL) is truncated to this size when it restarts, bytes. A backup, a long read or a merge of keys makes it larger. */
const LOG_BYTES_KEPT = 32 * 1024 * 1024;

/**
 * Opens the file for its only writer, and creates or migrates it if needed. Throws a StoreError `unusable`, with advice,
 * if the file is not ours, newer, or lacks events that it held, if SQLite is too old, or if no file can be created at
 * that path.
 */
export function openForWriting(given: string): { db: DatabaseSync; lock: FileLock } {
  const path = placeOf(given);
  let lock: FileLock | undefined;
  let db: DatabaseSync | undefined;
  try {
    const isNew = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0;
    if (isNew) {
      lock = FileLock.take(path);
      if (lock.mark > 0) throw goneError(path, lock.mark);
    }
    db = open(path, false);
    refuseOldSqlite(sqliteVersion(db));
    refuseForeignFile(db, path);
    // Not earlier, so that nothing is left beside a file that is not ours.
    lock ??= FileLock.take(path);
    // Only before the first table is made.
    if (isNew) db.exec('PRAGMA auto_vacuum = INCREMENTAL');
    // Every commit writes and syncs the log, so an answer after COMMIT survives a power loss.
    db.exec(`
      PRAGMA secure_delete = ON;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA busy_timeout = 5000;
      PRAGMA journal_size_limit = ${LOG_BYTES_KEPT};
      PRAGMA cache_size = -16384;
    `);
    migrate(db);
    refuseReadOnly(db);
    refuseShortFile(db, path, lock);
    return { db, lock };
  } catch (error) {
    db?.close();
    lock?.release();
    throw openErrorOf(path, error);
  }
}

function goneError(path: string, mark: number): StoreError {
  return new StoreError(
    'unusable',
    `${path} is missing or empty, but held events up to offset ${mark}: put it back, or restore a backup ` +
      `(npm run backup -- ${path} --from COPY); to start over, remove ${path}-lock`,
  );
}

/** A missing log takes the newest events with it, and SQLite does not notice. */
function refuseShortFile(db: DatabaseSync, path: string, lock: FileLock): void {
  const { lastOffset } = readLedger(db);
  if (lastOffset >= lock.mark) lock.raise(lastOffset);
  // It was put here on purpose.
  else if (isCopy(db)) lock.lower(lastOffset);
  else {
    throw new StoreError(
      'unusable',
      `${path} ends at offset ${lastOffset} but held events up to ${lock.mark}: its ${basename(path)}-wal was taken ` +
        `away, or it is an older file; put back what is missing, or restore a backup ` +
        `(npm run backup -- ${path} --replace --from COPY); to continue without what is missing, remove ${path}-lock`,
    );
  }
}

/** Opens the file for reading, beside the writer. */
export function openForReading(path: string): DatabaseSync {
  const db = open(path, true);
  db.exec('PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;');
  return db;
}

/** Opens the file for checkpointing its log, beside the writer. */
export function openForFolding(path: string): DatabaseSync {
  const db = open(path, false);
  // Until SQLite has read from the file, it does not know that there is a log.
  db.exec('PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA user_version;');
  return db;
}

/**
 * Opens the file for taking a copy, beside the writer if there is one. Nothing changes, except that the last connection
 * to close checkpoints the log, as the writer would. Throws a StoreError `unusable` on a file that is not ours.
 */
export function openForCopying(path: string): DatabaseSync {
  const db = open(path, false);
  try {
    db.exec('PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;');
    refuseOldSqlite(sqliteVersion(db));
    refuseForeignFile(db, path);
    if (pragma(db, 'user_version') === 0) {
      throw new StoreError('unusable', `${path} is empty: no service has stored anything in it`);
    }
    return db;
  } catch (error) {
    db.close();
    throw openErrorOf(path, error);
  }
}

/** Throws on an SQLite that could corrupt the file. `version` is like "3.53.4". */
export function refuseOldSqlite(version: string): void {
  const [have, need] = [version, SQLITE_VERSION_MIN].map((text) => text.split('.').map(Number)) as [
    number[],
    number[],
  ];
  const differs = need.findIndex((part, i) => part !== have[i]);
  if (differs >= 0 && (have[differs] ?? 0) < need[differs]!) {
    throw new StoreError(
      'unusable',
      `SQLite ${version} can corrupt a file in WAL mode; ${SQLITE_VERSION_MIN} or later is needed: use a newer Node.js`,
    );
  }
}

export function sqliteVersion(db: DatabaseSync): string {
  return String(db.prepare('SELECT sqlite_version() AS version').get()!['version']);
}

function open(path: string, readOnly: boolean): DatabaseSync {
  try {
    return new DatabaseSync(path, { readOnly });
  } catch (cause) {
    throw openErrorOf(path, cause);
  }
}

function refuseForeignFile(db: DatabaseSync, path: string): void {
  const id = pragma(db, 'application_id');
  const tables = Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()!['n']);
  if (id !== APPLICATION_ID && (id !== 0 || tables > 0)) {
    throw new StoreError('unusable', `${path} is an SQLite file of another program: ${MOVE_IT}`);
  }
  const version = pragma(db, 'user_version');
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      'unusable',
      `${path} is of format ${version}, this program only supports up to ${MIGRATIONS.length}: start a newer version of it`,
    );
  }
}

function migrate(db: DatabaseSync): void {
  const version = pragma(db, 'user_version');
  if (version === MIGRATIONS.length) return;
  // One transaction for all steps: a crash leaves the file before or after them, and a new one waits for few syncs.
  db.exec(`
    BEGIN IMMEDIATE;
    ${MIGRATIONS.slice(version).join('\n')}
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${MIGRATIONS.length};
    COMMIT;
  `);
}

/** SQLite opens a read-only file, and fails only at the first write. Throws what SQLite throws then. */
function refuseReadOnly(db: DatabaseSync): void {
  db.exec(`BEGIN IMMEDIATE; PRAGMA user_version = ${pragma(db, 'user_version')}; ROLLBACK`);
}

function pragma(db: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()![name]);
}
