import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { MovedKey } from '../../move/moved-log.ts';
import { damagedIndex } from '../file/errors.ts';
import { ENTRY_WORDS, digestOf, offsetAt } from '../keys/hot-table.ts';
import { INDEX_SHAPE, type IndexShape, MERGE_BITS } from '../keys/index-shape.ts';
import { type KeyBlock, blockOf } from '../keys/key-block.ts';
import { reading } from '../reading.ts';

/** Offsets whose keys are taken out of the runs at once: some 90 MB. */
const WINDOW = 2 ** 22;

/** Of a key in a window: itself and its digest. */
const KEY_WORDS = 5;

/** Runs that hold keys: what an unfinished seal has written does not count yet. */
const WHOLE = ({ baseBits }: IndexShape) =>
  `(filled = 1 << (${baseBits} + ${MERGE_BITS} * level) OR run_id IN (SELECT merged_into FROM key_run))`;

const SEALED_TO = (shape: IndexShape) =>
  `SELECT ifnull(max(last_offset), 0) AS offset FROM key_run WHERE ${WHOLE(shape)}`;

/** The rows of runs lie by \`run_id * 2^26 + bucket\` (key-runs.ts). */
const RUN_ROWS = (shape: IndexShape) => `
  SELECT entries FROM key_run CROSS JOIN key_block ON place >= run_id << 26 AND place < (run_id + 1) << 26
  WHERE ${WHOLE(shape)} AND first_offset <= ?2 AND last_offset >= ?1`;

/** Rows of keys in no run whose entries can be of these offsets (bare-keys.ts). */
const BARE_ROWS = ({ hotKeysMax }: IndexShape) => `
  SELECT entries FROM bare_key
  WHERE first_offset > ?1 - ${Math.floor(Math.sqrt(hotKeysMax))} AND first_offset <= ?2`;

interface Window {
  readonly from: number;
  /** The last offset whose key is here, if any run has it. */
  readonly to: number;
  /** KEY_WORDS for each offset. */
  readonly words: Int32Array;
  readonly isKnown: Uint8Array;
}

/**
 * Finds the keys of events without a text by their offsets, beside the writer. The runs are sorted by key, so they are read as a
 * whole for many offsets at once, and the keys of these remembered. In: offsets that ascend from call to call. Out: their keys as of
 * one moment of the call or before it.
 *
 * A key that a window lacks is forgotten for ever; one that it has may have been forgotten since.
 */
export class StoredKeys {
  readonly #db: DatabaseSync;
  readonly #sealedTo: StatementSync;
  readonly #bareRows: StatementSync;
  readonly #runRows: StatementSync;
  readonly #windowOffsets: number;
  #window: Window | null = null;

  constructor(db: DatabaseSync, shape = INDEX_SHAPE, windowOffsets = WINDOW) {
    this.#db = db;
    this.#sealedTo = db.prepare(SEALED_TO(shape));
    this.#bareRows = db.prepare(BARE_ROWS(shape));
    this.#runRows = db.prepare(RUN_ROWS(shape));
    this.#windowOffsets = windowOffsets;
  }

  of(offsets: readonly number[]): (MovedKey | null)[] {
    if (offsets.length === 0) return [];
    // Of one moment: a seal that ends in between would hide keys from both looks.
    return reading(this.#db, () => {
      const sealedTo = Number(this.#sealedTo.get()!['offset']);
      const unsealed = this.#unsealed(offsets.filter((offset) => offset > sealedTo));
      return offsets.map((offset) =>
        offset > sealedTo ? (unsealed.get(offset) ?? null) : this.#sealed(offset, sealedTo),
      );
    });
  }

  #unsealed(offsets: readonly number[]): ReadonlyMap<number, MovedKey> {
    const keys = new Map<number, MovedKey>();
    if (offsets.length === 0) return keys;
    for (const row of this.#bareRows.iterate(offsets[0]!, offsets.at(-1)!)) {
      const entries = entriesIn(row);
      for (let at = 0; at < entries.length; at += ENTRY_WORDS)
        keys.set(offsetAt(entries, at), keyAt(entries, at, digestOf(entries[at + 5]!)));
    }
    return keys;
  }

  #sealed(offset: number, sealedTo: number): MovedKey | null {
    let window = this.#window;
    if (window === null || offset < window.from || offset > window.to) {
      this.#window = null;
      window = this.#window = this.#read(offset, Math.min(sealedTo, offset + this.#windowOffsets - 1));
    }
    const place = offset - window.from;
    if (window.isKnown[place] === 0) return null;
    const at = place * KEY_WORDS;
    return keyAt(window.words, at, window.words[at + 4]!);
  }

  #read(from: number, to: number): Window {
    const isKnown = new Uint8Array(to - from + 1);
    const words = new Int32Array(isKnown.length * KEY_WORDS);
    for (const row of this.#runRows.iterate(from, to)) {
      const entries = entriesIn(row);
      for (let at = 0; at < entries.length; at += ENTRY_WORDS) {
        const offset = offsetAt(entries, at);
        if (offset < from || offset > to) continue;
        const place = offset - from;
        isKnown[place] = 1;
        words.set(entries.subarray(at, at + 4), place * KEY_WORDS);
        words[place * KEY_WORDS + 4] = digestOf(entries[at + 5]!);
      }
    }
    return { from, to, words, isKnown };
  }
}

function keyAt(words: Int32Array, at: number, digest: number): MovedKey {
  return { k0: words[at]!, k1: words[at + 1]!, k2: words[at + 2]!, k3: words[at + 3]!, digest };
}

function entriesIn(row: Record<string, unknown>): KeyBlock {
  return blockOf(row['entries'] as Uint8Array, () =>
    damagedIndex('a row of keys: its checksum does not match'),
  );
}
