import type { DatabaseSync } from 'node:sqlite';
import { damaged } from '../../errors.ts';

/** The books. Each commit writes them, into its block's row or the ledger's. `received = accepted + duplicates`. */
export interface Ledger {
  received: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
  lastOffset: number;
  lastMs: number;
  /** In the file as of the rows' last offset: unsettled blocks hold the rest (books.ts). */
  expired: number;
  bare: number;
}

/** The books as of the newest commit. */
export function readLedger(db: DatabaseSync): Ledger {
  return ledgerIn(db.prepare('SELECT * FROM books').get()!);
}

/** The same for a file of any format, for callers that only read. */
export function readAnyLedger(db: DatabaseSync): Ledger {
  const isTold = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'books'").get() !== undefined;
  return isTold ? readLedger(db) : ledgerIn(db.prepare('SELECT * FROM ledger').get()!);
}

function ledgerIn(row: Record<string, unknown>): Ledger {
  return {
    received: Number(row['received']),
    accepted: Number(row['accepted']),
    duplicates: Number(row['duplicates']),
    conflicts: Number(row['conflicts']),
    lastOffset: Number(row['last_offset']),
    lastMs: Number(row['last_ms']),
    expired: Number(row['expired'] ?? 0),
    bare: Number(row['bare'] ?? 0),
  };
}

/** Throws if log and books end at different offsets, which means that some pages are older than others. */
export function refuseCutLog(db: DatabaseSync): void {
  // In an older file, events that are not migrated yet are in no block.
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'event'").get() !== undefined) return;
  const { lastOffset } = readLedger(db);
  const row = db
    .prepare('SELECT first_offset + events - 1 AS end FROM block ORDER BY first_offset DESC LIMIT 1')
    .get();
  const end = Number(row?.['end'] ?? 0);
  if (end !== lastOffset) throw damaged(`the books end at offset ${lastOffset}, but the log at ${end}`);
}
