import type { DatabaseSync } from 'node:sqlite';
import { damaged } from './errors.ts';

/** The books: one row, changed in the transaction of the events. `received = accepted + duplicates`. */
export interface Ledger {
  received: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
  lastOffset: number;
  lastMs: number;
}

export function readLedger(db: DatabaseSync): Ledger {
  const row = db.prepare('SELECT * FROM ledger').get()!;
  return {
    received: Number(row['received']),
    accepted: Number(row['accepted']),
    duplicates: Number(row['duplicates']),
    conflicts: Number(row['conflicts']),
    lastOffset: Number(row['last_offset']),
    lastMs: Number(row['last_ms']),
  };
}

/** Throws where the log does not end where the books say: some of the file's pages are of another time than the others. */
export function refuseCutLog(db: DatabaseSync): void {
  // Events of an older file that are not yet moved over are in no block.
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'event'").get() !== undefined) return;
  const { lastOffset } = readLedger(db);
  const row = db
    .prepare('SELECT first_offset + events - 1 AS end FROM block ORDER BY first_offset DESC LIMIT 1')
    .get();
  const end = Number(row?.['end'] ?? 0);
  if (end !== lastOffset) throw damaged(`the books end at offset ${lastOffset}, the log at ${end}`);
}
