import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Ledger } from '../file/ledger.ts';
import { type MergedRow, encodeFresh, encodeMerged } from '../../blocks/block-encoder.ts';
import { Block, type BlockEvents, type BlockRow, bytesOf } from '../../blocks/block-format.ts';
import { BlockMerge, mergeWork } from '../../blocks/block-merge.ts';

/** The sizes of the log. Tests use small ones, to reach every step with few events. */
export interface LogShape {
  /** The most events and bytes of text in one block, and so the most that a reader unpacks at once. */
  readonly eventsMax: number;
  readonly bytesMax: number;
  /**
   * A commit with at least this many bytes of text is written as a merged block right away. It compresses well on its
   * own, and compressing it a second time would cost more than all the store's other work on its events.
   */
  readonly mergedAtOnceBytesMin: number;
  /** The most fresh blocks before a merge, because a reader of a topic reads every fresh block, however small. */
  readonly freshBlocksMax: number;
}

export const LOG_SHAPE: LogShape = {
  eventsMax: 4096,
  bytesMax: 1024 * 1024,
  mergedAtOnceBytesMin: 256 * 1024,
  freshBlocksMax: 2048,
};

/**
 * Directory and zeros of a merged row take so many bytes at least, so that its body is on pages of its own: what SQLite moves
 * from one page of a table to another are the first bytes of rows, fewer than a page has, and copies of these can stay behind.
 */
export const LEAD_BYTES = 4096;

/** Work at twice the necessary pace, so that a merge ends when half of the events for the next one have arrived. */
const PACE = 2;

/**
 * The log as the writer sees it: blocks of consecutive events, *fresh* or *merged*, each kind in a table of its own.
 *
 * In: the accepted events of a commit. Many become a merged block at once. Few become a fresh block; when the fresh
 * blocks hold enough for a merged one, the oldest are merged into a block in which each topic's events are together, and
 * `block_topic` lists its topics. Offsets never change, and the rows are exchanged in one transaction, so a reader sees
 * the same events before and after it.
 *
 * A merge proceeds in steps: each append does the share that its own events owe (block-merge.ts). A transaction's changes
 * to this state are kept apart until `committed`, and discarded by `rolledBack`.
 */
export class BlockLog {
  readonly #shape: LogShape;
  /** Committed, oldest first. */
  readonly #fresh: FreshBlock[] = [];
  #freshEvents = 0;
  #freshBytes = 0;
  #added: FreshBlock[] = [];
  /** The stored bytes of fresh blocks that the transaction has changed, by their first offsets. */
  readonly #changed = new Map<number, number>();
  #isRewritten = false;
  #merge: BlockMerge | null = null;
  #isExchanged = false;
  /** Merge work that the transaction's events owe, in bytes of text. */
  #debt = 0;
  readonly #insertFresh: StatementSync;
  readonly #getFresh: StatementSync;
  readonly #keepRepeats: StatementSync;
  readonly #deleteFresh: StatementSync;
  readonly #replaceFresh: StatementSync;
  readonly #replaceMerged: StatementSync;
  readonly #countRewrite: StatementSync;
  readonly #insertMerged: StatementSync;
  readonly #insertBlockTopic: StatementSync;

