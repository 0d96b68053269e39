import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { StoreError } from '../../event-store.ts';
import { damagedIndex } from '../file/errors.ts';
import { ENTRY_WORDS, offsetAt } from './hot-table.ts';
import { type KeyBlock, blockOf, compareKeys, findInBlock, rowOf } from './key-block.ts';
import { MERGE_BITS } from './index-shape.ts';
import { FILTER_PART_BUCKETS, KeyFilter } from './key-filter.ts';

/** Places of a run's blocks: `run_id * PLACES + bucket`. */
const PLACES = 2 ** 26;
/** Places of the parts of a run's filter: `run_id * FILTER_PLACES + part`. */
const FILTER_PLACES = 2 ** 17;

export interface Run {
  readonly id: number;
  readonly level: number;
  readonly bits: number;
  /** Its own, and those that are merged into it. */
  keys: number;
  /** No key of it is below, none above. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly filter: KeyFilter;
  /** The number of buckets written so far, from bucket 0 on. A run that lacks some is still being written. */
  filled: number;
  /** The run into which this one is merged, which already has what `firstBucket` tells. */
  into: Run | null;
}

export function isWhole(run: Run): boolean {
  return run.filled === 2 ** run.bits;
}

/** The first bucket that a merge has not moved away yet. */
export function firstBucket(run: Run): number {
  return run.into === null ? 0 : run.into.filled * 2 ** (run.bits - run.into.bits);
}

/**
 * The rows of runs: their key blocks, their filters, and how far each is written. Rows change inside the caller's
 * transaction. The caller updates a run's fields in memory (`filled`, `into`) after the commit.
 */
export class RunFile {
  readonly #db: DatabaseSync;
  readonly #baseBits: number;
  #lastId = 0;
  readonly #getBlock: StatementSync;
  readonly #putBlock: StatementSync;
  readonly #dropBlock: StatementSync;
  readonly #dropBlocks: StatementSync;
  readonly #putFilter: StatementSync;
  readonly #dropFilters: StatementSync;
  readonly #putRun: StatementSync;
  readonly #fillRun: StatementSync;
  readonly #countRun: StatementSync;
  readonly #joinRun: StatementSync;
  readonly #dropRun: StatementSync;

