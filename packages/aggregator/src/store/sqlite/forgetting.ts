import type { DatabaseSync } from 'node:sqlite';
import { BlockReader } from './block-reader.ts';
import type { ForgetQuery, ForgottenSome } from '../retention-store.ts';
import { type TopicFilter, topicFilterKey } from '../topic-filter.ts';
import type { Appender } from './append.ts';
import { ForgetPass } from './keys/forget-pass.ts';
import type { KeyIndex } from './keys/key-index.ts';
import { OffsetSet } from '../offset-set.ts';
import { SETTLED_AT_ONCE } from './repeats/repeats.ts';
import { TopicIds } from './topic-ids.ts';

/** How long the log is read in one step, milliseconds: an append may wait for it. */
const READ_MS = 4;

/** A round that nobody has gone on with for so long is given up, milliseconds. */
const ROUND_IDLE_MS = 60_000;

/** Memory for the offsets of one pass, bytes; it takes so much for 268 million events if some stay on each stretch of 65,536. */
const PASS_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Forgets ids by age. In: which topics, and the time before which events were committed. Out: how many ids each step has
 * forgotten.
 *
 * The blocks tell which events have no text, and the index which of these are forgotten already: they have no key. A round reads
 * the blocks into a set of offsets, in bounded steps, and has a pass forget these (keys/forget-pass.ts); then it goes on
 * with later blocks. All of it is in memory: a process that dies begins again, and counts nothing twice.
 */
export class Forgetting {
  readonly #appender: Appender;
  readonly #index: KeyIndex;
  readonly #blocks: BlockReader;
  readonly #topicIds: TopicIds;
  /** By the name of their filter. */
  readonly #rounds = new Map<string, Round>();
  /** For each filter, the offset below which no id on its topics can be forgotten any more. */
  readonly #settledBelow = new Map<string, number>();

  constructor(db: DatabaseSync, appender: Appender, index: KeyIndex) {
    this.#appender = appender;
    this.#index = index;
    this.#blocks = new BlockReader(db);
    this.#topicIds = new TopicIds(db);
  }

  /**
   * Does a step, of a few milliseconds. A round goes on with the time with which it began, unless a call asks for an earlier one:
   * so it comes to an end although the time of each call is a little later.
   */
  some({ committedBeforeMs, ...filter }: ForgetQuery): ForgottenSome {
    const name = topicFilterKey(filter);
    let round = this.#rounds.get(name);
    if (round === undefined || committedBeforeMs < round.committedBeforeMs) {
      const next = this.#settledBelow.get(name) ?? 1;
      const lastUsedMs = performance.now();
      round = { name, filter, committedBeforeMs, next, settledBelow: Infinity, meant: new OffsetSet(), pass: null, lastUsedMs }; // prettier-ignore
      this.#giveUp(name, lastUsedMs - ROUND_IDLE_MS);
      this.#rounds.set(name, round);
    }
    round.lastUsedMs = performance.now();
    return this.#step(round);
  }

  /** Gives up the round of this name, and those that have not been used since a time. */
  #giveUp(name: string, idleSinceMs: number): void {
    for (const round of this.#rounds.values()) {
      if (round.name !== name && round.lastUsedMs >= idleSinceMs) continue;
      round.pass?.end();
      this.#rounds.delete(round.name);
    }
  }

  #step(round: Round): ForgottenSome {
    if (round.pass === null) {
      if (!this.#read(round)) return { ids: 0, isDone: false };
      if (round.meant.last === 0) return this.#end(round, 0);
      round.pass = new ForgetPass(this.#index, round.meant);
    }
    const { pass } = round;
    const { ids, durable } = this.#appender.transaction(() => {
      const { repeats } = this.#appender;
      const forgotten = pass.some();
      // What is pending would be looked through again in each step.
      if (repeats.arePending) repeats.settleSome(SETTLED_AT_ONCE);
      if (forgotten.offsets.length > 0) repeats.forget(forgotten.offsets);
      return forgotten;
    });
    durable();
    if (!pass.isDone) return { ids, isDone: false };
    round.settledBelow = Math.min(round.settledBelow, pass.passedOver);
    round.meant = new OffsetSet();
    round.pass = null;
    return round.isRead === true ? this.#end(round, ids) : { ids, isDone: false };
  }

  #end(round: Round, ids: number): ForgottenSome {
    this.#settledBelow.set(round.name, Math.min(round.settledBelow, round.next));
    this.#rounds.delete(round.name);
    return { ids, isDone: true };
  }

  /** Adds to what is meant. Returns whether that is all, or enough for a pass. */
  #read(round: Round): boolean {
    const until = performance.now() + READ_MS;
    const { meant, committedBeforeMs } = round;
    const topicIds = this.#topicIds.of(round.filter);
    const range = { order: 'asc', after: round.next - 1, upTo: this.#appender.lastOffset } as const;
    for (const block of this.#blocks.of(range, topicIds)) {
      for (let i = Math.max(0, round.next - block.firstOffset); i < block.count; i++) {
        const offset = block.firstOffset + i;
        // Later events were committed later.
        if (block.receivedMs(i) >= committedBeforeMs) return this.#readUpTo(round, offset);
        if (topicIds?.has(block.topicId(i)) === false) continue;
        if (block.isKept(i)) round.settledBelow = Math.min(round.settledBelow, offset);
        else meant.add(offset);
      }
      round.next = block.lastOffset + 1;
      if (meant.bytes > PASS_BYTES_MAX) return true;
      if (performance.now() > until) return false;
    }
    return this.#readUpTo(round, this.#appender.lastOffset + 1);
  }

  #readUpTo(round: Round, next: number): true {
    round.next = next;
    round.isRead = true;
    return true;
  }
}

interface Round {
  readonly name: string;
  readonly filter: TopicFilter;
  readonly committedBeforeMs: number;
  /** The offset up to which the log has not been read, and whether that is as far as the round goes. */
  next: number;
  isRead?: true;
  /** The first offset that a later round must look at again, as far as is known. */
  settledBelow: number;
  meant: OffsetSet;
  /** While there is one it forgets what is meant; otherwise the log is read. */
  pass: ForgetPass | null;
  lastUsedMs: number;
}
