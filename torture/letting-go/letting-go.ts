import { BrokenPromise } from '../broken-promise.ts';
import { BOUND_FIRST, type Fate, fateOf } from './topics.ts';

/**
 * Whether an event's text is there. `perhaps`: a request that lets go of it has had no answer, or a policy lets go of it at a
 * time of its own.
 */
export type Standing = 'kept' | 'perhaps' | 'gone';

/** An erasure without an answer. */
export interface Doubt {
  readonly k: number;
  readonly topic: string;
  readonly offset: number;
  /** Whether the id was to be forgotten, too. */
  readonly isForgetting: boolean;
}

/** What is known of a topic of which something is let go. */
interface Topic {
  readonly fate: Fate;
  /** Of all events that were stored. */
  readonly offsets: Set<number>;
  readonly erased: Set<number>;
  readonly erasing: Set<number>;
  /** Everything below is gone. */
  goneBelow: number;
  /** Below this something may be gone. */
  perhapsBelow: number;
}

/**
 * What must be true of the events that were let go of, or may have been.
 *
 * In: each event once its offset is known, each request before it is sent and once it is answered, and what a service has to
 * which nobody publishes. Out: where an event stands, and a BrokenPromise on a contradiction. Truncations and policies let go
 * of the oldest events first, so they are one offset for each topic.
 */
export class LettingGo {
  /** All that were asked for. */
  readonly bounds: number[] = [BOUND_FIRST];
  /** The last bound that was answered, followed by those in doubt. */
  #bounds: number[] = [BOUND_FIRST];
  /** The lowest bound that may have been in force since the bounded topics were last compared. */
  #lowestBound = BOUND_FIRST;
  readonly #topics = new Map<string, Topic>();
  #doubts: Doubt[] = [];

  /** The event is stored at this offset, or was. */
  stored(topic: string, offset: number): void {
    this.#topic(topic)?.offsets.add(offset);
  }

  standing(topic: string, offset: number): Standing {
    const known = this.#topic(topic);
    if (known === null) return 'kept';
    if (known.fate === 'bare' || offset < known.goneBelow || known.erased.has(offset)) return 'gone';
    return offset < known.perhapsBelow || known.erasing.has(offset) ? 'perhaps' : 'kept';
  }

  /** How many events of a topic have been stored and how many of these are kept, if nothing is in doubt. */
  countOf(topic: string): { readonly stored: number; readonly kept: number } {
    const offsets = [...(this.#topic(topic)?.offsets ?? [])];
    return { stored: offsets.length, kept: offsets.filter((offset) => this.#isKept(topic, offset)).length };
  }

  truncating(topic: string, before: number): void {
    const known = this.#topic(topic)!;
    known.perhapsBelow = Math.max(known.perhapsBelow, before);
  }

  truncated(topic: string, before: number): void {
    const known = this.#topic(topic)!;
    known.goneBelow = Math.max(known.goneBelow, before);
  }

  erasing(doubt: Doubt): void {
    this.#topic(doubt.topic)!.erasing.add(doubt.offset);
    this.#doubts.push(doubt);
  }

  /** It is answered, or it was found out what became of it. */
  erased(doubt: Doubt, isGone: boolean): void {
    const known = this.#topic(doubt.topic)!;
    known.erasing.delete(doubt.offset);
    if (isGone) known.erased.add(doubt.offset);
    this.#doubts = this.#doubts.filter(({ offset }) => offset !== doubt.offset);
  }

  get doubts(): readonly Doubt[] {
    return this.#doubts;
  }

  bounding(bound: number): void {
    this.bounds.push(bound);
    this.#bounds.push(bound);
    this.#lowestBound = Math.min(this.#lowestBound, bound);
  }

  /** The service says that this is the bound in force. */
  bounded(bound: number): void {
    if (!this.#bounds.includes(bound))
      throw new BrokenPromise(`a bound of ${this.#bounds.join(' or ')} events`, `${bound}`);
    this.#bounds = [bound];
  }

  /** Compares all events of a truncated topic that the service has with those that it must have. */
  compareTruncated(topic: string, found: readonly number[]): void {
    const known = this.#topic(topic)!;
    const first = found[0] ?? Infinity;
    known.goneBelow = Math.max(known.goneBelow, Math.min(first, known.perhapsBelow));
    known.perhapsBelow = known.goneBelow;
    this.#compare([topic], found);
  }

  /** The same for the topics of the policy, which the service has obeyed. */
  compareBounded(topics: readonly string[], found: readonly number[]): void {
    const all = topics.map((topic) => this.#topic(topic)!);
    const before = all.flatMap(({ offsets, goneBelow }) =>
      [...offsets].filter((offset) => offset >= goneBelow),
    ).length;
    const [bound] = this.#bounds as [number];
    const [least, most] = [Math.min(this.#lowestBound, before), Math.min(bound, before)];
    if (found.length < least || found.length > most)
      throw new BrokenPromise(`${least} to ${most} events of ${topics.join(' and ')}`, `${found.length}`);
    this.#lowestBound = bound;
    const first = found[0] ?? Math.max(0, ...all.flatMap(({ offsets }) => [...offsets])) + 1;
    for (const known of all) known.goneBelow = first;
    this.#compare(topics, found);
  }

  #compare(topics: readonly string[], found: readonly number[]): void {
    const expected = topics
      .flatMap((topic) => [...this.#topic(topic)!.offsets].filter((offset) => this.#isKept(topic, offset)))
      .toSorted((a, b) => a - b);
    const [has, must] = [new Set(found), new Set(expected)];
    const missing = expected.filter((offset) => !has.has(offset));
    const more = found.filter((offset) => !must.has(offset));
    if (missing.length > 0 || more.length > 0)
      throw new BrokenPromise(
        `of ${topics.join(' and ')} what was not let go of, ${expected.length} events`,
        `${missing.length} are missing, such as ${missing.slice(0, 5).join()}; ` +
          `${more.length} should be gone, such as ${more.slice(0, 5).join()}`,
      );
  }

  #isKept(topic: string, offset: number): boolean {
    const { fate, goneBelow, erased } = this.#topic(topic)!;
    return fate !== 'bare' && offset >= goneBelow && !erased.has(offset);
  }

  #topic(name: string): Topic | null {
    const fate = fateOf(name);
    if (fate === null) return null;
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = {
        fate,
        offsets: new Set(),
        erased: new Set(),
        erasing: new Set(),
        goneBelow: 0,
        perhapsBelow: fate === 'bounded' ? Infinity : 0,
      };
      this.#topics.set(name, topic);
    }
    return topic;
  }
}
