import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Block } from '../blocks/block-format.ts';
import { type Rewritten, rewriting } from '../blocks/block-rewrite.ts';
import { BlockReader } from './block-reader.ts';
import { keysToKeep } from './keep-keys.ts';
import type { EntryList } from './keys/bare-keys.ts';
import type { OpenFile } from './open-file.ts';

/** So many stored bytes are exchanged in one transaction, and one block at least: it overwrites them, and an append waits for it. */
const EXCHANGED_BYTES_MAX = 256 * 1024;

type Goes = (index: number) => boolean;

/** A block without the texts that are to go, in memory. */
export interface PreparedBlock {
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** That of the block as it was. */
  readonly directory: Uint8Array;
  readonly row: NonNullable<Rewritten['row']>;
  /** Of the body as it was, and as it becomes. */
  readonly bytes: number;
  readonly expired: Rewritten['expired'];
  /** Of each topic that loses texts, its first event in the block that stays, or the offset behind the block. */
  readonly firstKept: ReadonlyMap<number, number>;
  readonly goes: Goes;
  /** Keys that a start could not compute any more. */
  readonly entries: EntryList;
}

/** What an exchange has taken. */
export interface Exchanged {
  readonly events: number;
  readonly bytes: number;
  /** The offsets of the first block and up to which events are gone; 0 if none is. */
  readonly from: number;
  readonly to: number;
}

/**
 * Lets go of the texts of some topics, from the oldest block on. Appends wait for the writer's thread, so a pass comes in two kinds
 * of short steps: `prepare` makes blocks without the texts, in memory and outside of any transaction, and may stop in the
 * middle of a block; `exchange` puts them in the place of the old ones, in one transaction.
 *
 * Invariant: a block that has changed since it was prepared is not exchanged, but prepared again: otherwise texts would come back.
 */