  constructor(db: DatabaseSync, shape: LogShape = LOG_SHAPE) {
    this.#shape = shape;
    this.#insertFresh = db.prepare(`
      INSERT INTO fresh_block (first_offset, events, received, conflicts, last_ms, repeats, directory, body)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#keepRepeats = db.prepare(`
      INSERT INTO pending_repeat (received, body) SELECT received, repeats FROM fresh_block
      WHERE first_offset BETWEEN ? AND ? AND repeats IS NOT NULL
        AND first_offset > (SELECT settled_to FROM repeat_state)`);
    this.#getFresh = db.prepare('SELECT directory, body FROM fresh_block WHERE first_offset = ?');
    this.#deleteFresh = db.prepare('DELETE FROM fresh_block WHERE first_offset BETWEEN ? AND ?');
    this.#replaceFresh = db.prepare('UPDATE fresh_block SET directory = ?, body = ? WHERE first_offset = ?');
    this.#replaceMerged = db.prepare(
      'UPDATE merged_block SET directory = ?1, lead = zeroblob(max(0, ?4 - length(?1))), body = ?2 WHERE first_offset = ?3',
    );
    this.#countRewrite = db.prepare('UPDATE log SET rewrites = rewrites + 1');
    this.#insertMerged = db.prepare(
      `INSERT INTO merged_block (first_offset, events, directory, lead, body)
       VALUES (?1, ?2, ?3, zeroblob(max(0, ?5 - length(?3))), ?4)`,
    );
    this.#insertBlockTopic = db.prepare('INSERT INTO block_topic (topic_id, first_offset) VALUES (?, ?)');
    const rows = db.prepare(
      'SELECT first_offset, events, length(body) AS bytes FROM fresh_block ORDER BY first_offset',
    );
    for (const row of rows.iterate()) {
      this.#keep({
        firstOffset: Number(row['first_offset']),
        events: Number(row['events']),
        storedBytes: Number(row['bytes']),
      });
    }
  }

  /**
   * Appends the events of one commit, whose first event has this offset, as one block, or as several if one would be too
   * large. Returns whether it is a single fresh block, whose row then holds the ledger as well, and the commit's repeats
   * (repeats/).
   */
  append(
    firstOffset: number,
    events: BlockEvents,
    ledger: Readonly<Ledger>,
    repeats: Uint8Array | null,
  ): boolean {
    const { topicIds, starts, lengths, texts } = events;
    const count = topicIds.length;
    const bytes = textBytesOf(lengths);
    // Make the blocks about equally large, so that no small remainder is left.
    const { eventsMax, bytesMax } = this.#shape;
    const blocks = Math.ceil(Math.max(count / eventsMax, bytes / bytesMax));
    const { lastMs: receivedMs } = ledger;
    if (blocks === 1) {
      return this.insert(
        firstOffset,
        { ...events, commits: [{ events: count, receivedMs }] },
        { ledger, repeats },
      );
    }
    let taken = 0;
    for (let from = 0, to = 0, block = 1; from < count; from = to, block += 1) {
      do taken += bytesOf(lengths[to++]!);
      while (
        to < count &&
        to - from < eventsMax &&
        taken + bytesOf(lengths[to]!) <= (bytes * block) / blocks
      );
      this.insert(firstOffset + from, {
        topicIds: topicIds.subarray(from, to),
        starts: starts.subarray(from, to),
        lengths: lengths.subarray(from, to),
        texts,
        commits: [{ events: to - from, receivedMs }],
      });
    }
    return false;
  }

  /** Appends one block. Returns whether it is fresh; if so, its row holds what was given beside the events. */
  insert(firstOffset: number, events: BlockEvents, beside?: BesideEvents): boolean {
    const count = events.topicIds.length;
    const textBytes = textBytesOf(events.lengths);
    if (textBytes >= this.#shape.mergedAtOnceBytesMin) {
      this.#putMerged(firstOffset, count, encodeMerged(events));
      return false;
    }
    const { directory, body } = encodeFresh(events);
    const { received = null, conflicts = null, lastMs = null } = beside?.ledger ?? {};
    const repeats = beside?.repeats ?? null;
    this.#insertFresh.run(firstOffset, count, received, conflicts, lastMs, repeats, directory, body);
    this.#added.push({ firstOffset, events: count, storedBytes: body.length });
    this.#debt += PACE * mergeWork(textBytes);
    return true;
  }

  /**
   * Replaces a block by one with the same events and fewer texts. A merge that has read the old one begins again: it would
   * bring back the texts.
   */
  rewrite(firstOffset: number, { directory, body }: BlockRow): void {
    if (this.#replaceFresh.run(directory, body, firstOffset).changes === 0) {
      this.#replaceMerged.run(directory, body, firstOffset, LEAD_BYTES);
    } else {
      this.#changed.set(firstOffset, body.length);
      if (this.#merge?.blocks.some((block) => block.firstOffset === firstOffset) === true) this.#merge = null;
    }
    // Readers keep a block until this number changes (block-reader.ts).
    if (!this.#isRewritten) this.#countRewrite.run();
    this.#isRewritten = true;
  }

  /** Does the share of merging that the transaction's events owe. Call it once per transaction, after everything else. */
  step(): void {
    // Do at least one step, so that a merge also ends if only large commits follow, which owe nothing.
    if (this.isMergeable) this.mergeSome(Math.max(1, this.#debt));
  }

  /** Whether a merge is in progress. */
  get isMerging(): boolean {
    return this.#merge !== null;
  }

  /** Whether this transaction has replaced fresh blocks by a merged one. */
  get isExchanged(): boolean {
    return this.#isExchanged;
  }

  /** Whether a merge is in progress, or the fresh blocks hold enough for one. */
  get isMergeable(): boolean {
    const { eventsMax, bytesMax, freshBlocksMax } = this.#shape;
    return (
      this.#merge !== null ||
      this.#freshEvents >= eventsMax ||
      this.#freshBytes >= bytesMax ||
      this.#fresh.length >= freshBlocksMax
    );
  }

  /** Continues to merge the oldest fresh blocks, for this much work in bytes of text or until the merge is done. */
  mergeSome(work: number): void {
    if (this.#merge === null && this.#fresh.length === 0) return;
    const merge = (this.#merge ??= new BlockMerge(this.#freshBlocks(), this.#shape));
    for (let done = 0; merge.row === null && done < work;) done += merge.step();
    if (merge.row !== null) this.#exchange(merge, merge.row);
  }

  committed(): void {
    if (this.#isExchanged) {
      const gone = this.#fresh.splice(0, this.#merge!.blocks.length);
      for (const { events, storedBytes } of gone) {
        this.#freshEvents -= events;
        this.#freshBytes -= storedBytes;
      }
      this.#merge = null;
    }
    for (const block of this.#added) this.#keep(block);
    for (const [firstOffset, storedBytes] of this.#changed) this.#resize(firstOffset, storedBytes);
    this.#begin();
  }

  /** A merge in progress keeps its work, because its blocks have not changed. */
  rolledBack(): void {
    this.#begin();
  }

  #begin(): void {
    this.#added = [];
    this.#changed.clear();
    this.#isRewritten = false;
    this.#isExchanged = false;
    this.#debt = 0;
  }

  #keep(block: FreshBlock): void {
    this.#fresh.push(block);
    this.#freshEvents += block.events;
    this.#freshBytes += block.storedBytes;
  }

  #resize(firstOffset: number, storedBytes: number): void {
    const block = this.#fresh.find((one) => one.firstOffset === firstOffset)!;
    this.#freshBytes += storedBytes - block.storedBytes;
    block.storedBytes = storedBytes;
  }

  /** The fresh blocks in order. Each is read when it is requested, which may be in a later transaction. */
  *#freshBlocks(): Generator<Block> {
    for (const { firstOffset } of this.#fresh) {
      yield new Block(firstOffset, this.#getFresh.get(firstOffset) as unknown as BlockRow);
    }
  }

  #exchange(merge: BlockMerge, row: MergedRow): void {
    const { firstOffset, lastOffset } = merge;
    this.#keepRepeats.run(firstOffset, lastOffset);
    this.#deleteFresh.run(firstOffset, lastOffset);
    this.#putMerged(firstOffset, lastOffset - firstOffset + 1, row);
    this.#isExchanged = true;
  }

  #putMerged(firstOffset: number, events: number, { directory, body, topicIds }: MergedRow): void {
    this.#insertMerged.run(firstOffset, events, directory, body, LEAD_BYTES);
    for (const topicId of topicIds) this.#insertBlockTopic.run(topicId, firstOffset);
  }
}

/** What a commit writes into the row of its block. */
interface BesideEvents {
  readonly ledger: Readonly<Ledger>;
  readonly repeats: Uint8Array | null;
}

interface FreshBlock {
  readonly firstOffset: number;
  readonly events: number;
  storedBytes: number;
}

function textBytesOf(lengths: Int32Array): number {
  let sum = 0;
  for (const length of lengths) sum += bytesOf(length);
  return sum;
}