  /** A run of level 0 has 2^baseBits buckets. */
  constructor(db: DatabaseSync, baseBits: number) {
    this.#db = db;
    this.#baseBits = baseBits;
    this.#getBlock = db.prepare('SELECT entries FROM key_block WHERE place = ?');
    this.#getBlock.setReturnArrays(true);
    this.#putBlock = db.prepare('INSERT INTO key_block (place, entries) VALUES (?, ?)');
    this.#dropBlock = db.prepare('DELETE FROM key_block WHERE place = ?');
    this.#dropBlocks = db.prepare('DELETE FROM key_block WHERE place >= ? AND place < ?');
    this.#putFilter = db.prepare('INSERT INTO key_filter (place, bits) VALUES (?, ?)');
    this.#dropFilters = db.prepare('DELETE FROM key_filter WHERE place >= ? AND place < ?');
    this.#putRun = db.prepare(`
      INSERT INTO key_run (run_id, level, keys, first_offset, last_offset, filled) VALUES (?, ?, ?, ?, ?, 0)`);
    this.#fillRun = db.prepare('UPDATE key_run SET filled = ? WHERE run_id = ?');
    this.#countRun = db.prepare('UPDATE key_run SET keys = ? WHERE run_id = ?');
    this.#joinRun = db.prepare('UPDATE key_run SET merged_into = ? WHERE run_id = ?');
    this.#dropRun = db.prepare('DELETE FROM key_run WHERE run_id = ?');
  }

  /** A new run. Nothing of it is written yet. */
  create(about: Pick<Run, 'level' | 'keys' | 'firstOffset' | 'lastOffset'>): Run {
    return this.#run({ ...about, id: ++this.#lastId, filled: 0 });
  }

  #run(about: Pick<Run, 'id' | 'level' | 'keys' | 'firstOffset' | 'lastOffset' | 'filled'>): Run {
    const bits = this.#baseBits + MERGE_BITS * about.level;
    const { id, level, keys, firstOffset, lastOffset, filled } = about;
    // Written out, so that all runs have one shape: each lookup goes through them.
    return {
      id,
      level,
      bits,
      keys,
      firstOffset,
      lastOffset,
      filter: new KeyFilter(bits),
      filled,
      into: null,
    };
  }

  /** Throws a StoreError if the bucket is missing or damaged. */
  read(run: Run, bucket: number): KeyBlock {
    const row = this.#getBlock.get(run.id * PLACES + bucket) as unknown as [Uint8Array] | undefined;
    if (row === undefined) throw damagedIndex(`bucket ${bucket} of key run ${run.id} is missing`);
    return blockOf(row[0], () =>
      damagedIndex(`bucket ${bucket} of key run ${run.id}: its checksum does not match`),
    );
  }

  write(run: Run, bucket: number, block: KeyBlock): void {
    this.#putBlock.run(run.id * PLACES + bucket, rowOf(block));
    // Extra bits only cost useless lookups, so they need not wait for the commit.
    run.filter.add(block);
  }

  /**
   * Writes a bucket again from which entries have been removed. The filter goes on to know them. SQLite joins pages that have
   * become empty when a row is deleted, and not when one becomes smaller.
   */
  rewrite(run: Run, bucket: number, block: KeyBlock): void {
    this.dropBlock(run, bucket);
    this.#putBlock.run(run.id * PLACES + bucket, rowOf(block));
  }

  /** Stores the parts of the filter that end between the two buckets. */
  writeFilterParts(run: Run, from: number, to: number): void {
    for (let part = Math.floor(from / FILTER_PART_BUCKETS); part * FILTER_PART_BUCKETS < to; part++) {
      const end = Math.min((part + 1) * FILTER_PART_BUCKETS, 2 ** run.bits);
      if (end > from && end <= to) this.#putFilter.run(run.id * FILTER_PLACES + part, run.filter.row(part));
    }
  }

  /** Inserts the row of a new run. */
  begin(run: Run): void {
    this.#putRun.run(run.id, run.level, run.keys, run.firstOffset, run.lastOffset);
  }

  /** Records that the buckets below `to` are written. */
  fill(run: Run, to: number): void {
    this.#fillRun.run(to, run.id);
  }

  /** Records how many keys the run has. */
  count(run: Run): void {
    this.#countRun.run(run.keys, run.id);
  }

  /** Records that the source is being merged into the target. */
  join(source: Run, target: Run): void {
    this.#joinRun.run(target.id, source.id);
  }

  dropBlock(run: Run, bucket: number): void {
    this.#dropBlock.run(run.id * PLACES + bucket);
  }

  dropBlocks(run: Run): void {
    this.#dropBlocks.run(run.id * PLACES, (run.id + 1) * PLACES);
  }

  /** Deletes the run and its filter; its blocks are gone already. */
  drop(run: Run): void {
    this.#dropRun.run(run.id);
    this.#dropFilters.run(run.id * FILTER_PLACES, (run.id + 1) * FILTER_PLACES);
  }

  /** The runs, newest first, with their filters. Deletes what an unfinished seal has written. */
  load(): Run[] {
    const rows = this.#db.prepare('SELECT * FROM key_run ORDER BY run_id DESC').all();
    const runs = new Map<number, Run>();
    const into = new Map<Run, number>();
    const targets = new Set(rows.map((row) => row['merged_into']));
    for (const row of rows) {
      const run = this.#run({
        id: Number(row['run_id']),
        level: Number(row['level']),
        keys: Number(row['keys']),
        firstOffset: Number(row['first_offset']),
        lastOffset: Number(row['last_offset']),
        filled: Number(row['filled']),
      });
      // Do not reuse the id of a run that is deleted below.
      this.#lastId = Math.max(this.#lastId, run.id);
      // Its keys return to the hot table, so its rows are useless.
      if (!isWhole(run) && !targets.has(run.id)) this.#forget(run);
      else runs.set(run.id, run);
      if (row['merged_into'] !== null) into.set(run, Number(row['merged_into']));
    }
    for (const [run, id] of into) run.into = runs.get(id) ?? null;
    for (const run of runs.values()) this.#loadFilter(run);
    return [...runs.values()];
  }

  #forget(run: Run): void {
    this.dropBlocks(run);
    this.drop(run);
  }

  #loadFilter(run: Run): void {
    const parts = this.#db.prepare(
      'SELECT place, bits FROM key_filter WHERE place >= ? AND place < ? ORDER BY place',
    );
    let buckets = 0;
    for (const row of parts.iterate(run.id * FILTER_PLACES, (run.id + 1) * FILTER_PLACES)) {
      const part = Number(row['place']) - run.id * FILTER_PLACES;
      run.filter.load(part, row['bits'] as Uint8Array, () =>
        damagedIndex(`the filter of key run ${run.id}: its checksum does not match`),
      );
      buckets = Math.min((part + 1) * FILTER_PART_BUCKETS, 2 ** run.bits);
    }
    // Rebuild the filters of buckets that a merge has written since the last complete part.
    for (let bucket = buckets; bucket < run.filled; bucket++) {
      if (bucket >= firstBucket(run)) run.filter.add(this.read(run, bucket));
    }
  }
}

/** The problems of a run itself, each with its place. */
export function* runProblems(file: RunFile, run: Run): Generator<string> {
  let keys = 0;
  for (let bucket = firstBucket(run); bucket < run.filled; bucket++) {
    let block: KeyBlock;
    try {
      block = file.read(run, bucket);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      yield error.message;
      continue;
    }
    keys += block.length / ENTRY_WORDS;
    yield* blockProblems(run, bucket, block);
  }
  const isUntouched = isWhole(run) && run.into === null;
  if (isUntouched && keys !== run.keys) yield `key run ${run.id}: ${keys} keys, its row says ${run.keys}`;
}

function* blockProblems(run: Run, bucket: number, block: KeyBlock): Generator<string> {
  for (let at = 0; at < block.length; at += ENTRY_WORDS) {
    const [k0, k1, k2, k3] = block.subarray(at, at + 4) as unknown as [number, number, number, number];
    const where = `key run ${run.id}, bucket ${bucket}, entry ${at / ENTRY_WORDS}`;
    if (k0 >>> (32 - run.bits) !== bucket) yield `${where}: it belongs in another bucket`;
    if (at > 0 && compareKeys(block, at - ENTRY_WORDS, at) >= 0)
      yield `${where}: it is not above the one before`;
    if (!run.filter.mayHold(k0, k1, k2)) yield `${where}: the filter does not contain it`;
    const offset = offsetAt(block, at);
    if (offset < run.firstOffset || offset > run.lastOffset)
      yield `${where}: its offset ${offset} is not between the run's`;
    if (findInBlock(block, k0, k1, k2, k3) !== at) yield `${where}: another entry has the same key`;
  }
}