export class ExpiryPass {
  /** Which topics it is about. */
  readonly key: string;
  /** Up to here nothing is kept, once what is prepared has been exchanged. */
  passed: number;
  /** The highest offset that may go with what is prepared. */
  upTo = 0;
  usedMs = 0;
  readonly #file: OpenFile;
  readonly #blocks: BlockReader;
  readonly #directoryAt: StatementSync;
  /** Each with what was passed before it, and what is passed with it. */
  #prepared: { readonly block: PreparedBlock; readonly before: number; readonly to: number }[] = [];
  #bytes = 0;
  /** Whether nothing up to `upTo` is left to prepare. */
  #isAtEnd = false;
  #inHand: {
    readonly steps: Generator<undefined, PreparedBlock | null, undefined>;
    readonly to: number;
  } | null = null;

  constructor(file: OpenFile, key: string, passed: number) {
    this.#file = file;
    this.key = key;
    this.passed = passed;
    this.#blocks = new BlockReader(file.db);
    this.#directoryAt = directoryAt(file.db);
  }

  /** Whether there is something to exchange, or nothing up to this offset is left to prepare. */
  isReady(upTo: number): boolean {
    return this.#inHand === null && (this.#prepared.length > 0 || this.isDone(upTo));
  }

  /** Whether nothing up to this offset is left, once what is prepared has been exchanged. */
  isDone(upTo: number): boolean {
    return this.#isAtEnd && upTo === this.upTo;
  }

  /** Prepares blocks until enough are ready or the time is over; one step at least. `upTo` must not be less than before. */
  prepare(upTo: number, topicIds: ReadonlySet<number> | undefined, endMs: number): void {
    this.upTo = upTo;
    this.#isAtEnd = false;
    if (this.#inHand !== null && (!this.#goOn(endMs) || this.#isEnough(endMs))) return;
    const range = { order: 'asc', after: this.passed, upTo } as const;
    for (const block of this.#blocks.of(range, topicIds)) {
      const { firstOffset } = block;
      const goes: Goes = (i) => firstOffset + i <= upTo && topicIds?.has(block.topicId(i)) !== false;
      this.#inHand = { steps: preparing(this.#file, block, goes), to: Math.min(block.lastOffset, upTo) };
      if (!this.#goOn(endMs) || this.#isEnough(endMs)) return;
    }
    this.#isAtEnd = true;
    this.passed = Math.max(this.passed, Math.min(upTo, this.#file.appender.lastOffset));
  }

  /** Puts what is prepared in its place, within a transaction. If that fails, the pass cannot be used any more. */
  exchange(): Exchanged {
    const { books } = this.#file.appender;
    const gone = { events: 0, bytes: 0, from: 0, to: 0 };
    books.settle();
    for (const { block, before, to } of this.#prepared) {
      if (!exchangeBlock(this.#file, block, this.#directoryAt)) {
        this.passed = before;
        this.#isAtEnd = false;
        break;
      }
      gone.from ||= block.firstOffset;
      gone.to = to;
      for (const { events, bytes } of block.expired.values()) {
        gone.events += events;
        gone.bytes += bytes;
      }
    }
    books.settle();
    this.#prepared = [];
    this.#bytes = 0;
    this.#blocks.forget();
    return gone;
  }

  /** Frees its memory. It cannot be used any more. */
  release(): void {
    this.#blocks.forget();
  }

  #isEnough(endMs: number): boolean {
    return this.#bytes >= EXCHANGED_BYTES_MAX || performance.now() > endMs;
  }

  /** Goes on with the block in hand, one step at least. Returns whether none is left in hand. */
  #goOn(endMs: number): boolean {
    while (this.#inHand !== null) {
      const { value, done } = this.#inHand.steps.next();
      if (done === true) {
        if (value !== null) {
          this.#prepared.push({ block: value, before: this.passed, to: this.#inHand.to });
          this.#bytes += value.bytes;
        }
        this.passed = this.#inHand.to;
        this.#inHand = null;
      } else if (performance.now() > endMs) return false;
    }
    return true;
  }
}

/** Finds the directory of a block as it is now. */
export function directoryAt(db: DatabaseSync): StatementSync {
  return db.prepare('SELECT directory FROM block WHERE first_offset = ?');
}

/** Makes the block without the texts that go, in steps; null if none goes. */
export function* preparing(
  file: OpenFile,
  block: Block,
  goes: Goes,
): Generator<undefined, PreparedBlock | null, undefined> {
  const { row, expired } = yield* rewriting(block, goes);
  if (row === null) return null;
  const entries = yield* keysToKeep(file, block, goes);
  const { firstOffset, lastOffset, directory } = block;
  const bytes = block.storedBytes + row.body.length;
  const firstKept = new Map([...expired.keys()].map((id) => [id, firstKeptIn(block, id, goes)]));
  return { firstOffset, lastOffset, directory, row, bytes, expired, firstKept, goes, entries };
}

/**
 * Puts the block in the place of what it was made from, within a transaction, with the books settled. Returns false, and
 * changes nothing, if that has changed.
 */
export function exchangeBlock(
  { appender, index, log }: OpenFile,
  { firstOffset, lastOffset, directory, row, expired, firstKept, goes, entries }: PreparedBlock,
  directoryNow: StatementSync,
): boolean {
  const now = directoryNow.get(firstOffset)?.['directory'];
  if (!(now instanceof Uint8Array) || Buffer.compare(now, directory) !== 0) return false;
  index.keepBare(entries);
  log.rewrite(firstOffset, row);
  appender.repeats.dropTexts(firstOffset, lastOffset, (offset) => goes(offset - firstOffset));
  for (const [id, some] of expired) {
    // What is kept of the topic below this block stays, unless the first of it is in this block.
    const { firstOffset: first } = appender.books.topic(id);
    const next = first < firstOffset ? first : firstKept.get(id)!;
    appender.books.expire(id, some, next);
  }
  return true;
}

function firstKeptIn(block: Block, topicId: number, goes: Goes): number {
  for (let i = 0; i < block.count; i++) {
    if (block.isKept(i) && block.topicId(i) === topicId && !goes(i)) return block.firstOffset + i;
  }
  return block.lastOffset + 1;
}
