import type { DatabaseSync } from 'node:sqlite';
import { ENTRY_WORDS, offsetAt } from './hot-table.ts';
import { type IndexShape, LEVEL_MAX, MERGE_RUNS } from './index-shape.ts';
import { type KeyBlock, entriesWithout, sortedEntries } from './key-block.ts';
import { type Run, RunFile, firstBucket, isWhole, runProblems } from './key-runs.ts';

/** So many times its keys may be in a run whose keys are not a table's, because a filter for 80 keys is still a good one. */
const FULL_MAX = 1.25;

/**
 * The runs: key blocks in the file, which the index searches through their filters. In: runs that a seal has completed. Out: these,
 * and the fewer and larger ones that they become.
 *
 * Eight runs of a level are merged into one, which is of the next level unless so many of their keys are forgotten that a
 * lower one has room for the others. A run that has become too large for its keys in this way is merged alone, into one of
 * the level below; and one without keys goes. A merge moves one bucket after the other: those below its cursor are
 * only in the new run, those above only in the old ones. If the process dies, the merge resumes from the last commit.
 *
 * Invariants: each key is in one run, in one bucket. The newest run stays, because its last offset tells up to where keys
 * are in runs. As long as somebody sweeps, buckets are only merged into buckets that are no larger: so what lies before a sweep's
 * position stays before it.
 */
export class RunLevels {
  /** How many sweeps are under way (sweep.ts). */
  sweeps = 0;

  readonly file: RunFile;
  readonly #shape: IndexShape;
  /** Newest first. */
  #runs: Run[];
  /** Whether a run has come or lost keys since the last look for merges that are due. */
  #isChanged = true;
  /** The numbers of keys before the transaction, of the runs in which it has forgotten some. */
  readonly #keysBefore = new Map<Run, number>();

  constructor(db: DatabaseSync, shape: IndexShape) {
    this.#shape = shape;
    this.file = new RunFile(db, shape.baseBits);
    this.#runs = this.file.load();
    this.startMerges();
  }

  /** The runs hold every key up to this offset. */
  get sealedTo(): number {
    return this.#runs.reduce((offset, run) => Math.max(offset, run.lastOffset), 0);
  }

  /** The number of all keys. The target of a merge counts those of its sources from the start. */
  get keys(): number {
    return this.#runs.reduce((sum, run) => sum + (run.into === null ? run.keys : 0), 0);
  }

  /** Buckets of the lowest level, as a power of two. */
  get baseBits(): number {
    return this.#shape.baseBits;
  }

  get all(): readonly Run[] {
    return this.#runs;
  }

  /** Whether runs are being merged, or one is to go. */
  get isMerging(): boolean {
    return this.#runs.some((run) => !isWhole(run) || this.#isEmpty(run));
  }

  /** Whether a run is being merged into one with larger buckets. */
  get isShrinking(): boolean {
    return this.#runs.some((run) => run.into !== null && run.into.level < run.level);
  }

  begin(): void {
    this.#keysBefore.clear();
  }

