import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BareKeys, EntryList } from './bare-keys.ts';
import { ENTRY_WORDS, type Entry, HotTable, digestOf, offsetAt, offsetOf } from './hot-table.ts';
import { INDEX_SHAPE, type IndexShape, MERGE_RUNS } from './index-shape.ts';
import { findInBlock, sortedEntries } from './key-block.ts';
import { type Run, firstBucket, isWhole } from './key-runs.ts';
import { RunLevels } from './run-levels.ts';
import { type Swept, type Sweep, sweepSome } from './sweep.ts';

/** Work at twice the necessary pace, so that sealing and merging end long before the next round must begin. */
const PACE = 2;

/** Stale rows dropped in a transaction without new keys. */
const STALE_ROWS_MIN = 16;

interface Sealing {
  readonly table: HotTable;
  readonly run: Run;
}

/**
 * Which keys are stored, and where: a log-structured index in the file and transactions of the events.
 *
 * In: keys with their offset and digest, each once. Out: whether a key is stored. A key is *hot* (in memory), then
 * *sealing* (in memory and partly in the file), then in a *run* of key blocks (run-levels.ts). Every key is found in exactly
 * one of these places.
 *
 * A run being sealed is not searched until it is complete. If the process dies before, the run's rows are deleted and its
 * keys return to the hot table, from the texts in the blocks and, where there is no text, from bare-keys.ts.
 *
 * A key can be *forgotten* in each of these places, in one transaction: where it is in the file its bucket is written again,
 * and where a start would find it (bare-keys.ts) it is removed. Its bits in a filter stay until the run is merged. The file
 * counts the forgotten keys, so that `verify` knows how many there should be.
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
  readonly #runs: RunLevels;
  readonly #bareKeys: BareKeys;
  #hot: HotTable;
  /** A table that was sealed, kept to reuse its memory. */
  #spare: HotTable | null = null;
  /** The value that `rolledBack` restores. */
  #lastOffsetBefore = 0;
  #sealing: Sealing | null = null;
  /** The offset of the newest key. */
  #lastOffset = 0;
  #sealDebt = 0;
  #mergeDebt = 0;
  #onCommit: (() => void)[] = [];
  readonly #countForgotten: StatementSync;

  /**
   * Reads runs and filters. The hot table starts empty; the caller adds the keys of all offsets above `sealedTo`, those of
   * the texts in the log and `bareKeysToAdd`.
   */
  constructor(db: DatabaseSync, shape: IndexShape = INDEX_SHAPE) {
    this.#shape = shape;
    this.#hot = new HotTable(shape.hotKeysMax);
    this.#runs = new RunLevels(db, shape);
    this.#countForgotten = db.prepare('UPDATE log SET forgotten = forgotten + ?');
    this.#bareKeys = new BareKeys(db, shape);
    this.#bareKeys.dropUpTo(this.sealedTo);
  }

  /** The runs hold every key up to this offset; the hot table must hold the others. */
  get sealedTo(): number {
    return this.#runs.sealedTo;
  }

  /** The number of all keys. */
  get keys(): number {
    return this.#runs.keys + (this.#sealing?.table.count ?? 0) + this.#hot.count;
  }

  /** Begins a transaction's worth of changes. */
  begin(): void {
    if (this.mustSeal && this.#sealing === null) this.#freeze();
    this.#hot.begin();
    this.#sealing?.table.begin();
    this.#runs.begin();
    this.#lastOffsetBefore = this.#lastOffset;
  }

  /** Whether the key is stored. If so, `offset` and `digest` are those of its event. */
  find(k0: number, k1: number, k2: number, k3: number): boolean {
    if (this.#hot.find(k0, k1, k2, k3)) return this.#foundIn(this.#hot);
    if (this.#sealing?.table.find(k0, k1, k2, k3) === true) return this.#foundIn(this.#sealing.table);
    // Here, not in a method of the runs: looking a new key up and adding it took a third longer with one.
    for (const run of this.#runs.all) {
      if (!run.filter.mayHold(k0, k1, k2)) continue;
      const bucket = k0 >>> (32 - run.bits);
      if (bucket >= run.filled || bucket < firstBucket(run)) continue;
      const block = this.#runs.file.read(run, bucket);
      const at = findInBlock(block, k0, k1, k2, k3);
      if (at < 0) continue;
      this.offset = offsetAt(block, at);
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

  /**
   * Forgets a key, before the transaction's `step`. Returns whether it was known. From this transaction on its event must have
   * no text, because a start would compute the key from it.
   */
  forget(k0: number, k1: number, k2: number, k3: number): boolean {
    this.#refuseAfterStep();
    if (!this.find(k0, k1, k2, k3)) return false;
    const { offset } = this;
    if (this.#forgetInMemory(k0, k1, k2, k3, offset)) this.#bareKeys.remove(offset);
    else this.#runs.forget(k0, offset);
    this.#countForgotten.run(1);
    return true;
  }

  /**
   * Forgets the keys of the meant offsets that are in no run yet, all of events without a text, in rows of bare-keys.ts that
   * begin above one offset and not above another. For so many keys and one row more, before the transaction's `step`.
   * `resumeAfter` is null at the end.
   */
  forgetUnsealed(
    after: number,
    upTo: number,
    isMeant: (offset: number) => boolean,
    keysMax: number,
  ): { readonly offsets: readonly number[]; readonly resumeAfter: number | null } {
    this.#refuseAfterStep();
    const offsets: number[] = [];
    const resumeAfter = this.#bareKeys.filter(after, upTo, keysMax, (words, at) => {
      const offset = offsetAt(words, at);
      const isDropped =
        isMeant(offset) &&
        this.#forgetInMemory(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!, offset);
      if (isDropped) offsets.push(offset);
      return isDropped;
    });
    if (offsets.length > 0) this.#countForgotten.run(offsets.length);
    return { offsets, resumeAfter };
  }

  /** Forgets some of the meant keys in runs, before the transaction's `step`: sweep.ts. */
  sweep(sweep: Sweep): Swept {
    this.#refuseAfterStep();
    const swept = sweepSome(this.#runs, sweep);
    if (swept.ids > 0) this.#countForgotten.run(swept.ids);
    return swept;
  }

  /** The runs, as of the last commit. */
  get runs(): readonly Readonly<Run>[] {
    return this.#runs.all;
  }

  /** Whether a sweep must not begin, because a run is being merged into one with larger buckets. */
  get isShrinking(): boolean {
    return this.#runs.isShrinking;
  }

  /** From now on, until each sweep has ended, no run begins to be merged into one with larger buckets. */
  beginSweep(): void {
    this.#runs.sweeps += 1;
  }

  endSweep(): void {
    this.#runs.sweeps -= 1;
    this.#runs.startMerges();
  }

  /** Adds the key of an event that is stored already, unless it was added for this very event. */
  addStored(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    if (this.#hot.find(k0, k1, k2, k3)) {
      if (this.#hot.offset === offset) return;
      throw new Error(`offsets ${offset} and ${this.#hot.offset} have the same key`);
    }
    this.#hot.add(k0, k1, k2, k3, offset, digest);
    this.#lastOffset = Math.max(this.#lastOffset, offset);
  }

  /**
   * Makes sure that a restart finds these keys again although their events have no text. Call it in the transaction that
   * stores the events bare or makes them expired, after `add` and before `step`. In ascending order of their offsets; those
   * that a run holds, or that nobody knows any more, are left out.
   */
  keepBare(entries: EntryList): void {
    const { sealedTo } = this;
    const needed = new EntryList();
    const { words } = entries;
    for (let at = 0; at < words.length; at += ENTRY_WORDS) {
      const offset = offsetAt(words, at);
      if (offset <= sealedTo) continue;
      const isKnown = this.find(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
      if (isKnown && this.offset === offset) needed.copy(words, at);
    }
    this.#bareKeys.add(needed);
  }

  /**
   * For a start: returns a function that adds the keys of events without a text, those above the present `sealedTo`, up to
   * an offset that ascends from call to call.
   */
  bareKeysToAdd(): (upTo: number) => void {
    const load = this.#bareKeys.load(this.sealedTo);
    return (upTo) => {
      for (const [k0, k1, k2, k3, low, high] of load(upTo) as Iterable<Iterable<number>> as Iterable<Entry>)
        this.addStored(k0, k1, k2, k3, offsetOf(low, high), digestOf(high));
    };
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
      if (this.mustSeal) this.#sealDebt = Infinity;
      if (this.#sealDebt >= 1) this.#sealSome(this.#sealing);
    }
    this.#mergeDebt += (keys * PACE * 2 ** baseBits) / (hotKeysMax * MERGE_RUNS);
    if (this.#mergeDebt >= 1) {
      const units = Math.floor(this.#mergeDebt);
      this.#mergeDebt -= units;
      this.#onCommit.push(...this.#runs.mergeSome(units));
    }
    // A row has at least one key, so rows go faster than they come.
    if (this.#bareKeys.hasStale)
      this.#onCommit.push(this.#bareKeys.dropSome(Math.ceil(keys * PACE) + STALE_ROWS_MIN));
  }

  get hotKeysMax(): number {
    return this.#shape.hotKeysMax;
  }

  /** Whether the hot table is full, so the next transaction starts to seal it. */
  get mustSeal(): boolean {
    return this.#hot.filled >= this.#shape.hotKeysMax;
  }

  /** Problems of the runs themselves, each with its place. */
  *problems(): Generator<string> {
    yield* this.#runs.problems();
  }

  /** Whether `step` has any work to do. */
  get isBusy(): boolean {
    return this.isSealing || this.isMerging || this.#bareKeys.hasStale;
  }

  /** Whether a full table is being written as a run. */
  get isSealing(): boolean {
    return this.#sealing !== null;
  }

  /** Whether runs are being merged. */
  get isMerging(): boolean {
    return this.#runs.isMerging;
  }

  /** The transaction since `begin` is durable. */
  committed(): void {
    for (const apply of this.#onCommit) apply();
    this.#onCommit = [];
    this.#runs.startMerges();
  }

  /** The transaction since `begin` was rolled back. */
  rolledBack(): void {
    this.#onCommit = [];
    this.#hot.undo();
    this.#sealing?.table.undo();
    this.#runs.rolledBack();
    this.#lastOffset = this.#lastOffsetBefore;
  }

  #refuseAfterStep(): void {
    if (this.#onCommit.length > 0) throw new Error('the step of the index comes last in a transaction');
  }

  /** Forgets a key of a table. Returns whether one has it for the event of this offset, and not for a later one. */
  #forgetInMemory(k0: number, k1: number, k2: number, k3: number, offset: number): boolean {
    if (this.#hot.find(k0, k1, k2, k3)) {
      if (this.#hot.offset !== offset) return false;
      this.#hot.forget();
      return true;
    }
    if (this.#sealing?.table.find(k0, k1, k2, k3) !== true || this.#sealing.table.offset !== offset)
      return false;
    const { table, run } = this.#sealing;
    table.forget();
    const bucket = k0 >>> (32 - run.bits);
    // Part of the table may be written already. The run counts all of it.
    if (this.#runs.holds(run, bucket)) this.#runs.dropFrom(run, bucket, (one) => one === offset);
    else this.#runs.lose(run, 1);
    return true;
  }

  #foundIn(table: HotTable): true {
    this.offset = table.offset;
    this.digest = table.digest;
    return true;
  }

  #freeze(): void {
    const run = this.#runs.file.create({
      level: 0,
      keys: this.#hot.count,
      firstOffset: this.sealedTo + 1,
      lastOffset: this.#lastOffset,
    });
    this.#sealing = { table: this.#hot, run };
    this.#hot = this.#spare ?? new HotTable(this.#shape.hotKeysMax);
    this.#spare = null;
    this.#sealDebt = 0;
  }

  #sealSome({ run, table }: Sealing): void {
    const { file } = this.#runs;
    const from = run.filled;
    const to = Math.min(2 ** run.bits, from + Math.floor(this.#sealDebt));
    this.#sealDebt -= to - from;
    if (from === 0) file.begin(run);
    for (let bucket = from; bucket < to; bucket++) {
      file.write(run, bucket, sortedEntries(table.entriesOf(bucket, run.bits)));
    }
    file.writeFilterParts(run, from, to);
    file.fill(run, to);
    this.#onCommit.push(() => {
      run.filled = to;
      if (!isWhole(run)) return;
      this.#runs.add(run);
      this.#sealing = null;
      this.#bareKeys.dropUpTo(run.lastOffset);
      table.clear();
      this.#spare = table;
    });
  }
}
