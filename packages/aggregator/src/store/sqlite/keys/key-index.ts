import type { DatabaseSync } from 'node:sqlite';
import { ENTRY_WORDS, HotTable, digestOf, offsetOf } from './hot-table.ts';
import { findInBlock, sortedEntries } from './key-block.ts';
import { MERGE_RUNS, type Run, RunFile, firstBucket, isWhole, runProblems } from './key-runs.ts';

/** The sizes of the index. Tests use small ones, to reach every step with few keys. */
export interface IndexShape {
  /** Keys of a full hot table, and so of a run of level 0. */
  readonly hotKeysMax: number;
  /** A run of level L has 2^(baseBits + MERGE_BITS * L) buckets. */
  readonly baseBits: number;
}

/** 131,072 keys in 2048 buckets of 64: a key block has about 1.5 KiB, less than a page. */
export const INDEX_SHAPE: IndexShape = { hotKeysMax: 131_072, baseBits: 11 };

/** Runs of this level, of 4 * 10^9 keys each, are not merged further. */
const LEVEL_MAX = 5;

/** Work at twice the necessary pace, so that sealing and merging end long before the next round must begin. */
const PACE = 2;

interface Sealing {
  readonly table: HotTable;
  readonly run: Run;
}

/**
 * Which keys are stored, and where: a log-structured index in the file and transactions of the events.
 *
 * In: keys with their offset and digest, each once. Out: whether a key is stored. A key is *hot* (in memory), then
 * *sealing* (in memory and partly in the file), then in a *run* of key blocks. Eight runs of a level are merged into one
 * of the next level. Every key is found in exactly one of these places.
 *
 * A run being sealed is not searched until it is complete. If the process dies before, the run's rows are deleted and its
 * keys return to the hot table from the blocks. A merge moves one bucket after the other: those below its cursor are only
 * in the new run, those above only in the old ones. If the process dies, the merge resumes from the last commit.
 *
 * Work is done in small steps inside the transactions of the appends, in proportion to the keys that they add, so no
 * append waits for a whole seal or merge. The effects of a step on memory are applied once its transaction is durable
 * (`committed`), and discarded if it is not (`rolledBack`).
 */
export class KeyIndex {
  /** Of the key that `find` found. */
  offset = 0;
  /** Of the key that `find` found. */
  digest = 0;

  readonly #shape: IndexShape;
  readonly #file: RunFile;
  #hot: HotTable;
  /** A table that was sealed, kept to reuse its memory. */
  #spare: HotTable | null = null;
  /** The value that `rolledBack` restores. */
  #lastOffsetBefore = 0;
  #sealing: Sealing | null = null;
  /** Newest first. */
  #runs: Run[];
  /** The offset of the newest key. */
  #lastOffset = 0;
  #sealDebt = 0;
  #mergeDebt = 0;
  #onCommit: (() => void)[] = [];

  /** Reads runs and filters. The hot table starts empty; the caller adds the keys of all offsets above `sealedTo`. */
  constructor(db: DatabaseSync, shape: IndexShape = INDEX_SHAPE) {
    this.#shape = shape;
    this.#file = new RunFile(db, shape.baseBits);
    this.#hot = new HotTable(shape.hotKeysMax);
    this.#runs = this.#file.load();
    this.#startMerges();
  }

