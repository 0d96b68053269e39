import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BARE } from '../blocks/block-format.ts';
import { type Ledger, readLedger } from './file/ledger.ts';
import { type TopicRow, TopicRows } from './topic-rows.ts';
import { UnsettledEvents, countsOf } from './unsettled-events.ts';

/** How far the rows may lag: a reader of counts examines these blocks, and a later commit makes up for them. */
const UNSETTLED_BLOCKS_MAX = 16;
const UNSETTLED_EVENTS_MAX = 4096;
const UNSETTLED_TOPICS_MAX = 256;

/**
 * The books and the topics' counts, as of the open transaction. In: what each commit received and stored. Out: the totals
 * of the whole log, in memory and in the file's rows of `ledger` and `topic`.
 *
 * A small commit writes neither row: each is on a page of its own, and these pages were most of the cost of a single
 * event. Instead its block's row holds the books, and its directory whatever the topics' rows lack. States: *settled*,
 * when the rows are complete; otherwise fresh blocks above the ledger's last offset hold *unsettled* events, which the rows
 * lack. `settle` updates the rows, in a later commit or while nobody publishes.
 *
 * Invariants: the rows of `ledger` and `topic` are as of the same commit; all blocks above it are fresh, and the last
 * one's row holds the books. So memory can be rebuilt from the file, as it is at a start and after a rollback.
 */
export class Books {
  readonly #topics: TopicRows;
  readonly #unsettled: UnsettledEvents;
  /** As of the open transaction, and as of the newest commit. */
  #ledger: Ledger;
  #committed: Ledger;
  /** Whether the topics' counts in memory may differ from the file. */
  #isStale = true;
  #unsettledBlocks = 0;
  #unsettledEvents = 0;
  readonly #update: StatementSync;

  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#topics = new TopicRows(db);
    this.#unsettled = new UnsettledEvents(db);
    this.#update = db.prepare(`
      UPDATE ledger SET received = ?, accepted = ?, duplicates = ?, conflicts = ?, last_offset = ?, last_ms = ?,
        expired = ?, bare = ?`);
    this.#ledger = readLedger(db);
    this.#committed = { ...this.#ledger };
  }

  get ledger(): Readonly<Ledger> {
    return this.#ledger;
  }

  /** Whether the rows are complete, as far as is known: the first transaction after a start or a failure finds out. */
  get isSettled(): boolean {
    return this.#unsettledBlocks === 0;
  }

  /** Call this first in every transaction. */
  begin(): void {
    if (this.#isStale) this.#readAgain();
    // Only now: a topic dropped while its events are being counted would lose that count.
    if (this.#topics.areMany) {
      this.settle();
      this.#topics.forget();
    }
  }

  committed(): void {
    this.#committed = { ...this.#ledger };
  }

  rolledBack(): void {
    this.#ledger = { ...this.#committed };
    this.#isStale = true;
  }

  /** The topic with these bytes as its name. */
  topicNamed(bytes: Uint8Array, start: number, end: number): TopicRow {
    return this.#topics.named(bytes, start, end);
  }

  /** Says which topics' events are stored bare from the next transaction on; null: those of none. */
  useBare(isBare: ((topic: string) => boolean) | null): void {
    this.#topics.isBare = isBare;
    this.#isStale = true;
  }

  /** Counts an accepted event on its topic. Its length is that in its block's directory. */
  count(topic: TopicRow, offset: number, length: number): void {
    this.#topics.count(topic, offset, length);
    if (length === BARE) this.#ledger.bare += 1;
  }

  /**
   * Counts kept events of a topic as expired, of which none below `firstOffset` is kept any more. Only when settled: the counts
   * of unsettled events are in the blocks that change.
   */
  expire(topicId: number, gone: { events: number; bytes: number }, firstOffset: number): void {
    if (!this.isSettled) throw new Error('events of an unsettled block cannot be counted as expired');
    this.#topics.expire(this.#topics.withId(topicId), gone, firstOffset);
    this.#ledger.expired += gone.events;
  }

  /** Counts texts of a topic that an older version of the file has not counted. */
  addTexts(topicId: number, bytes: number, firstOffset: number): void {
    this.#topics.addTexts(this.#topics.withId(topicId), bytes, firstOffset);
  }

  /** The counts of a topic as of the open transaction. */
  topic(topicId: number): Readonly<TopicRow> {
    return this.#topics.withId(topicId);
  }

  /** Adds a commit to the books. */
  keep(received: number, accepted: number, conflicts: number, nowMs: number): void {
    const ledger = this.#ledger;
    // Commit times never go back, whatever the clock does: readers seek by them.
    ledger.lastMs = Math.max(nowMs, ledger.lastMs);
    ledger.received += received;
    ledger.accepted += accepted;
    ledger.duplicates += received - accepted;
    ledger.conflicts += conflicts;
    ledger.lastOffset += accepted;
  }

  /** Leaves this many events of the last commit to its fresh block, whose row holds the ledger as well. */
  leaveUnsettled(events: number): void {
    this.#unsettledBlocks += 1;
    this.#unsettledEvents += events;
    if (
      this.#unsettledBlocks >= UNSETTLED_BLOCKS_MAX ||
      this.#unsettledEvents >= UNSETTLED_EVENTS_MAX ||
      this.#topics.touched >= UNSETTLED_TOPICS_MAX
    ) {
      this.settle();
    }
  }

  /** Writes the rows of `ledger` and of all topics that were counted. */
  settle(): void {
    this.#topics.writeCounts();
    const { received, accepted, duplicates, conflicts, lastOffset, lastMs, expired, bare } = this.#ledger;
    this.#update.run(received, accepted, duplicates, conflicts, lastOffset, lastMs, expired, bare);
    this.#unsettledBlocks = 0;
    this.#unsettledEvents = 0;
  }

  /** Writes the rows with a newer time, because SQLite would write no page for unchanged rows. */
  touch(nowMs: number): void {
    this.#ledger.lastMs = Math.max(nowMs, this.#ledger.lastMs + 1);
    this.settle();
  }

  #readAgain(): void {
    this.#topics.forget();
    const blocks = this.#unsettled.blocks();
    const { expired, bare } = readLedger(this.#db);
    Object.assign(this.#ledger, { expired, bare });
    for (const [id, count] of countsOf(blocks)) {
      this.#topics.add(this.#topics.withId(id), count);
      this.#ledger.expired += count.expired;
      this.#ledger.bare += count.bare;
    }
    this.#unsettledBlocks = blocks.length;
    this.#unsettledEvents = blocks.reduce((sum, { count }) => sum + count, 0);
    this.#isStale = false;
  }
}
