import type { DatabaseSync } from 'node:sqlite';
import type { OpenFile } from './open-file.ts';

/** Free pages overwritten in one transaction, a few milliseconds of work. */
const STEP_PAGES = 512;

/** Bytes of a page that a chain of a long value can fill. */
const CHAIN_BYTES = 4092;

const FRESH_COLUMNS = 'first_offset, events, received, conflicts, last_ms, repeats, directory, body';

/** Without the repeats that are settled. */
const FRESH_ROWS = `
  SELECT first_offset, events, received, conflicts, last_ms,
    CASE WHEN first_offset > (SELECT settled_to FROM repeat_state) THEN repeats END, directory, body
  FROM fresh_block ORDER BY first_offset`;

/**
 * Overwrites what is left of erased texts in the file's own pages. SQLite overwrites what is deleted (`secure_delete`), but
 * where it moves rows from one page to another it may leave a copy behind, and files of older versions did not overwrite at
 * all. So:
 *
 * - The fresh blocks, which are few, are all written again, into pages that were overwritten when they became free. Of merged
 *   blocks SQLite moves no text (block-log.ts, LEAD_BYTES).
 * - In a file with `is_dirty`, free pages are taken by rows of zeros and freed again, some in each transaction.
 */
export class Scrub {
  readonly #file: OpenFile;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** Does a share of it, as of the last erasure; call it until it returns true. */
  some(): boolean {
    const { appender, db } = this.#file;
    return appender.transaction(() => {
      const { is_dirty: state } = db.prepare('SELECT is_dirty FROM log').get()!;
      if (state === FILLING) {
        if (!fillSome(db)) db.prepare('UPDATE log SET is_dirty = ?').run(EMPTYING);
        return false;
      }
      if (state === EMPTYING) {
        if (!emptySome(db)) db.prepare('UPDATE log SET is_dirty = ?').run(CLEAN);
        return false;
      }
      writeFreshAgain(db);
      return true;
    });
  }
}

/** Values of `is_dirty`: some free pages may hold old bytes; all are taken, and are freed again; none does. */
const [CLEAN, FILLING, EMPTYING] = [0, 1, 2];

/** Takes some free pages. Returns false if there was none. */
function fillSome(db: DatabaseSync): boolean {
  const free = Number(db.prepare('PRAGMA freelist_count').get()!['freelist_count']);
  if (free === 0) return false;
  const pages = Math.min(free, STEP_PAGES);
  db.prepare('INSERT INTO filler (zeros) VALUES (zeroblob(?))').run(pages * CHAIN_BYTES);
  return true;
}

/** Returns false if there was nothing left. */
function emptySome(db: DatabaseSync): boolean {
  return (
    db.prepare('DELETE FROM filler WHERE filler_id = (SELECT min(filler_id) FROM filler)').run().changes > 0
  );
}

/** Rows that were moved from page to page may have left copies there. Emptying the table overwrites all its pages. */
function writeFreshAgain(db: DatabaseSync): void {
  const select = db.prepare(FRESH_ROWS);
  select.setReturnArrays(true);
  const rows = select.all() as unknown as (number | null | Uint8Array)[][];
  db.exec('DELETE FROM fresh_block');
  const insert = db.prepare(`INSERT INTO fresh_block (${FRESH_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  for (const row of rows) insert.run(...row);
}
