import type { DatabaseSync } from 'node:sqlite';
import { Block, type BlockRow } from '../blocks/block-format.ts';
import type { Appender } from './append.ts';
import type { Progress } from './migrate-plain.ts';
import { countsOf } from './unsettled-events.ts';

/** Blocks counted in one transaction. */
const BLOCKS_COUNTED = 64;

const NEXT_BLOCKS = `
  SELECT first_offset, directory, body FROM block WHERE first_offset > ? ORDER BY first_offset LIMIT ?`;

/**
 * Counts the texts of a file from before its topics had counts of bytes and first offsets, some blocks per transaction. The
 * transaction notes how far it has come, so a kill at any moment counts each block once.
 */
export function countTexts(db: DatabaseSync, appender: Appender, progress: Progress): void {
  const { counted_to: countedTo } = db.prepare('SELECT counted_to FROM log').get()!;
  if (countedTo === null) return;
  const next = db.prepare(NEXT_BLOCKS);
  const note = db.prepare('UPDATE log SET counted_to = ?');
  // Unsettled events are counted from their blocks, with their texts.
  appender.settle();
  for (let after = Number(countedTo); after >= 0;) {
    after = appender.transaction(() => {
      const rows = next.all(after, BLOCKS_COUNTED) as unknown as (BlockRow & { first_offset: number })[];
      const blocks = rows.map((row) => new Block(row.first_offset, row));
      for (const [id, { bytes, firstOffset }] of countsOf(blocks))
        appender.books.addTexts(id, bytes, firstOffset);
      appender.books.settle();
      const end = blocks.at(-1)?.lastOffset ?? null;
      note.run(end);
      return end ?? -1;
    });
    if (after >= 0) progress(after, appender.lastOffset);
  }
}
