import type { DatabaseSync } from 'node:sqlite';

/** Does the work on one state of the file: in a transaction of its own, or in the writer's where that is open. */
export function reading<T>(db: DatabaseSync, work: () => T): T {
  if (db.isTransaction) return work();
  db.exec('BEGIN');
  try {
    return work();
  } finally {
    db.exec('COMMIT');
  }
}
