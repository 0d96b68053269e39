import type { KeyIndex } from './key-index.ts';
import type { Run } from './key-runs.ts';
import type { OffsetSet } from '../../offset-set.ts';

/** Keys' worth of merging in one transaction while a pass waits. */
const KEYS_WORTH = 4096;

/** The sizes of a pass. Tests use small ones. */
export interface PassShape {
  /** Work of one transaction: keys in no run, and buckets of runs. */
  readonly keysMax: number;
  readonly bucketsMax: number;
  /** Of the keys of a run above the lowest level, so many must be meant for it to be rewritten. */
  readonly shareMin: number;
}

/** A transaction takes a few milliseconds, and the rewriting of runs costs an id no more than that of sixteen. */
const PASS_SHAPE: PassShape = { keysMax: 1024, bucketsMax: 128, shareMin: 1 / 16 };

/** What a step has done. */
export interface Forgotten {
  readonly ids: number;
  /** Of the events whose ids they were. */
  readonly offsets: readonly number[];
  /** To be called once the transaction is durable. */
  readonly durable: () => void;
}

/**
 * Forgets the keys of many events without a text, in small steps, each in a transaction. In: their offsets, none of which is
 * above the log's end as of the first step. Out: how many keys each step has forgotten; those that are forgotten
 * already do not count.
 *
 * States: *unsealed*, in which it looks through the keys that are in no run; then *waiting* while a run is being merged into
 * one with larger buckets; then *sweeping* (sweep.ts); then *done*. Seals may complete at any time: the keys that are in a new run
 * by the time of the sweep are found there, and those that come later were looked at before.
 *
 * A large run of which few keys are meant is passed over: to rewrite it would cost more than it gives back, and the
 * ids may be known longer. `passedOver` is the first offset among these.
 */
export class ForgetPass {
  /** Every key of a lower offset that was meant is forgotten. Above all offsets if no run was passed over. */
  passedOver = Infinity;
  readonly #index: KeyIndex;
  readonly #meant: OffsetSet;
  readonly #shape: PassShape;
  #state: 'unsealed' | 'waiting' | 'sweeping' | 'done' = 'unsealed';
  /** Of the rows of keys in no run, while *unsealed*. */
  #after = -1;
  #position = 0;
  /** By the id of a run. */
  readonly #isSought = new Map<number, boolean>();

  constructor(index: KeyIndex, meant: OffsetSet, shape: PassShape = PASS_SHAPE) {
    this.#index = index;
    this.#meant = meant;
    this.#shape = shape;
  }

  get isDone(): boolean {
    return this.#state === 'done';
  }

  /** Ends the pass, however far it is. */
  end(): void {
    if (this.#state === 'waiting' || this.#state === 'sweeping') this.#index.endSweep();
    this.#state = 'done';
  }

  /** Does one transaction's worth. */
  some(): Forgotten {
    switch (this.#state) {
      case 'unsealed':
        return this.#unsealed();
      case 'waiting':
        this.#index.step(KEYS_WORTH);
        return { ids: 0, offsets: [], durable: () => this.#wait() };
      case 'sweeping':
        return this.#sweep();
      case 'done':
        return { ids: 0, offsets: [], durable: () => {} };
    }
  }

  #unsealed(): Forgotten {
    const { offsets, resumeAfter } = this.#index.forgetUnsealed(
      this.#after,
      this.#meant.last,
      (offset) => this.#meant.has(offset),
      this.#shape.keysMax,
    );
    const durable = (): void => {
      if (resumeAfter === null) this.#wait();
      else this.#after = resumeAfter;
    };
    return { ids: offsets.length, offsets, durable };
  }

  #wait(): void {
    if (this.#state === 'unsealed') this.#index.beginSweep();
    this.#state = this.#index.isShrinking ? 'waiting' : 'sweeping';
    if (this.#state === 'sweeping' && !this.#index.runs.some((run) => this.#seeks(run))) this.end();
  }

  #sweep(): Forgotten {
    const offsets: number[] = [];
    const { ids, position } = this.#index.sweep({
      position: this.#position,
      isMeant: (offset) => {
        const isMeant = this.#meant.has(offset);
        if (isMeant) offsets.push(offset);
        return isMeant;
      },
      isSought: (run) => this.#seeks(run),
      bucketsMax: this.#shape.bucketsMax,
    });
    const durable = (): void => {
      if (position === null) this.end();
      else this.#position = position;
    };
    return { ids, offsets, durable };
  }

  #seeks(run: Readonly<Run>): boolean {
    let isSought = this.#isSought.get(run.id);
    if (isSought === undefined) {
      const { count, first } = this.#meant.range(run.firstOffset, run.lastOffset);
      isSought = count > 0 && (run.level === 0 || count >= run.keys * this.#shape.shareMin);
      if (count > 0 && !isSought) this.passedOver = Math.min(this.passedOver, first!);
      this.#isSought.set(run.id, isSought);
    }
    return isSought;
  }
}
