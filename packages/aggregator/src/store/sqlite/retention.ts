import { allSteps } from '../all-steps.ts';
import { compileBareTopics } from '../policies.ts';
import type { Erased, ExpireQuery, ExpiredSome, Expiry, Policy, PutPolicy } from '../retention-store.ts';
import { BlockReader } from './block-reader.ts';
import { keptOn } from './due.ts';
import { type Exchanged, ExpiryPass, directoryAt, exchangeBlock, preparing } from './expiry-pass.ts';
import type { OpenFile } from './open-file.ts';
import { policiesIn, putPolicy, removePolicy } from './policy-rows.ts';
import { type TopicFilter, topicFilterKey } from '../topic-filter.ts';
import { TopicIds } from './topic-ids.ts';

/** So long blocks are prepared in one step of expiry, milliseconds, because appends wait for it. */
const PREPARE_MS = 1.5;

/** A pass that nobody has gone on with for so long may be given up for another one, milliseconds. */
const PASS_IDLE_MS = 1000;

/** Filters of which is remembered how far all is expired. */
const FILTERS_KEPT_MAX = 256;

/** What a step has done, and what to tell of it: null if nothing expired. */
export type ExpiredStep = ExpiredSome & { readonly told: Expiry | null };
export type ErasedStep = Erased & { readonly told: Expiry | null };

const NOTHING_YET: ExpiredStep = { events: 0, bytes: 0, isDone: false, told: null };

/**
 * Lets go of texts, in the writer's thread. In: which events are to expire. Out: their blocks without the texts, the counts
 * and, where a start could not compute them any more, the keys, all in one short transaction (expiry-pass.ts).
 *
 * Invariant: an event never becomes kept again, so what was once found to be expired need not be looked at again.
 */
export class Retention {
  readonly #file: OpenFile;
  readonly #topicIds: TopicIds;
  readonly #prepareMs: number;
  #pass: ExpiryPass | null = null;
  /** By filter: nothing on its topics is kept up to this offset. */
  readonly #passed = new Map<string, number>();

  /** @param prepareMs tests take less */
  constructor(file: OpenFile, prepareMs = PREPARE_MS) {
    this.#file = file;
    this.#prepareMs = prepareMs;
    this.#topicIds = new TopicIds(file.db);
    this.#useBare();
  }

  /** @param changed called in the transaction that changes something */
  put(policy: Policy, changed: () => void = () => {}): PutPolicy {
    const outcome = this.#file.appender.transaction(() => {
      const done = putPolicy(this.#file.db, policy);
      if (done.kind === 'created' || done.kind === 'changed') changed();
      return done;
    });
    this.#useBare();
    return outcome;
  }

  /** @param changed as above */
  remove(name: string, changed: () => void = () => {}): boolean {
    const isRemoved = this.#file.appender.transaction(() => {
      const done = removePolicy(this.#file.db, name);
      if (done) changed();
      return done;
    });
    this.#useBare();
    return isRemoved;
  }

  /**
   * Makes the oldest of the meant events expired, in short steps: one prepares blocks, another exchanges them. A step before the
   * last one is durable with whatever is committed after it.
   */
  expire(query: ExpireQuery): ExpiredStep {
    const { appender } = this.#file;
    const { upTo, ...filter } = query;
    const pass = this.#passOf(query);
    const endMs = pass === this.#pass ? performance.now() + this.#prepareMs : Number.POSITIVE_INFINITY;
    if (!pass.isReady(upTo)) {
      pass.prepare(upTo, this.#topicIds.of(filter), endMs);
      if (!pass.isReady(upTo) || performance.now() > endMs) return NOTHING_YET;
    }
    const isLast = pass.isDone(upTo);
    const exchange = (): Exchanged => pass.exchange();
    let gone: Exchanged;
    try {
      gone = isLast ? appender.synced(exchange) : appender.unsynced(exchange);
    } catch (error) {
      this.#drop(pass);
      throw error;
    }
    this.#keepPassed(pass.key, pass.passed);
    // Not if something has changed that was prepared.
    const isDone = pass.isDone(upTo);
    if (isDone) this.#drop(pass);
    const { events, bytes, from, to } = gone;
    const told = events === 0 ? null : { from, upTo: to };
    return { events, bytes, isDone, told };
  }

  /**
   * Makes the event with this id expired, and forgets the id if that is asked for. Null if the id is not known.
   *
   * @param at the offset that the event must have; any if left out
   */
  erase(topic: string, eventId: string, isForgotten: boolean, at?: number): ErasedStep | null {
    const { appender, hasher, index } = this.#file;
    return appender.transaction(() => {
      hasher.hashNames(topic, eventId);
      const { k0, k1, k2, k3 } = hasher;
      if (!index.find(k0, k1, k2, k3)) return null;
      const { offset } = index;
      if (at !== undefined && offset !== at) return null;
      const block = new BlockReader(this.#file.db).with(offset);
      const place = offset - block.firstOffset;
      const receivedMs = block.receivedMs(place);
      const prepared = allSteps(preparing(this.#file, block, (i) => i === place));
      const wasKept = prepared !== null;
      appender.books.settle();
      if (wasKept) exchangeBlock(this.#file, prepared, directoryAt(this.#file.db));
      if (isForgotten) {
        index.forget(k0, k1, k2, k3);
        appender.repeats.forget([offset]);
      }
      appender.books.settle();
      return { offset, receivedMs, wasKept, told: wasKept ? { from: offset, upTo: offset } : null };
    });
  }

  #useBare(): void {
    this.#file.appender.books.useBare(compileBareTopics(policiesIn(this.#file.db)));
  }

  /** The pass under way if it can go on, or a new one. */
  #passOf({ upTo, ...filter }: ExpireQuery): ExpiryPass {
    const key = topicFilterKey(filter);
    const nowMs = performance.now();
    const underWay = this.#pass;
    const isSame = underWay?.key === key;
    if (isSame) {
      underWay.usedMs = nowMs;
      if (upTo >= underWay.upTo) return underWay;
    }
    const pass = new ExpiryPass(this.#file, key, this.#passed.get(key) ?? this.#firstPassed(filter));
    // Another one under way must come to its end: then this call does all of its work at once.
    if (underWay !== null && !isSame && nowMs < underWay.usedMs + PASS_IDLE_MS) return pass;
    pass.usedMs = nowMs;
    underWay?.release();
    this.#pass = pass;
    return pass;
  }

  /** Where nothing is kept, what comes next still is to expire. */
  #firstPassed(filter: TopicFilter): number {
    const { appender, db } = this.#file;
    appender.settle();
    const { firstOffset } = keptOn(db, this.#topicIds.of(filter), new Map());
    return Math.min(firstOffset - 1, appender.lastOffset);
  }

  #drop(pass: ExpiryPass): void {
    pass.release();
    if (pass === this.#pass) this.#pass = null;
  }

  #keepPassed(key: string, passed: number): void {
    this.#passed.delete(key);
    this.#passed.set(key, passed);
    if (this.#passed.size > FILTERS_KEPT_MAX) this.#passed.delete(this.#passed.keys().next().value!);
  }
}
