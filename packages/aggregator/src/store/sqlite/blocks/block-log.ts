import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { Block, type BlockEvents, type BlockRow, encodeFresh, encodeMerged } from './block-format.ts';

/** Events and bytes of text of one block: what a reader unpacks at most, and what a merge costs at once (some 8 ms). */
const BLOCK_EVENTS_MAX = 4096;
const BLOCK_BYTES_MAX = 1024 * 1024;

/** Above these the tail is merged within the appends; below, only when nothing else is to be done. */
const TAIL_EVENTS_MAX = 131_072;
const TAIL_BLOCKS_MAX = 2048;

interface BlockRecord extends BlockRow {
  readonly first_offset: number;
  readonly events: number;
}

/**
 * The log as the writer sees it: blocks of consecutive events, the *merged* ones first, then the *tail* of fresh ones.
 *
 * In: the accepted events of a commit. Merging takes the oldest fresh blocks, as many as fill one, and puts in their
 * place one in which a topic's events lie together; `block_topic` then says that it holds the topic. Offsets never
 * change, and both happen in one transaction, so a reader sees the events before or after it, and the same ones.
 *
 * What a transaction changes in memory is kept apart until `committed`, and forgotten by `rolledBack`.
 */
export class BlockLog {
  #state: LogState;
  #next: LogState;
  readonly #insertBlock: StatementSync;
  readonly #insertBlockTopic: StatementSync;
  readonly #oldestFresh: StatementSync;
  readonly #deleteBlocks: StatementSync;
  readonly #updateMergedTo: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insertBlock = db.prepare(
      'INSERT INTO block (first_offset, events, directory, body) VALUES (?, ?, ?, ?)',
    );
    this.#insertBlockTopic = db.prepare('INSERT INTO block_topic (topic_id, first_offset) VALUES (?, ?)');
    this.#oldestFresh = db.prepare(
      'SELECT first_offset, events, directory, body FROM block WHERE first_offset > ? ORDER BY first_offset',
    );
    this.#deleteBlocks = db.prepare('DELETE FROM block WHERE first_offset BETWEEN ? AND ?');
    this.#updateMergedTo = db.prepare('UPDATE log SET merged_to = ?');
    const mergedTo = Number(db.prepare('SELECT merged_to FROM log').get()!['merged_to']);
    const tail = db
      .prepare(
        'SELECT count(*) AS blocks, ifnull(sum(events), 0) AS events FROM block WHERE first_offset > ?',
      )
      .get(mergedTo)!;
    this.#state = { mergedTo, tailBlocks: Number(tail['blocks']), tailEvents: Number(tail['events']) };
    this.#next = this.#state;
  }

  /** Appends the events of one commit, the first with this offset, as one block, or more where one is too large. */
  append(firstOffset: number, events: BlockEvents, receivedMs: number): void {
    const count = events.topicIds.length;
    let from = 0;
    while (from < count) {
      const start = events.starts[from]!;
      let to = from + 1;
      while (to < count && to - from < BLOCK_EVENTS_MAX && events.ends[to]! - start <= BLOCK_BYTES_MAX)
        to += 1;
      const end = events.ends[to - 1]!;
      this.insert(firstOffset + from, {
        topicIds: events.topicIds.subarray(from, to),
        starts: events.starts.subarray(from, to),
        ends: events.ends.subarray(from, to),
        texts: start === 0 && end === events.texts.length ? events.texts : events.texts.subarray(start, end),
        commits: [{ events: to - from, receivedMs }],
      });
      from = to;
    }
  }

  /** Appends one block. Its texts must lie one behind the other. */
  insert(firstOffset: number, events: BlockEvents): void {
    const { directory, body } = encodeFresh(events);
    const count = events.topicIds.length;
    this.#insertBlock.run(firstOffset, count, directory, body);
    const { mergedTo, tailBlocks, tailEvents } = this.#next;
    this.#next = { mergedTo, tailBlocks: tailBlocks + 1, tailEvents: tailEvents + count };
  }

  /** Merges once where the tail has grown so long that it costs readers. */
  step(): void {
    if (this.#next.tailEvents > TAIL_EVENTS_MAX || this.#next.tailBlocks > TAIL_BLOCKS_MAX) this.merge();
  }

  /** Whether the tail fills a merged block. */
  get isMergeable(): boolean {
    return this.#state.tailEvents >= BLOCK_EVENTS_MAX || this.#state.tailBlocks > TAIL_BLOCKS_MAX;
  }

  /** Merges the oldest fresh blocks into one. */
  merge(): void {
    const blocks: Block[] = [];
    let count = 0;
    let bytes = 0;
    for (const row of this.#oldestFresh.iterate(
      this.#next.mergedTo,
    ) as Iterable<unknown> as Iterable<BlockRecord>) {
      const block = new Block(row.first_offset, row);
      count += block.count;
      bytes += block.textBytes;
      if (blocks.length > 0 && (count > BLOCK_EVENTS_MAX || bytes > BLOCK_BYTES_MAX)) break;
      blocks.push(block);
    }
    if (blocks.length === 0) return;
    const firstOffset = blocks[0]!.firstOffset;
    const lastOffset = blocks.at(-1)!.lastOffset;
    const merged = lastOffset - firstOffset + 1;
    const events = joined(blocks, merged);
    const { directory, body } = encodeMerged(events);
    this.#deleteBlocks.run(firstOffset, lastOffset);
    this.#insertBlock.run(firstOffset, merged, directory, body);
    for (const topicId of new Set(events.topicIds)) this.#insertBlockTopic.run(topicId, firstOffset);
    this.#updateMergedTo.run(lastOffset);
    const { tailBlocks, tailEvents } = this.#next;
    this.#next = {
      mergedTo: lastOffset,
      tailBlocks: tailBlocks - blocks.length,
      tailEvents: tailEvents - merged,
    };
  }

  committed(): void {
    this.#state = this.#next;
  }

  rolledBack(): void {
    this.#next = this.#state;
  }
}

interface LogState {
  /** The last offset of the merged blocks. */
  readonly mergedTo: number;
  readonly tailBlocks: number;
  readonly tailEvents: number;
}

function joined(blocks: readonly Block[], count: number): BlockEvents {
  const topicIds = new Int32Array(count);
  const starts = new Int32Array(count);
  const ends = new Int32Array(count);
  const texts: Uint8Array[] = [];
  let event = 0;
  let end = 0;
  for (const block of blocks) {
    for (let i = 0; i < block.count; i++) {
      const text = block.text(i);
      topicIds[event] = block.topicId(i);
      starts[event] = end;
      end += text.length;
      ends[event++] = end;
      texts.push(text);
    }
  }
  return {
    topicIds,
    starts,
    ends,
    texts: Buffer.concat(texts, end),
    commits: blocks.flatMap((block) => block.commits),
  };
}
