import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Ledger, readLedger } from './file/ledger.ts';
import { type TopicRow, TopicRows } from './topic-rows.ts';
import { UntoldEvents } from './untold-events.ts';

/** How much may be told by fresh blocks alone: a reader of counts looks through it, and a commit makes up for it. */
const UNTOLD_BLOCKS_MAX = 16;
const UNTOLD_EVENTS_MAX = 4096;
const UNTOLD_TOPICS_MAX = 256;

/**
 * The books and the topics' counts, as of the open transaction. In: what each commit received and stored. Out: what is
 * true of the whole log, in memory, and in the file's rows of `ledger` and `topic`.
 *
 * A small commit writes neither row: each lies on a page of its own, and with the block's page they were most of what a
 * single event cost. Its block's row tells the books, and the block's directory whatever the topics' rows lack. States:
 * *settled*, when the rows tell everything; else *untold* events lie in fresh blocks above the ledger's last offset.
 * `settle` writes the rows, in a later commit or while nobody publishes.
 *
 * Invariants: the rows of `ledger` and `topic` are of the same commit; all blocks above it are fresh, and the last one's
 * row tells the books. So what is in memory follows from the file: at a start and after a rollback it is read again.
 */
export class Books {
  readonly #topics: TopicRows;
  readonly #untold: UntoldEvents;
  /** As of the open transaction, and as of the newest commit. */
  #ledger: Ledger;
  #committed: Ledger;
  /** Whether the topics' counts in memory are not what the file says. */
  #isStale = true;
  #untoldBlocks = 0;
  #untoldEvents = 0;
  readonly #update: StatementSync;

  constructor(db: DatabaseSync) {
    this.#topics = new TopicRows(db);
    this.#untold = new UntoldEvents(db);
    this.#update = db.prepare(`
      UPDATE ledger SET received = ?, accepted = ?, duplicates = ?, conflicts = ?, last_offset = ?, last_ms = ?`);
    this.#ledger = readLedger(db);
    this.#committed = { ...this.#ledger };
  }

  get ledger(): Readonly<Ledger> {
    return this.#ledger;
  }

  /** Whether the rows tell everything, as far as is known: the first transaction after a start or a failure finds out. */
  get isSettled(): boolean {
    return this.#untoldBlocks === 0;
  }

  /** To be called first in every transaction. */
  begin(): void {
    if (this.#isStale) this.#readAgain();
    // Only here: a topic dropped while its events are being counted would lose that count.
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

  /** Counts an accepted event on its topic. */
  count(topic: TopicRow, offset: number): void {
    this.#topics.count(topic, offset);
  }

  /** Counts what a commit received, and what became of it. */
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

  /** Of the commit that was kept so many events are told by a fresh block alone, which tells the ledger, too. */
  leaveUntold(events: number): void {
    this.#untoldBlocks += 1;
    this.#untoldEvents += events;
    if (
      this.#untoldBlocks >= UNTOLD_BLOCKS_MAX ||
      this.#untoldEvents >= UNTOLD_EVENTS_MAX ||
      this.#topics.touched >= UNTOLD_TOPICS_MAX
    ) {
      this.settle();
    }
  }

  /** Writes the rows of `ledger` and of all topics that were counted. */
  settle(): void {
    this.#topics.writeCounts();
    const { received, accepted, duplicates, conflicts, lastOffset, lastMs } = this.#ledger;
    this.#update.run(received, accepted, duplicates, conflicts, lastOffset, lastMs);
    this.#untoldBlocks = 0;
    this.#untoldEvents = 0;
  }

  /** Writes the rows with a newer time, so that something is written: SQLite writes no page for an unchanged row. */
  touch(nowMs: number): void {
    this.#ledger.lastMs = Math.max(nowMs, this.#ledger.lastMs + 1);
    this.settle();
  }

  #readAgain(): void {
    this.#topics.forget();
    const blocks = this.#untold.blocks();
    for (const block of blocks) {
      for (let i = 0; i < block.count; i++) {
        this.#topics.count(this.#topics.withId(block.topicId(i)), block.firstOffset + i);
      }
    }
    this.#untoldBlocks = blocks.length;
    this.#untoldEvents = blocks.reduce((sum, { count }) => sum + count, 0);
    this.#isStale = false;
  }
}
