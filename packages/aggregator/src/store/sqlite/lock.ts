import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../event-store.ts';
import { openErrorOf } from './errors.ts';

/** https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/**
 * Makes this process the only one that writes the file: the newest keys are in its memory, so a second writer would
 * keep an event twice. The lock is SQLite's own, on a file beside ours that is otherwise empty: the system drops it
 * when the process dies, however it dies. A process that is stopped (SIGSTOP) keeps it.
 *
 * @param path the file's one path, as `placeOf` tells it
 * @returns lets it go
 */
export function lock(path: string): () => void {
  const lockPath = `${path}-lock`;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(lockPath);
    db.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    db?.close();
    if (cause instanceof Error && 'errcode' in cause && cause.errcode === SQLITE_BUSY) {
      throw new StoreError('unusable', `another process has ${path} open; stop it, or use another file`, {
        cause,
      });
    }
    throw openErrorOf(lockPath, cause);
  }
  const held = db;
  return () => held.close();
}
