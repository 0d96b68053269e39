import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { damaged } from '../errors.ts';
import type { PageQuery, SnapshotQuery } from '../event-store.ts';
import { Block, type BlockRow } from '../blocks/block-format.ts';

/** Topics whose merged blocks are looked up one by one; for more topics, every block of the range is examined. */
const TOPICS_SOUGHT_MAX = 1000;

/** The range to examine: the events beyond `after`, in the query's order, up to `upTo`. */
export type RangeQuery = SnapshotQuery & Pick<PageQuery, 'upTo'>;

interface BlockPlace {
  readonly first_offset: number;
  readonly events: number;
}

/**
 * Finds the blocks of a read. It keeps one unpacked block from call to call, because many pages of an answer come from
 * the same block.
 */
export class BlockReader {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #kept: Block | null = null;
  /** The number of rewrites (block-log.ts) as of which the kept block was read. */
  #rewrites = -1;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** The blocks that may hold events of the range and topics, in the requested order, fetched as needed. */
  *of(
    query: Pick<RangeQuery, 'order' | 'after' | 'upTo'>,
    topicIds: ReadonlySet<number> | undefined,
  ): Generator<Block> {
    const ascending = query.order === 'asc';
    const lowest = ascending ? query.after + 1 : 1;
    const highest = Math.min(query.upTo, ascending ? query.upTo : query.after - 1);
    if (highest < lowest) return;
    this.#forgetRewritten();
    const cover = this.#prepared(
      'SELECT first_offset FROM block WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1',
    ).get(lowest);
    const from = Number(cover?.['first_offset'] ?? 1);
    const direction = ascending ? 'ASC' : 'DESC';
    if (topicIds === undefined || topicIds.size > TOPICS_SOUGHT_MAX) {
      yield* this.#rows(
        `SELECT first_offset, events FROM block WHERE first_offset BETWEEN ? AND ? ORDER BY first_offset ${direction}`,
        [from, highest],
      );
      return;
    }
    yield* this.#onTopics(topicIds, from, highest, query.order);
  }

  /** The block with this offset, which must exist. */
  with(offset: number): Block {
    const block = this.find(offset);
    if (block === undefined) throw damaged(`there is no block with offset ${offset}`);
    return block;
  }

  /** The block with this offset, undefined if there is none. */
  find(offset: number): Block | undefined {
    const range = { order: 'asc', after: offset - 1, upTo: offset } as const;
    for (const block of this.of(range, undefined)) return block.lastOffset < offset ? undefined : block;
    return undefined;
  }

  /** Frees the block that is kept, and reads it again when it is asked for. */
  forget(): void {
    this.#kept?.release();
    this.#kept = null;
  }

  /** How many transactions have taken texts out of blocks. */
  rewrites(): number {
    return Number(this.#prepared('SELECT rewrites FROM log').get()!['rewrites']);
  }

  /** Some block may have lost texts since the kept one was read. */
  #forgetRewritten(): void {
    const rewrites = this.rewrites();
    if (rewrites === this.#rewrites) return;
    this.#rewrites = rewrites;
    this.forget();
  }

  /** The blocks from `lowest` to `highest` that may hold any of the topics, each looked up when needed. */
  *#onTopics(
    topicIds: ReadonlySet<number>,
    lowest: number,
    highest: number,
    order: 'asc' | 'desc',
  ): Generator<Block> {
    const ids = JSON.stringify([...topicIds]);
    const end = order === 'asc' ? 'min' : 'max';
    // The innermost select seeks in the primary key for each topic. Fresh blocks are few, and their topics unknown.
    const seek = this.#prepared(`
      SELECT ${end}(first_offset) AS first_offset FROM (
        SELECT (SELECT ${end}(first_offset) FROM block_topic
                WHERE topic_id = sought.value AND first_offset BETWEEN ?1 AND ?2) AS first_offset
        FROM json_each(?3) AS sought
        UNION ALL
        SELECT ${end}(first_offset) FROM fresh_block WHERE first_offset BETWEEN ?1 AND ?2
      )`);
    let [low, high] = [lowest, highest];
    while (low <= high) {
      const found = seek.get(low, high, ids)!['first_offset'];
      if (found === null) return;
      yield* this.#rows('SELECT first_offset, events FROM block WHERE first_offset = ?', [Number(found)]);
      if (order === 'asc') low = Number(found) + 1;
      else high = Number(found) - 1;
    }
  }

  /** The blocks of these rows. A row's texts are fetched only if its block is not the one kept. */
  *#rows(sql: string, values: number[]): Generator<Block> {
    const rows = this.#prepared(sql).iterate(...values) as Iterable<unknown> as Iterable<BlockPlace>;
    for (const { first_offset: firstOffset, events } of rows) {
      if (this.#kept?.firstOffset !== firstOffset || this.#kept.count !== events) {
        // First: if the new block cannot be read, none is kept.
        this.forget();
        const row = this.#prepared('SELECT directory, body FROM block WHERE first_offset = ?').get(
          firstOffset,
        );
        this.#kept = new Block(firstOffset, row as unknown as BlockRow);
      }
      yield this.#kept;
    }
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}
