import type { DatabaseSync } from 'node:sqlite';
import { damaged } from '../../errors.ts';
import { readLedger } from '../file/ledger.ts';
import { Block, type BlockRow } from '../../blocks/block-format.ts';

/**
 * The offset of the last event committed before the time, or 0 if there is none. Commit times never go back, so a binary
 * search finds it after reading about twenty blocks.
 */
export function lastOffsetBefore(db: DatabaseSync, timeMs: number): number {
  const blockAt = db.prepare(
    'SELECT first_offset, directory, body FROM block WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1',
  );
  // All events at or below `before` were committed before the time, all events above `last` were not.
  let before = 0;
  let last = readLedger(db).lastOffset;
  while (before < last) {
    const row = blockAt.get(Math.ceil((before + last) / 2)) as
      (BlockRow & { first_offset: number }) | undefined;
    if (row === undefined) throw damaged(`the block with offset ${last} is missing`);
    const block = new Block(row.first_offset, row);
    let at = block.firstOffset - 1;
    for (const { events, receivedMs } of block.commits) {
      if (receivedMs >= timeMs) {
        last = Math.min(last, at);
        break;
      }
      at += events;
      before = Math.min(at, last);
    }
  }
  return before;
}