  /** The runs hold every key up to this offset; the hot table must hold the others. */
  get sealedTo(): number {
    return Math.max(0, ...this.#runs.map((run) => run.lastOffset));
  }

  /** The number of all keys. */
  get keys(): number {
    // The sources of a merge still count all their keys, so the target does not count yet.
    const inRuns = this.#runs.reduce((sum, run) => sum + (isWhole(run) ? run.keys : 0), 0);
    return inRuns + (this.#sealing?.table.count ?? 0) + this.#hot.count;
  }

  /** Begins a transaction's worth of changes. */
  begin(): void {
    if (this.#hot.count >= this.#shape.hotKeysMax && this.#sealing === null) this.#freeze();
    this.#hot.begin();
    this.#lastOffsetBefore = this.#lastOffset;
  }

  /** Whether the key is stored. If so, `offset` and `digest` are those of its event. */
  find(k0: number, k1: number, k2: number, k3: number): boolean {
    if (this.#hot.find(k0, k1, k2, k3)) return this.#foundIn(this.#hot);
    if (this.#sealing?.table.find(k0, k1, k2, k3) === true) return this.#foundIn(this.#sealing.table);
    for (const run of this.#runs) {
      if (!run.filter.mayHold(k0, k1, k2)) continue;
      const bucket = k0 >>> (32 - run.bits);
      if (bucket >= run.filled || bucket < firstBucket(run)) continue;
      const block = this.#file.read(run, bucket);
      const at = findInBlock(block, k0, k1, k2, k3);
      if (at < 0) continue;
      this.offset = offsetOf(block[at + 4]!, block[at + 5]!);
      this.digest = digestOf(block[at + 5]!);
      return true;
    }
    return false;
  }

  /** Adds the key that the last `find` did not find. Offsets must ascend. */
  add(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    this.#hot.add(k0, k1, k2, k3, offset, digest);
    this.#lastOffset = offset;
  }

  /** Adds a key that the caller knows to be new. */
  addNew(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    if (this.#hot.find(k0, k1, k2, k3))
      throw new Error(`offsets ${offset} and ${this.#hot.offset} have the same key`);
    this.add(k0, k1, k2, k3, offset, digest);
  }

  /**
   * Does the share of sealing and merging that `keys` new keys owe. Call it once per transaction, after everything else:
   * keys that it moves are found in their new place only after the commit.
   */
  step(keys: number): void {
    if (this.#onCommit.length > 0) throw new Error('a transaction allows only one step of the index');
    const { hotKeysMax, baseBits } = this.#shape;
    if (this.#sealing !== null) {
      this.#sealDebt += (keys * PACE * 2 ** baseBits) / hotKeysMax;
      // The hot table is full again, so the rest is due now.
      if (this.#hot.count >= hotKeysMax) this.#sealDebt = Infinity;
      if (this.#sealDebt >= 1) this.#sealSome(this.#sealing);
    }
    this.#mergeDebt += (keys * PACE * 2 ** baseBits) / (hotKeysMax * MERGE_RUNS);
    if (this.#mergeDebt >= 1) {
      const units = Math.floor(this.#mergeDebt);
      this.#mergeDebt -= units;
      for (const run of this.#runs) if (!isWhole(run)) this.#mergeSome(run, units);
    }
  }

  get hotKeysMax(): number {
    return this.#shape.hotKeysMax;
  }

  /** Whether the hot table is full, so the next transaction starts to seal it. */
  get mustSeal(): boolean {
    return this.#hot.count >= this.#shape.hotKeysMax;
  }

  /** Problems of the runs themselves, each with its place. */
  *problems(): Generator<string> {
    for (const run of this.#runs) yield* runProblems(this.#file, run);
  }

  /** Whether `step` has any work to do. */
  get isBusy(): boolean {
    return this.isSealing || this.isMerging;
  }

  /** Whether a full table is being written as a run. */
  get isSealing(): boolean {
    return this.#sealing !== null;
  }

  /** Whether runs are being merged. */
  get isMerging(): boolean {
    return this.#runs.some((run) => !isWhole(run));
  }

  /** The transaction since `begin` is durable. */
  committed(): void {
    for (const apply of this.#onCommit) apply();
    this.#onCommit = [];
    this.#startMerges();
  }

  /** The transaction since `begin` was rolled back. */
  rolledBack(): void {
    this.#onCommit = [];
    this.#hot.undo();
    this.#lastOffset = this.#lastOffsetBefore;
  }

  #foundIn(table: HotTable): true {
    this.offset = table.offset;
    this.digest = table.digest;
    return true;
  }

  #freeze(): void {
    const run = this.#file.create(0, this.#hot.count, this.#lastOffset);
    this.#sealing = { table: this.#hot, run };
    this.#hot = this.#spare ?? new HotTable(this.#shape.hotKeysMax);
    this.#spare = null;
    this.#sealDebt = 0;
  }

  #sealSome({ run, table }: Sealing): void {
    const from = run.filled;
    const to = Math.min(2 ** run.bits, from + Math.floor(this.#sealDebt));
    this.#sealDebt -= to - from;
    if (from === 0) this.#file.begin(run);
    for (let bucket = from; bucket < to; bucket++) {
      this.#file.write(run, bucket, sortedEntries(table.entriesOf(bucket, run.bits)));
    }
    this.#file.writeFilterParts(run, from, to);
    this.#file.fill(run, to);
    this.#onCommit.push(() => {
      run.filled = to;
      if (!isWhole(run)) return;
      this.#runs.unshift(run);
      this.#sealing = null;
      table.clear();
      this.#spare = table;
    });
  }

  /** Starts to merge the oldest eight runs of each level that has so many. */
  #startMerges(): void {
    for (let level = 0; level < LEVEL_MAX; level++) {
      const waiting = this.#runs.filter((run) => run.level === level && isWhole(run) && run.into === null);
      if (waiting.length < MERGE_RUNS) continue;
      const sources = waiting.slice(-MERGE_RUNS);
      const keys = sources.reduce((sum, run) => sum + run.keys, 0);
      const target = this.#file.create(level + 1, keys, Math.max(...sources.map((run) => run.lastOffset)));
      for (const source of sources) source.into = target;
      this.#runs.push(target);
    }
  }

  #mergeSome(target: Run, units: number): void {
    const sources = this.#runs.filter((run) => run.into === target);
    const from = target.filled / MERGE_RUNS;
    const to = Math.min(2 ** target.bits / MERGE_RUNS, from + units);
    if (from === 0) {
      this.#file.begin(target);
      for (const source of sources) this.#file.join(source, target);
    }
    for (let bucket = from; bucket < to; bucket++) this.#mergeBucket(target, sources, bucket);
    const filled = to * MERGE_RUNS;
    this.#file.writeFilterParts(target, target.filled, filled);
    this.#file.fill(target, filled);
    const done = filled === 2 ** target.bits;
    if (done) for (const source of sources) this.#file.drop(source);
    this.#onCommit.push(() => {
      target.filled = filled;
      if (done) this.#runs = this.#runs.filter((run) => run.into !== target);
    });
  }

  /** Moves one bucket of every source into the eight buckets of the target whose highest bits are the same. */
  #mergeBucket(target: Run, sources: readonly Run[], bucket: number): void {
    const blocks = sources.map((source) => this.#file.read(source, bucket));
    const words = new Int32Array(blocks.reduce((sum, block) => sum + block.length, 0));
    let end = 0;
    for (const block of blocks) {
      words.set(block, end);
      end += block.length;
    }
    const sorted = sortedEntries(words);
    let from = 0;
    for (let part = bucket * MERGE_RUNS; part < (bucket + 1) * MERGE_RUNS; part++) {
      let to = from;
      while (to < sorted.length && sorted[to]! >>> (32 - target.bits) === part) to += ENTRY_WORDS;
      this.#file.write(target, part, sorted.slice(from, to));
      from = to;
    }
    for (const source of sources) this.#file.dropBlock(source, bucket);
  }
}
