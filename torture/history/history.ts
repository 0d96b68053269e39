import { BrokenPromise } from '../broken-promise.ts';
import { Moments, type What } from './moments.ts';
import type { Find, Publish, Read } from './operations.ts';

/**
 * Decides whether a history of operations of many clients is *linearizable*: whether each operation can be given one moment
 * between its start and its end, so that all of them, done one after another in that order on a log with unique keys, would
 * have had the results that they had. Such a log has one end; it only grows, one event at a time; a key gets in once.
 *
 * In general this takes a search through the orders of the operations (Gibbons and Korach; porcupine does it). Here the
 * offsets tell the order. Let T(o) be the moment at which the log came to hold offset o. Then
 * - T ascends with o, since offsets are in the order of the log;
 * - a publish that was told `accepted` at o has T(o) between its start and its end;
 * - whoever was told of o (as a duplicate, by a read, by a find) ended after T(o);
 * - whoever was told that there is nothing above o (a read to the end, a find that found nothing) began before the next T;
 * - a publish without an answer began before T of whatever it turns out to have stored.
 * Each of these bounds one T from below or from above, and none of them two at once: a log that held m events at a moment of
 * an operation from s to e is one with T(m) ≤ e and T(m + 1) ≥ s. So a history is linearizable if, and only if, moments
 * can be chosen within the bounds so that they ascend, and the earliest choice for each offset in turn (`Moments`) finds
 * them if there are any. What the bounds do not say is said by the offsets themselves: one key and one content for each,
 * none skipped by a read that went beyond it, one `accepted` for each key.
 *
 * From this follow, without a rule of their own: real-time order (an event acknowledged before another was sent has the lower
 * offset), reads that see what was acknowledged before, through any instance, and never less than an earlier read saw, and
 * no holes that fill later.
 *
 * In: operations, in any order. Out: a BrokenPromise at the first that contradicts the others, at the latest from `check`.
 */
