import type { DatabaseSync } from 'node:sqlite';

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