  rolledBack(): void {
    for (const [run, keys] of this.#keysBefore) run.keys = keys;
  }

  /** Problems of the runs themselves, each with its place. */
  *problems(): Generator<string> {
    for (const run of this.#runs) yield* runProblems(this.file, run);
  }

  /** Takes a complete run, which is the newest. */
  add(run: Run): void {
    this.#runs.unshift(run);
    this.#isChanged = true;
  }

  /** Forgets the key of this offset that is in a run. */
  forget(k0: number, offset: number): void {
    for (const run of this.#runs) {
      const bucket = k0 >>> (32 - run.bits);
      if (this.holds(run, bucket) && this.dropFrom(run, bucket, (one) => one === offset) > 0) return;
    }
    throw new Error(`no run holds the key of offset ${offset}`);
  }

  /** Whether the bucket is written, and not moved to another run. */
  holds(run: Readonly<Run>, bucket: number): boolean {
    return bucket >= firstBucket(run) && bucket < run.filled;
  }

  /** Writes a bucket again without the entries of these offsets. Returns how many there were. */
  dropFrom(run: Run, bucket: number, isMeant: (offset: number) => boolean): number {
    const block = this.file.read(run, bucket);
    const rest = entriesWithout(block, (_, at) => isMeant(offsetAt(block, at)));
    if (rest === block) return 0;
    this.file.rewrite(run, bucket, rest);
    const dropped = (block.length - rest.length) / ENTRY_WORDS;
    this.lose(run, dropped);
    return dropped;
  }

  /** Counts keys of the run that are forgotten. */
  lose(run: Run, keys: number): void {
    for (const one of run.into === null ? [run] : [run, run.into]) {
      if (!this.#keysBefore.has(one)) this.#keysBefore.set(one, one.keys);
      one.keys -= keys;
      this.#isChanged = true;
      this.file.count(one);
    }
  }

  /** Starts what is due: that runs shrink, and that the oldest eight of a level are merged. */
  startMerges(): void {
    if (!this.#isChanged) return;
    // While somebody sweeps, what could shrink must wait.
    this.#isChanged = this.sweeps > 0;
    for (let level = 0; level <= LEVEL_MAX; level++) {
      for (const run of this.#waiting(level))
        if (this.#levelFor([run]) < level) this.#merge([run], level - 1);
      const waiting = this.#waiting(level);
      if (waiting.length < MERGE_RUNS) continue;
      const sources = waiting.slice(-MERGE_RUNS);
      const target = this.#levelFor(sources);
      // There is none above the last level, so its runs are merged only if there is room on it.
      if (target <= LEVEL_MAX) this.#merge(sources, target);
    }
  }

  /** Does some of the merging that is under way, in units of one bucket of each of eight runs. Returns what to do once it is durable. */
  *mergeSome(units: number): Generator<() => void> {
    for (const run of this.#runs) {
      if (this.#isEmpty(run)) yield this.#drop(run);
      else if (!isWhole(run)) yield this.#fill(run, units);
    }
  }

  #waiting(level: number): Run[] {
    return this.#runs.filter((run) => run.level === level && isWhole(run) && run.into === null);
  }

  /** The level of the run that these, all of one level, should become: at most one below or above their own. */
  #levelFor(sources: readonly Run[]): number {
    const { level } = sources[0]!;
    const keys = keysOf(sources);
    const capacity = this.#shape.hotKeysMax * MERGE_RUNS ** level;
    if (keys > capacity * FULL_MAX && sources.length > 1) return level + 1;
    const isSmall = keys <= (capacity / MERGE_RUNS) * FULL_MAX;
    return level > 0 && this.sweeps === 0 && isSmall ? level - 1 : level;
  }

  #merge(sources: readonly Run[], level: number): void {
    const target = this.file.create({
      level,
      keys: keysOf(sources),
      firstOffset: Math.min(...sources.map((run) => run.firstOffset)),
      lastOffset: Math.max(...sources.map((run) => run.lastOffset)),
    });
    for (const source of sources) source.into = target;
    this.#runs.push(target);
  }

  /** Whether the run has no keys and is as small as runs are; larger ones shrink first, in small steps. */
  #isEmpty(run: Run): boolean {
    return (
      run.keys === 0 && run.level === 0 && isWhole(run) && run.into === null && run.lastOffset < this.sealedTo
    );
  }

  #drop(run: Run): () => void {
    this.file.dropBlocks(run);
    this.file.drop(run);
    return () => (this.#runs = this.#runs.filter((one) => one !== run));
  }

  #fill(target: Run, units: number): () => void {
    const sources = this.#runs.filter((run) => run.into === target);
    const { bits } = sources[0]!;
    // What is moved at once: a bucket of whichever run has the larger ones.
    const movedBits = Math.min(bits, target.bits);
    const perTarget = 2 ** (target.bits - movedBits);
    const perSource = 2 ** (bits - movedBits);
    const share = Math.ceil((units * MERGE_RUNS) / (sources.length * perSource));
    const from = target.filled / perTarget;
    const to = Math.min(2 ** movedBits, from + share);
    if (from === 0) {
      this.file.begin(target);
      for (const source of sources) this.file.join(source, target);
    }
    for (let moved = from; moved < to; moved++) this.#move(target, sources, moved, perSource, perTarget);
    const filled = to * perTarget;
    this.file.writeFilterParts(target, target.filled, filled);
    this.file.fill(target, filled);
    const done = filled === 2 ** target.bits;
    if (done) for (const source of sources) this.file.drop(source);
    return () => {
      target.filled = filled;
      if (!done) return;
      this.#runs = this.#runs.filter((run) => run.into !== target);
      this.#isChanged = true;
    };
  }

  /** Moves the entries with the same highest bits, `moved`, from the buckets of every source into those of the target. */
  #move(target: Run, sources: readonly Run[], moved: number, perSource: number, perTarget: number): void {
    const blocks: KeyBlock[] = [];
    for (const source of sources) {
      for (let bucket = moved * perSource; bucket < (moved + 1) * perSource; bucket++) {
        blocks.push(this.file.read(source, bucket));
        this.file.dropBlock(source, bucket);
      }
    }
    const sorted = sortedEntries(joined(blocks));
    let from = 0;
    for (let part = moved * perTarget; part < (moved + 1) * perTarget; part++) {
      let to = from;
      while (to < sorted.length && sorted[to]! >>> (32 - target.bits) === part) to += ENTRY_WORDS;
      this.file.write(target, part, sorted.slice(from, to));
      from = to;
    }
  }
}

function keysOf(runs: readonly Run[]): number {
  return runs.reduce((sum, run) => sum + run.keys, 0);
}

function joined(blocks: readonly KeyBlock[]): Int32Array {
  const words = new Int32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let end = 0;
  for (const block of blocks) {
    words.set(block, end);
    end += block.length;
  }
  return words;
}
