import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { StoreError } from '../../event-store.ts';
import { damagedIndex } from '../file/errors.ts';
import { ENTRY_WORDS, HotTable, digestOf, offsetOf } from './hot-table.ts';
import { type KeyBlock, blockOf, compareKeys, findInBlock, rowOf, sortedEntries } from './key-block.ts';
import { FILTER_PART_BUCKETS, KeyFilter } from './key-filter.ts';

/** What a test makes smaller to see every step with few keys. */
export interface IndexShape {
  /** Keys of the hot table, and so of a run of level 0. */
  readonly hotKeysMax: number;
  /** A run of level L has 2^(baseBits + MERGE_BITS * L) buckets. */
  readonly baseBits: number;
}

/** 131,072 keys in 2048 buckets of 64: one key block is about 1.5 KiB, less than a page. */
export const INDEX_SHAPE: IndexShape = { hotKeysMax: 131_072, baseBits: 11 };

/** Eight runs of a level become one of the next: few runs to look into, and a key is written once more per level. */
const MERGE_BITS = 3;
const MERGE_RUNS = 2 ** MERGE_BITS;

/** Runs of this level are not merged further: 4 * 10^9 keys each. */
const LEVEL_MAX = 5;

/** A run's rows: `run_id * PLACES + bucket`. */
const PLACES = 2 ** 26;
/** A run's filter rows: `run_id * FILTER_PLACES + part`. */
const FILTER_PLACES = 2 ** 17;

/** Twice the work that keeps up, so that sealing and merging are done long before the next must begin. */
const PACE = 2;

interface Run {
  readonly id: number;
  readonly level: number;
  readonly bits: number;
  readonly keys: number;
  readonly lastOffset: number;
  readonly filter: KeyFilter;
  /** Buckets that are written, from 0. Below all of them, the run is being made. */
  filled: number;
  /** The run that takes over this one's buckets; it has those below `into.filled / MERGE_RUNS`. */
  into: Run | null;
}

interface Sealing {
  readonly table: HotTable;
  readonly run: Run;
}

/**
 * Which keys are stored, and where: a log-structured index in the file and transactions of the events.
 *
 * In: keys with their offset and digest, each once. Out: whether a key is there. A key is *hot* (in memory), then
 * *sealing* (in memory and partly in the file), then in a *run* of key blocks; runs are merged, eight into one, into
 * runs of the next level. A key is always found in exactly one of these.
 *
 * A run being sealed is not looked into before it is whole. If the process dies, its rows are deleted and its keys
 * come back into the hot table from the blocks. A merge moves bucket by bucket: those below its cursor are in the new
 * run and nowhere else, those above in the old ones; if the process dies, it goes on where the last commit left it.
 *
 * Work is done in small steps inside the transactions of the appends, in proportion to the keys that they add, so no
 * append waits for a whole seal or merge. What a step changes in memory is applied only when its transaction is
 * committed (`committed`), and forgotten when it is not (`rolledBack`).
 */
export class KeyIndex {
  /** Of the key that `find` found. */
  offset = 0;
  /** Of the key that `find` found. */
  digest = 0;

  readonly #shape: IndexShape;
  #hot: HotTable;
  /** A table that was sealed, for the next time: its memory is there already. */
  #spare: HotTable | null = null;
  /** What `rolledBack` goes back to. */
  #lastOffsetBefore = 0;
  #sealing: Sealing | null = null;
  /** Newest first. */
  #runs: Run[] = [];
  #nextRunId = 1;
  /** The offset of the newest key. */
  #lastOffset = 0;
  #sealDebt = 0;
  #mergeDebt = 0;
  #onCommit: (() => void)[] = [];

  readonly #getBlock: StatementSync;
  readonly #putBlock: StatementSync;
  readonly #dropBlock: StatementSync;
  readonly #putFilter: StatementSync;
  readonly #dropFilters: StatementSync;
  readonly #putRun: StatementSync;
  readonly #fillRun: StatementSync;
  readonly #joinRun: StatementSync;
  readonly #dropRun: StatementSync;

