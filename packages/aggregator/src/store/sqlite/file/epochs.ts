import type { DatabaseSync } from 'node:sqlite';
import type { Epoch } from '../../event-store.ts';

/**
 * A copy of a file is the same log up to its end, and a different one after it: the original and the copy give the next
 * offsets to different events. So a copy is marked as one, and the first service that writes to it begins a new epoch, in
 * the transaction that removes the mark: a crash before it leaves a copy, and one after it a log of its own.
 */
export function markCopy(db: DatabaseSync): void {
  // A file of an older format has no epochs; the start that migrates it draws the first one.
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'epoch'").get() === undefined) return;
  db.exec('UPDATE log SET is_copy = 1');
}

/**
 * Begins a new epoch if the file is a copy. Returns whether it did. The copy does not know the leases that the original
 * gave later: under the old secret a late acknowledgement could hit a different event with the same take and offset.
 */
export function beginEpoch(db: DatabaseSync): boolean {
  if (!isCopy(db)) return false;
  db.exec(`
    BEGIN IMMEDIATE;
    INSERT INTO epoch (name, after_offset) SELECT lower(hex(randomblob(8))), last_offset FROM books;
    UPDATE event_group SET secret = randomblob(length(secret));
    UPDATE log SET is_copy = 0;
    COMMIT;
  `);
  return true;
}

/** Whether the file is marked as a copy, to which nobody has written since. */
export function isCopy(db: DatabaseSync): boolean {
  return db.prepare('SELECT is_copy FROM log').get()!['is_copy'] !== 0;
}

/** Oldest first, at least one. */
export function epochsOf(db: DatabaseSync): Epoch[] {
  const rows = db.prepare('SELECT name, after_offset FROM epoch ORDER BY epoch_id').all();
  return rows.map((row) => ({ name: String(row['name']), afterOffset: Number(row['after_offset']) }));
}
