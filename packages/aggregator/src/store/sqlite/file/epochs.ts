import type { DatabaseSync } from 'node:sqlite';
import type { Epoch } from '../../event-store.ts';

/**
 * A copy of a file is the same log up to its end, and behind it another one: the offsets that the first one goes on to
 * give, the second gives to other events. So a copy is marked as one, and the first service that writes it begins an
 * epoch. The mark goes in that transaction: a crash before it leaves a copy, one after it a log of its own.
 */
export function markCopy(db: DatabaseSync): void {
  // A file of an older format has no epochs; the start that moves it over draws its first.
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'epoch'").get() === undefined) return;
  db.exec('UPDATE log SET is_copy = 1');
}

/**
 * Begins an epoch where the file is a copy. Returns whether it did. Leases that the other log gave after the copy are not
 * known here: under the old secret a late acknowledgement could meet another event, of the same number of take and offset.
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

/** Whether it is marked as one, and nobody has written it since. */
export function isCopy(db: DatabaseSync): boolean {
  return db.prepare('SELECT is_copy FROM log').get()!['is_copy'] !== 0;
}

/** Oldest first; there is always one. */
export function epochsOf(db: DatabaseSync): Epoch[] {
  const rows = db.prepare('SELECT name, after_offset FROM epoch ORDER BY epoch_id').all();
  return rows.map((row) => ({ name: String(row['name']), afterOffset: Number(row['after_offset']) }));
}