  /** Reads runs and filters; the hot table is empty: add the keys of all offsets above `sealedTo`. */
  constructor(db: DatabaseSync, shape: IndexShape = INDEX_SHAPE) {
    this.#shape = shape;
    this.#hot = new HotTable(shape.hotKeysMax);
    this.#getBlock = db.prepare('SELECT entries FROM key_block WHERE place = ?');
    this.#getBlock.setReturnArrays(true);
    this.#putBlock = db.prepare('INSERT INTO key_block (place, entries) VALUES (?, ?)');
    this.#dropBlock = db.prepare('DELETE FROM key_block WHERE place = ?');
    this.#putFilter = db.prepare('INSERT INTO key_filter (place, bits) VALUES (?, ?)');
    this.#dropFilters = db.prepare('DELETE FROM key_filter WHERE place >= ? AND place < ?');
    this.#putRun = db.prepare(
      'INSERT INTO key_run (run_id, level, keys, last_offset, filled) VALUES (?, ?, ?, ?, 0)',
    );
    this.#fillRun = db.prepare('UPDATE key_run SET filled = ? WHERE run_id = ?');
    this.#joinRun = db.prepare('UPDATE key_run SET merged_into = ? WHERE run_id = ?');
    this.#dropRun = db.prepare('DELETE FROM key_run WHERE run_id = ?');
    this.#load(db);
  }

  /** Up to here the runs hold every key; above, the hot table must. */
  get sealedTo(): number {
    return Math.max(0, ...this.#runs.map((run) => run.lastOffset));
  }

  /** All keys there are. */
  get keys(): number {
    // A run that is being merged still counts its keys; the one that it is merged into does not yet.
    const inRuns = this.#runs.reduce((sum, run) => sum + (isWhole(run) ? run.keys : 0), 0);
    return inRuns + (this.#sealing?.table.count ?? 0) + this.#hot.count;
  }

  /** Begins a transaction's worth of changes. */
  begin(): void {
    if (this.#hot.count >= this.#shape.hotKeysMax && this.#sealing === null) this.#freeze();
    this.#hot.begin();
    this.#lastOffsetBefore = this.#lastOffset;
  }

  /** Whether the key is stored; then `offset` and `digest` are its event's. */
  find(k0: number, k1: number, k2: number, k3: number): boolean {
    if (this.#hot.find(k0, k1, k2, k3)) return this.#foundIn(this.#hot);
    if (this.#sealing?.table.find(k0, k1, k2, k3) === true) return this.#foundIn(this.#sealing.table);
    for (const run of this.#runs) {
      if (!run.filter.mayHold(k0, k1, k2)) continue;
      const bucket = k0 >>> (32 - run.bits);
      if (bucket >= run.filled || bucket < this.#firstBucket(run)) continue;
      const block = this.#read(run, bucket);
      const at = findInBlock(block, k0, k1, k2, k3);
      if (at < 0) continue;
      this.offset = offsetOf(block[at + 4]!, block[at + 5]!);
      this.digest = digestOf(block[at + 5]!);
      return true;
    }
    return false;
  }

  /** Adds the key that `find` just did not find. Offsets come in ascending order. */
  add(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    this.#hot.add(k0, k1, k2, k3, offset, digest);
    this.#lastOffset = offset;
  }

  /** Adds a key of which the caller knows that it is new. */
  addNew(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    if (this.#hot.find(k0, k1, k2, k3))
      throw new Error(`the key of offset ${offset} is that of ${this.#hot.offset}, too`);
    this.add(k0, k1, k2, k3, offset, digest);
  }

  /**
   * Does the share of sealing and merging that `keys` new keys owe. To be called once in a transaction, as the last:
   * what it moves in the file is found in its new place only after the commit.
   */
  step(keys: number): void {
    if (this.#onCommit.length > 0) throw new Error('a transaction takes one step of the index');
    const { hotKeysMax, baseBits } = this.#shape;
    if (this.#sealing !== null) {
      this.#sealDebt += (keys * PACE * 2 ** baseBits) / hotKeysMax;
      // Hot is full again: the rest is due now.
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

  /** Whether the hot table is full, so that the next transaction begins to seal it. */
  get mustSeal(): boolean {
    return this.#hot.count >= this.#shape.hotKeysMax;
  }

  /** What is wrong with the runs in themselves, each with its place. */
  *problems(): Generator<string> {
    for (const run of this.#runs) {
      let keys = 0;
      for (let bucket = this.#firstBucket(run); bucket < run.filled; bucket++) {
        let block: KeyBlock;
        try {
          block = this.#read(run, bucket);
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          yield error.message;
          continue;
        }
        keys += block.length / ENTRY_WORDS;
        yield* this.#blockProblems(run, bucket, block);
      }
      const isUntouched = isWhole(run) && run.into === null;
      if (isUntouched && keys !== run.keys) yield `key run ${run.id}: ${keys} keys, its row says ${run.keys}`;
    }
  }

  *#blockProblems(run: Run, bucket: number, block: KeyBlock): Generator<string> {
    for (let at = 0; at < block.length; at += ENTRY_WORDS) {
      const [k0, k1, k2, k3] = block.subarray(at, at + 4) as unknown as [number, number, number, number];
      const where = `key run ${run.id}, bucket ${bucket}, entry ${at / ENTRY_WORDS}`;
      if (k0 >>> (32 - run.bits) !== bucket) yield `${where}: it belongs into another bucket`;
      if (at > 0 && compareKeys(block, at - ENTRY_WORDS, at) >= 0)
        yield `${where}: it is not above the one before`;
      if (!run.filter.mayHold(k0, k1, k2)) yield `${where}: the filter does not know it`;
      if (offsetOf(block[at + 4]!, block[at + 5]!) > run.lastOffset)
        yield `${where}: its offset is above the run's`;
      if (findInBlock(block, k0, k1, k2, k3) !== at) yield `${where}: another entry has the same key`;
    }
  }

  /** The first bucket of a run that was not yet moved into another. */
  #firstBucket(run: Run): number {
    return run.into === null ? 0 : run.into.filled / MERGE_RUNS;
  }

  /** Whether there is work that `step` would do. */
  get isBusy(): boolean {
    return this.isSealing || this.isMerging;
  }

  /** Whether a full table is being written as a run. */
  get isSealing(): boolean {
    return this.#sealing !== null;
  }

  /** Whether runs are being merged into another. */
  get isMerging(): boolean {
    return this.#runs.some((run) => !isWhole(run));
  }

  /** The transaction since `begin` is durable. */
  committed(): void {
    for (const apply of this.#onCommit) apply();
    this.#onCommit = [];
    this.#startMerges();
  }

  /** The transaction since `begin` left no trace. */
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

  #read(run: Run, bucket: number): KeyBlock {
    const row = this.#getBlock.get(run.id * PLACES + bucket) as unknown as [Uint8Array] | undefined;
    if (row === undefined) throw damagedIndex(`bucket ${bucket} of key run ${run.id} is missing`);
    return blockOf(row[0], () =>
      damagedIndex(`bucket ${bucket} of key run ${run.id}: its bytes are not those that were written`),
    );
  }

  #write(run: Run, bucket: number, block: KeyBlock): void {
    this.#putBlock.run(run.id * PLACES + bucket, rowOf(block));
    // Bits of a bucket that is not yet looked into do no harm, so they need not wait for the commit.
    run.filter.add(block);
  }

  /** Stores the filter's parts that end between two buckets. */
  #writeFilterParts(run: Run, from: number, to: number): void {
    for (let part = Math.floor(from / FILTER_PART_BUCKETS); part * FILTER_PART_BUCKETS < to; part++) {
      const end = Math.min((part + 1) * FILTER_PART_BUCKETS, 2 ** run.bits);
      if (end > from && end <= to) this.#putFilter.run(run.id * FILTER_PLACES + part, run.filter.row(part));
    }
  }

  #freeze(): void {
    const run = this.#newRun(0, this.#hot.count, this.#lastOffset);
    this.#sealing = { table: this.#hot, run };
    this.#hot = this.#spare ?? new HotTable(this.#shape.hotKeysMax);
    this.#spare = null;
    this.#sealDebt = 0;
  }

  #newRun(level: number, keys: number, lastOffset: number): Run {
    const bits = this.#shape.baseBits + MERGE_BITS * level;
    return {
      id: this.#nextRunId++,
      level,
      bits,
      keys,
      lastOffset,
      filter: new KeyFilter(bits),
      filled: 0,
      into: null,
    };
  }

  #sealSome({ run, table }: Sealing): void {
    const from = run.filled;
    const to = Math.min(2 ** run.bits, from + Math.floor(this.#sealDebt));
    this.#sealDebt -= to - from;
    if (from === 0) this.#putRun.run(run.id, run.level, run.keys, run.lastOffset);
    for (let bucket = from; bucket < to; bucket++) {
      this.#write(run, bucket, sortedEntries(table.entriesOf(bucket, run.bits)));
    }
    this.#writeFilterParts(run, from, to);
    this.#fillRun.run(to, run.id);
    this.#onCommit.push(() => {
      run.filled = to;
      if (!isWhole(run)) return;
      this.#runs.unshift(run);
      this.#sealing = null;
      table.clear();
      this.#spare = table;
    });
  }

  /** Where eight whole runs of a level wait, the oldest eight begin to become one. */
  #startMerges(): void {
    for (let level = 0; level < LEVEL_MAX; level++) {
      const waiting = this.#runs.filter((run) => run.level === level && isWhole(run) && run.into === null);
      if (waiting.length < MERGE_RUNS) continue;
      const sources = waiting.slice(-MERGE_RUNS);
      const keys = sources.reduce((sum, run) => sum + run.keys, 0);
      const target = this.#newRun(level + 1, keys, Math.max(...sources.map((run) => run.lastOffset)));
      for (const source of sources) source.into = target;
      this.#runs.push(target);
    }
  }

  #mergeSome(target: Run, units: number): void {
    const sources = this.#runs.filter((run) => run.into === target);
    const from = target.filled / MERGE_RUNS;
    const to = Math.min(2 ** target.bits / MERGE_RUNS, from + units);
    if (from === 0) {
      this.#putRun.run(target.id, target.level, target.keys, target.lastOffset);
      for (const source of sources) this.#joinRun.run(target.id, source.id);
    }
    for (let bucket = from; bucket < to; bucket++) this.#mergeBucket(target, sources, bucket);
    const filled = to * MERGE_RUNS;
    this.#writeFilterParts(target, target.filled, filled);
    this.#fillRun.run(filled, target.id);
    const done = filled === 2 ** target.bits;
    if (done) {
      for (const source of sources) {
        this.#dropRun.run(source.id);
        this.#dropFilters.run(source.id * FILTER_PLACES, (source.id + 1) * FILTER_PLACES);
      }
    }
    this.#onCommit.push(() => {
      target.filled = filled;
      if (done) this.#runs = this.#runs.filter((run) => run.into !== target);
    });
  }

  /** Moves one bucket of every source into the eight buckets of the target that share its bits. */
  #mergeBucket(target: Run, sources: readonly Run[], bucket: number): void {
    const blocks = sources.map((source) => this.#read(source, bucket));
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
      this.#write(target, part, sorted.slice(from, to));
      from = to;
    }
    for (const source of sources) this.#dropBlock.run(source.id * PLACES + bucket);
  }

  #load(db: DatabaseSync): void {
    const rows = db.prepare('SELECT * FROM key_run ORDER BY run_id DESC').all();
    const runs = new Map<number, Run>();
    const into = new Map<Run, number>();
    for (const row of rows) {
      const level = Number(row['level']);
      const bits = this.#shape.baseBits + MERGE_BITS * level;
      const run: Run = {
        id: Number(row['run_id']),
        level,
        bits,
        keys: Number(row['keys']),
        lastOffset: Number(row['last_offset']),
        filter: new KeyFilter(bits),
        filled: Number(row['filled']),
        into: null,
      };
      this.#nextRunId = Math.max(this.#nextRunId, run.id + 1);
      // Its keys are hot again: what was written of it is of no use.
      if (level === 0 && !isWhole(run)) this.#forget(db, run);
      else runs.set(run.id, run);
      if (row['merged_into'] !== null) into.set(run, Number(row['merged_into']));
    }
    for (const [run, id] of into) run.into = runs.get(id) ?? null;
    this.#runs = [...runs.values()];
    for (const run of this.#runs) this.#loadFilter(db, run);
    this.#startMerges();
  }

  #forget(db: DatabaseSync, run: Run): void {
    db.prepare('DELETE FROM key_block WHERE place >= ? AND place < ?').run(
      run.id * PLACES,
      (run.id + 1) * PLACES,
    );
    this.#dropFilters.run(run.id * FILTER_PLACES, (run.id + 1) * FILTER_PLACES);
    this.#dropRun.run(run.id);
  }

  #loadFilter(db: DatabaseSync, run: Run): void {
    const parts = db.prepare(
      'SELECT place, bits FROM key_filter WHERE place >= ? AND place < ? ORDER BY place',
    );
    let buckets = 0;
    for (const row of parts.iterate(run.id * FILTER_PLACES, (run.id + 1) * FILTER_PLACES)) {
      const part = Number(row['place']) - run.id * FILTER_PLACES;
      run.filter.load(part, row['bits'] as Uint8Array, () =>
        damagedIndex(`the filter of key run ${run.id}: its bytes are not those that were written`),
      );
      buckets = Math.min((part + 1) * FILTER_PART_BUCKETS, 2 ** run.bits);
    }
    // The buckets since the last whole part, when a merge was cut off between two.
    for (let bucket = buckets; bucket < run.filled; bucket++) {
      if (run.into === null || bucket >= run.into.filled / MERGE_RUNS)
        run.filter.add(this.#read(run, bucket));
    }
  }
}

function isWhole(run: Run): boolean {
  return run.filled === 2 ** run.bits;
}
