import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { damagedIndex } from '../file/errors.ts';
import { ENTRY_WORDS, highWord, offsetAt } from './hot-table.ts';
import type { IndexShape } from './index-shape.ts';
import { type KeyBlock, blockOf, entriesWithout, rowOf } from './key-block.ts';

/**
 * The keys that a restart could not compute: those above the sealed ones whose events have no text, because it expired or
 * was never stored.
 *
 * In: entries, in the transaction that stores the events or lets their texts go. Out: the same entries at the next start.
 * States of a row: *needed* until a run holds its keys, then *stale*: `load` passes over it, and it is deleted in small
 * steps after the transaction that completed the run.
 *
 * Invariant: of the events above the sealed offsets, each whose id is known has a text in the log or an entry here.
 */
export class BareKeys {
  /** The entries of a row lie within so many offsets. So few rows can hold an offset, and few wait while rows are loaded. */
  readonly #rowOffsets: number;
  /** Rows that begin up to this offset are stale, and some may be left. */
  #staleUpTo = 0;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #next: StatementSync;
  readonly #delete: StatementSync;
  readonly #replace: StatementSync;
  readonly #drop: StatementSync;

  constructor(db: DatabaseSync, { hotKeysMax }: IndexShape) {
    this.#rowOffsets = Math.floor(Math.sqrt(hotKeysMax));
    this.#insert = db.prepare('INSERT INTO bare_key (first_offset, entries) VALUES (?, ?)');
    this.#select = db.prepare(`
      SELECT first_offset, entries FROM bare_key
      WHERE first_offset > ? AND first_offset <= ? ORDER BY first_offset`);
    this.#select.setReturnArrays(true);
    this.#next = db.prepare(`
      SELECT first_offset, entries FROM bare_key WHERE first_offset > ? AND first_offset <= ? ORDER BY first_offset LIMIT 1`);
    this.#next.setReturnArrays(true);
    this.#delete = db.prepare(`
      DELETE FROM bare_key WHERE first_offset IN (
        SELECT first_offset FROM bare_key WHERE first_offset <= ? ORDER BY first_offset LIMIT ?
      )`);
    this.#replace = db.prepare('UPDATE bare_key SET entries = ? WHERE first_offset = ?');
    this.#drop = db.prepare('DELETE FROM bare_key WHERE first_offset = ?');
  }

  /** Stores entries of events, each of which is here for the first time, in ascending order of their offsets. */
  add(entries: EntryList): void {
    const { words } = entries;
    for (let from = 0, to = 0; from < words.length; from = to) {
      const first = offsetAt(words, from);
      while (to < words.length && offsetAt(words, to) - first < this.#rowOffsets) to += ENTRY_WORDS;
      this.#insert.run(first, rowOf(words.slice(from, to)));
    }
  }

  /** Removes the entry of an event that is forgotten, if it is here. */
  remove(offset: number): void {
    for (const [first, row] of this.#rows(offset - this.#rowOffsets, offset)) {
      const entries = entriesOf(first, row);
      this.#put(
        first,
        entries,
        entriesWithout(entries, (_, at) => offsetAt(entries, at) === offset),
      );
    }
  }

  /**
   * Removes the entries that are dropped from rows that begin above one offset and not above another: for so many entries
   * and one row more. Returns where to go on, or null at the end.
   */
  filter(
    after: number,
    upTo: number,
    entriesMax: number,
    isDropped: (entries: KeyBlock, at: number) => boolean,
  ): number | null {
    let seen = 0;
    for (let first = after; seen <= entriesMax;) {
      const next = this.#next.get(first, upTo) as unknown as [number, Uint8Array] | undefined;
      if (next === undefined) return null;
      first = after = next[0];
      const entries = entriesOf(first, next[1]);
      seen += entries.length / ENTRY_WORDS;
      this.#put(first, entries, entriesWithout(entries, isDropped));
    }
    return after;
  }

  /** A run holds the keys up to this offset: their rows are stale. */
  dropUpTo(offset: number): void {
    this.#staleUpTo = Math.max(this.#staleUpTo, offset - this.#rowOffsets + 1);
  }

  /** Whether stale rows may be left. */
  get hasStale(): boolean {
    return this.#staleUpTo > 0;
  }

  /** Deletes some stale rows. Returns what to do once that is durable. */
  dropSome(rowsMax: number): () => void {
    const upTo = this.#staleUpTo;
    const wereAll = this.#delete.run(upTo, rowsMax).changes < rowsMax;
    return () => {
      // Another run may have become complete in the same transaction.
      if (wereAll && this.#staleUpTo === upTo) this.#staleUpTo = 0;
    };
  }

  /**
   * Reads the entries above an offset once, from the lowest offset on: each call returns those up to the given one that
   * no call has returned yet. Rows may be added above that one and dropped below it meanwhile.
   */
  load(after: number): (upTo: number) => KeyBlock[] {
    let readUpTo = -1;
    /** Entries of rows that began below what was asked for, and reach beyond it. */
    let waiting: KeyBlock[] = [];
    return (upTo) => {
      for (const [first, row] of this.#rows(readUpTo, upTo)) {
        readUpTo = first;
        const entries = entriesOf(first, row);
        for (let at = 0; at < entries.length; at += ENTRY_WORDS) {
          if (offsetAt(entries, at) > after) waiting.push(entries.subarray(at, at + ENTRY_WORDS));
        }
      }
      const asked = waiting.filter((entry) => offsetAt(entry, 0) <= upTo);
      waiting = waiting.filter((entry) => offsetAt(entry, 0) > upTo);
      return asked.toSorted((a, b) => offsetAt(a, 0) - offsetAt(b, 0));
    };
  }

  #put(first: number, entries: KeyBlock, rest: KeyBlock): void {
    if (rest === entries) return;
    if (rest.length > 0) this.#replace.run(rowOf(rest), first);
    else this.#drop.run(first);
  }

  #rows(after: number, upTo: number): [first: number, row: Uint8Array][] {
    return this.#select.all(after, upTo) as unknown as [number, Uint8Array][];
  }
}

function entriesOf(first: number, row: Uint8Array): KeyBlock {
  return blockOf(row, () =>
    damagedIndex(`the keys without texts at offset ${first}: their checksum does not match`),
  );
}

/** Entries one after the other, ENTRY_WORDS words each. */
export class EntryList {
  #words = new Int32Array(16 * ENTRY_WORDS);
  #length = 0;

  push(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    this.#put([k0, k1, k2, k3, offset | 0, highWord(offset, digest)]);
  }

  /** Pushes the entry that begins at word `at`. */
  copy(words: Int32Array, at: number): void {
    this.#put(words.subarray(at, at + ENTRY_WORDS));
  }

  get words(): KeyBlock {
    return this.#words.subarray(0, this.#length);
  }

  #put(entry: ArrayLike<number>): void {
    if (this.#length === this.#words.length) {
      const longer = new Int32Array(this.#length * 2);
      longer.set(this.#words);
      this.#words = longer;
    }
    this.#words.set(entry, this.#length);
    this.#length += ENTRY_WORDS;
  }
}
