import { truncateSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../event-store.ts';
import { isSqliteError, openErrorOf } from './errors.ts';

/** https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** SQLite has two 32-bit numbers for applications' use; the first one is signed. */
const LOW = 2 ** 31;

/** Whether a file cannot be opened because another process holds its lock. */
export function isInUse(error: unknown): boolean {
  return error instanceof StoreError && isSqliteError(error.cause, SQLITE_BUSY);
}

/**
 * Makes this process the file's only writer: the newest keys are in its memory, so a second writer would store an event
 * twice. The lock is SQLite's own, on a file beside ours: the system drops it when the process dies, however it dies. A
 * stopped process (SIGSTOP) keeps it.
 *
 * The lock's file also holds a *mark*: the offset that our file is known to have reached. A file that ends before its
 * mark is a different one, or a part of it is missing. The mark is not synced, but never ahead of the synced file: after
 * a power loss it may be an older one or missing.
 */
export class FileLock {
  readonly #db: DatabaseSync;
  #mark: number;

  private constructor(db: DatabaseSync) {
    this.#db = db;
    const { application_id: high } = db.prepare('PRAGMA application_id').get() as { application_id: number };
    const { user_version: low } = db.prepare('PRAGMA user_version').get() as { user_version: number };
    this.#mark = high * LOW + low;
  }

  /**
   * @param path the file's only path, as `placeOf` returns it
   * @throws StoreError `unusable` if another process holds it
   */
  static take(path: string): FileLock {
    const lockPath = `${path}-lock`;
    try {
      return FileLock.#take(lockPath);
    } catch (cause) {
      if (isSqliteError(cause, SQLITE_BUSY)) {
        throw new StoreError('unusable', `another process has ${path} open; stop it, or use another file`, {
          cause,
        });
      }
      if (!isSqliteError(cause, SQLITE_NOTADB) && !isSqliteError(cause, SQLITE_CORRUPT))
        throw openErrorOf(lockPath, cause);
    }
    // The power failed while the mark was being written. The file could be opened, so nobody holds the lock.
    truncateSync(lockPath);
    return FileLock.#take(lockPath);
  }

  static #take(lockPath: string): FileLock {
    const db = new DatabaseSync(lockPath);
    try {
      // In this mode the lock outlives the transaction, so the mark can be written without releasing it.
      db.exec(`
        PRAGMA busy_timeout = 0;
        PRAGMA locking_mode = EXCLUSIVE;
        PRAGMA journal_mode = MEMORY;
        PRAGMA synchronous = OFF;
        BEGIN EXCLUSIVE;
        COMMIT;
      `);
      return new FileLock(db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  get mark(): number {
    return this.#mark;
  }

  /** Records that the file on disk reaches this offset. If that fails, the older mark is good enough. */
  raise(lastOffset: number): void {
    if (lastOffset <= this.#mark) return;
    try {
      this.#write(lastOffset);
    } catch {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    }
  }

  /** Records that the file was replaced by one that ends here. Synced, to reach the disk before later changes do. */
  lower(lastOffset: number): void {
    this.#db.exec('PRAGMA synchronous = FULL');
    this.#write(lastOffset);
    this.#db.exec('PRAGMA synchronous = OFF');
  }

  release(): void {
    this.#db.close();
  }

  #write(mark: number): void {
    this.#db.exec(`
      BEGIN;
      PRAGMA application_id = ${Math.floor(mark / LOW)};
      PRAGMA user_version = ${mark % LOW};
      COMMIT;
    `);
    this.#mark = mark;
  }
}
