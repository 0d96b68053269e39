import type { DatabaseSync } from 'node:sqlite';
import { Block, type BlockRow } from '../../blocks/block-format.ts';
import { StoreError } from '../../event-store.ts';
import { damagedIndex } from '../file/errors.ts';
import { BareKeys, EntryList } from '../keys/bare-keys.ts';
import { ENTRY_WORDS, offsetAt } from '../keys/hot-table.ts';
import { type IndexShape, MERGE_BITS } from '../keys/index-shape.ts';
import { type KeyBlock, blockOf } from '../keys/key-block.ts';
import { OffsetSet } from '../../offset-set.ts';

/** The rows of runs in the file, by `run_id * PLACES + bucket` (key-runs.ts). A run that no seal has completed has no keys. */
const RUN_ROWS = `
  SELECT entries FROM key_block JOIN key_run ON run_id = place / 67108864
  WHERE filled = 1 << (? + ? * level) OR run_id IN (SELECT merged_into FROM key_run)`;

const SEALED_TO = `
  SELECT ifnull(max(last_offset), 0) AS offset FROM key_run
  WHERE filled = 1 << (? + ? * level) OR run_id IN (SELECT merged_into FROM key_run)`;

const FOUND = 'CREATE TEMP TABLE found_key (offset INTEGER PRIMARY KEY, entry BLOB NOT NULL)';

/**
 * Empties the runs, so that the next start makes all keys anew, in one transaction. It computes those of texts; the others are only
 * in the runs, from which they are taken as far as these can be read. Returns how many ids are lost.
 */
export function emptyRuns(db: DatabaseSync, shape: IndexShape): number {
  db.exec(`BEGIN IMMEDIATE; ${FOUND}`);
  const bare = offsetsWithoutText(db);
  const keep = db.prepare('INSERT OR IGNORE INTO found_key VALUES (?, ?)');
  const take = (entries: KeyBlock, after: number): void => {
    for (let at = 0; at < entries.length; at += ENTRY_WORDS) {
      const offset = offsetAt(entries, at);
      if (offset > after && bare.has(offset))
        keep.run(offset, new Uint8Array(entries.slice(at, at + ENTRY_WORDS).buffer));
    }
  };
  for (const entries of readable(db, RUN_ROWS, shape.baseBits, MERGE_BITS)) take(entries, 0);
  // What a run holds already may have been forgotten there.
  const sealedTo = Number(db.prepare(SEALED_TO).get(shape.baseBits, MERGE_BITS)!['offset']);
  for (const entries of readable(db, 'SELECT entries FROM bare_key')) take(entries, sealedTo);
  db.exec('DELETE FROM bare_key; DELETE FROM key_run; DELETE FROM key_block; DELETE FROM key_filter');
  const found = putBack(db, shape);
  const forgotten = bare.range(1, bare.last).count - found;
  const before = Number(db.prepare('SELECT forgotten FROM log').get()!['forgotten']);
  db.prepare('UPDATE log SET forgotten = ?').run(forgotten);
  db.exec('DROP TABLE found_key; COMMIT');
  return Math.max(0, forgotten - before);
}

function offsetsWithoutText(db: DatabaseSync): OffsetSet {
  const offsets = new OffsetSet();
  const rows = db.prepare('SELECT first_offset, directory, body FROM block ORDER BY first_offset').iterate();
  for (const row of rows as Iterable<unknown> as Iterable<BlockRow & { first_offset: number }>) {
    const block = new Block(row.first_offset, row);
    for (let i = 0; i < block.count; i++) if (!block.isKept(i)) offsets.add(block.firstOffset + i);
  }
  return offsets;
}

/** The entries of the rows that are not damaged. */
function* readable(db: DatabaseSync, sql: string, ...values: number[]): Generator<KeyBlock> {
  for (const row of db.prepare(sql).iterate(...values)) {
    try {
      yield blockOf(row['entries'] as Uint8Array, () => damagedIndex('a row of keys'));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }
}

/** Stores what was found for the next start. Returns how many keys that are. */
function putBack(db: DatabaseSync, shape: IndexShape): number {
  const bareKeys = new BareKeys(db, shape);
  let found = 0;
  let some = new EntryList();
  for (const row of db.prepare('SELECT entry FROM found_key ORDER BY offset').iterate()) {
    some.copy(new Int32Array(Uint8Array.from(row['entry'] as Uint8Array).buffer), 0);
    found += 1;
    if (found % 10_000 !== 0) continue;
    bareKeys.add(some);
    some = new EntryList();
  }
  bareKeys.add(some);
  return found;
}