export class History {
  /** How many operations there were. */
  operations = 0;
  readonly #moments = new Moments();
  readonly #keyAt = new Map<number, string>();
  readonly #offsetOf = new Map<string, number>();
  #lastOffset = 0;
  readonly #contentAt = new Map<number, string>();
  readonly #accepted = new Set<string>();
  /** Keys of publishes without an answer, and when the first of these began. */
  readonly #unanswered = new Map<string, number>();
  /** Verdicts that depend on what is stored, where that is not known yet. */
  #claims: {
    readonly offset: number;
    readonly content: string;
    readonly isSame: boolean;
    readonly what: What;
  }[] = [];
  /** Offsets that a read went past. */
  #skipped: { readonly first: number; readonly last: number; readonly what: What }[] = [];
  /** Keys that were not found, and when the search began. */
  #missing: { readonly key: string; readonly from: number; readonly what: What }[] = [];
  /** Offsets that came with the one below, in one publish. */
  readonly #joined = new Set<number>();
  readonly #ends: { readonly offset: number; readonly from: number; readonly what: What }[] = [];
  readonly #mayBeGone: (key: string, offset: number) => boolean;

  /** @param mayBeGone whether an event may have been let go of, so that whoever reads passes over it */
  constructor(mayBeGone: (key: string, offset: number) => boolean = () => false) {
    this.#mayBeGone = mayBeGone;
  }

  publish({ client, from, to, events, results }: Publish): void {
    this.operations += 1;
    if (results === null) {
      for (const { key } of events)
        this.#unanswered.set(key, Math.min(from, this.#unanswered.get(key) ?? Infinity));
      return;
    }
    let before: number | undefined;
    for (const [i, { verdict, offset }] of results.entries()) {
      const { key, content } = events[i]!;
      const what = () => `${client} was told ${verdict} for ${key} at offset ${offset} (${spanOf(from, to)})`;
      this.#holds(offset, key, what);
      this.#moments.notAfter(offset, to, what);
      if (verdict !== 'accepted') {
        this.#claims.push({ offset, content, isSame: verdict === 'duplicate', what });
        continue;
      }
      if (this.#accepted.has(key)) throw new BrokenPromise(`${key} accepted once`, what());
      this.#accepted.add(key);
      this.#contains(offset, content, what);
      this.#moments.notBefore(offset, from, what);
      if (before !== undefined && offset !== before + 1)
        throw new BrokenPromise(
          `the accepted events of a publish side by side, the next at ${before + 1}`,
          what(),
        );
      if (before !== undefined) this.#joined.add(offset);
      before = offset;
    }
  }

  read({ client, from, to, after, events, isToEnd }: Read): void {
    this.operations += 1;
    let last = after;
    for (const { offset, key, content } of events) {
      const what = () => `${client} read ${key} at offset ${offset} (${spanOf(from, to)})`;
      if (offset <= last) throw new BrokenPromise(`an offset above ${last}`, what());
      if (offset > last + 1) this.#skipped.push({ first: last + 1, last: offset - 1, what });
      this.#holds(offset, key, what);
      this.#contains(offset, content, what);
      last = offset;
    }
    const what = () => `${client} read up to ${last}${isToEnd ? ', the end' : ''} (${spanOf(from, to)})`;
    if (last > 0) this.#moments.notAfter(last, to, what);
    if (isToEnd) this.#ends.push({ offset: last, from, what });
  }

  find({ client, from, to, key, offset }: Find): void {
    this.operations += 1;
    const what = () => `${client} looked for ${key} and found ${offset ?? 'nothing'} (${spanOf(from, to)})`;
    if (offset === null) this.#missing.push({ key, from, what });
    else {
      this.#holds(offset, key, what);
      this.#moments.notAfter(offset, to, what);
    }
  }

  /** Judges all operations so far together. Throws a BrokenPromise if no order explains them. */
  check(): void {
    this.#skipped = this.#skipped.filter(({ first, last, what }) => {
      let areKnown = true;
      for (let offset = first; offset <= last; offset++) {
        const key = this.#keyAt.get(offset);
        if (key === undefined) areKnown = false;
        else if (!this.#mayBeGone(key, offset))
          throw new BrokenPromise(`no hole: offset ${offset} holds ${key}`, what());
      }
      return !areKnown;
    });
    for (const { offset, content, isSame, what } of this.#claims) {
      const stored = this.#contentAt.get(offset);
      if (stored !== undefined && (stored === content) !== isSame)
        throw new BrokenPromise(
          `${isSame ? 'a conflict' : 'a duplicate'}: stored is ${stored}, sent was ${content}`,
          what(),
        );
    }
    this.#claims = this.#claims.filter(({ offset }) => !this.#contentAt.has(offset));
    for (const { key, from, what } of this.#missing) {
      const offset = this.#offsetOf.get(key);
      if (offset !== undefined) this.#moments.notBefore(offset, from, what);
    }
    this.#missing = this.#missing.filter(({ key }) => !this.#offsetOf.has(key));
    for (const { offset, from, what } of this.#ends) {
      // Nobody could see what was let go of, and an event of a publish without an answer may be known to nobody: the next one that
      // is known and kept is the first that was not there yet.
      let next = offset + 1;
      let isAmid = this.#joined.has(next);
      while (next <= this.#lastOffset && this.#tellsNothing(next))
        isAmid = this.#joined.has(++next) && isAmid;
      this.#moments.notBefore(next, from, what);
      if (isAmid) throw new BrokenPromise('no end of the log amid a publish', what());
    }
    for (const [key, offset] of this.#offsetOf) {
      if (this.#accepted.has(key)) continue;
      const from = this.#unanswered.get(key);
      if (from === undefined)
        throw new BrokenPromise('of every event one publish that stored it', `${key} at offset ${offset}`);
      this.#moments.notBefore(offset, from, () => `${key} was sent from ${timeOf(from)} on`);
    }
    this.#moments.check();
  }

  #tellsNothing(offset: number): boolean {
    const key = this.#keyAt.get(offset);
    return key === undefined || this.#mayBeGone(key, offset);
  }

  #holds(offset: number, key: string, what: What): void {
    const at = this.#keyAt.get(offset);
    if (at !== undefined && at !== key)
      throw new BrokenPromise(`${at} at offset ${offset}, as told before`, what());
    const known = this.#offsetOf.get(key);
    if (known !== undefined && known !== offset)
      throw new BrokenPromise(`${key} at offset ${known}, as told before`, what());
    this.#keyAt.set(offset, key);
    this.#lastOffset = Math.max(this.#lastOffset, offset);
    this.#offsetOf.set(key, offset);
  }

  #contains(offset: number, content: string, what: What): void {
    const stored = this.#contentAt.get(offset);
    if (stored !== undefined && stored !== content)
      throw new BrokenPromise(`${stored} at offset ${offset}, as before`, `${content}: ${what()}`);
    this.#contentAt.set(offset, content);
  }
}

function spanOf(from: number, to: number): string {
  return `${timeOf(from)} to ${timeOf(to)}`;
}

function timeOf(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
