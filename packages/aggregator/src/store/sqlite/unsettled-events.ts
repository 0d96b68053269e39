import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { Block, type BlockRow } from '../blocks/block-format.ts';
import { type TopicCount, countEvent, countIn } from './topic-rows.ts';

/** The events that the rows of `ledger` and `topic` do not count yet (books.ts), as of the open transaction. */
export class UnsettledEvents {
  readonly #select: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare(`
      SELECT first_offset, directory, body FROM fresh_block
      WHERE first_offset > (SELECT last_offset FROM ledger) ORDER BY first_offset`);
  }

  /** Their blocks, in order. They are few, and all fresh. */
  blocks(): Block[] {
    const rows = this.#select.all() as unknown as (BlockRow & { first_offset: number })[];
    return rows.map((row) => new Block(row.first_offset, row));
  }

  /** Their counts, which the rows of `topic` lack, by topic id. */
  counts(): Map<number, TopicCount> {
    return countsOf(this.blocks());
  }
}

/** What blocks in order hold of each topic, by its id. */
export function countsOf(blocks: readonly Block[]): Map<number, TopicCount> {
  const counts = new Map<number, TopicCount>();
  for (const block of blocks) {
    for (let i = 0; i < block.count; i++) {
      const count = counts.get(block.topicId(i)) ?? countIn(undefined);
      countEvent(count, block.firstOffset + i, block.textLength(i));
      counts.set(block.topicId(i), count);
    }
  }
  return counts;
}
