import { DatabaseSync } from 'node:sqlite';
import { Stopped } from '@chronicleweaver/terminal';

/** https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/**
 * Makes this process the only pipe that writes a file. Node.js cannot lock files, but SQLite can: its lock on a file beside
 * ours ends with the process, however that ends.
 *
 * @returns what releases it
 * @throws Stopped if another process has it
 */
export function lockFile(path: string): () => void {
  const db = new DatabaseSync(`${path}-lock`);
  try {
    // In this mode the lock outlives the transaction.
    db.exec(`
      PRAGMA busy_timeout = 0;
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = MEMORY;
      PRAGMA synchronous = OFF;
      BEGIN EXCLUSIVE;
      COMMIT;
    `);
    return () => db.close();
  } catch (error) {
    db.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw new Stopped(1, `another pipe writes to ${path}: stop it, or name another file`);
  }
}
