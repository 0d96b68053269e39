import type { EventBatch } from '../../event/event-batch.ts';
import type { KeyHasher } from '../key-hash.ts';

/** 32-bit words of an identity. */
export const KEY_WORDS = 4;

/**
 * The identities of a group's events, their contents' digests, and which of them are the same. All in flat arrays: a string
 * and an object for each event took a quarter of an instance's time at batches of 100, half of it in collections of garbage
 * (docs/performance.md).
 */
export class GroupKeys {
  readonly count: number;
  /** Of each event its identity, the words in the order of its bytes. */
  readonly words: Int32Array;
  readonly digests: Int32Array;
  /** Of each event the first one with its identity, itself if there is none before. */
  readonly firsts: Int32Array;
  /** How often the hasher's secret had been replaced by then. */
  readonly replaced: number;
  /** An open-addressed table: by the highest bits of an identity its first event, plus 1; 0 is free. Half of it at most is filled. */
  readonly #slots: Int32Array;
  readonly #shift: number;

  constructor(group: EventBatch, hasher: Hasher) {
    const { count } = group;
    const bits = Math.max(1, Math.ceil(Math.log2(count * 2)));
    this.count = count;
    this.replaced = hasher.replaced;
    this.words = new Int32Array(count * KEY_WORDS);
    this.digests = new Int32Array(count);
    this.firsts = new Int32Array(count);
    this.#slots = new Int32Array(2 ** bits);
    this.#shift = 32 - bits;
    for (let i = 0; i < count; i++) {
      hasher.hashKey(group, i);
      const at = i * KEY_WORDS;
      this.words[at] = hasher.k0;
      this.words[at + 1] = hasher.k1;
      this.words[at + 2] = hasher.k2;
      this.words[at + 3] = hasher.k3;
      this.digests[i] = hasher.digest(group, i);
      const slot = this.#slotOf(this.words, at);
      if (this.#slots[slot] === 0) this.#slots[slot] = i + 1;
      this.firsts[i] = this.#slots[slot]! - 1;
    }
  }

  /** The first event with the identity that begins at word `at`, or -1. */
  firstWith(words: Int32Array, at: number): number {
    return this.#slots[this.#slotOf(words, at)]! - 1;
  }

  /** These events in the order of their identities, as bytes; none of them has the same one as another. */
  sorted(events: Int32Array): Int32Array {
    // The first word, and the place in what is left of a number's 53 bits: numbers sort without a function to compare them.
    const numbers = new Float64Array(events.length);
    for (let place = 0; place < events.length; place++) {
      numbers[place] = (this.words[events[place]! * KEY_WORDS]! >>> 0) * PLACES_MAX + place;
    }
    numbers.sort();
    const sorted = new Int32Array(events.length);
    for (let to = 0; to < events.length; to++) {
      const event = events[numbers[to]! % PLACES_MAX]!;
      // Few have the same first word.
      let at = to;
      for (; at > 0 && this.#isBefore(event, sorted[at - 1]!); at--) sorted[at] = sorted[at - 1]!;
      sorted[at] = event;
    }
    return sorted;
  }

  #isBefore(one: number, other: number): boolean {
    for (let word = 0; word < KEY_WORDS; word++) {
      const [mine, its] = [this.words[one * KEY_WORDS + word]!, this.words[other * KEY_WORDS + word]!];
      if (mine !== its) return mine >>> 0 < its >>> 0;
    }
    return false;
  }

  /** Where the identity is, or would be put. */
  #slotOf(words: Int32Array, at: number): number {
    const slots = this.#slots;
    let slot = words[at]! >>> this.#shift;
    for (let there = slots[slot]!; there !== 0; there = slots[slot]!) {
      if (isSame(this.words, (there - 1) * KEY_WORDS, words, at)) break;
      slot = (slot + 1) & (slots.length - 1);
    }
    return slot;
  }
}

type Hasher = Pick<KeyHasher, 'hashKey' | 'digest' | 'k0' | 'k1' | 'k2' | 'k3' | 'replaced'>;

/** Far more than any group has: a number holds 32 bits of a word and 21 of a place. */
const PLACES_MAX = 2 ** 21;

function isSame(some: Int32Array, at: number, others: Int32Array, otherAt: number): boolean {
  for (let word = 0; word < KEY_WORDS; word++) {
    if (some[at + word] !== others[otherAt + word]) return false;
  }
  return true;
}

/** The 16 bytes of an identity, as the database has them. */
export function hashOf({ k0, k1, k2, k3 }: Pick<KeyHasher, 'k0' | 'k1' | 'k2' | 'k3'>): Buffer {
  const hash = Buffer.allocUnsafe(16);
  for (const [i, word] of [k0, k1, k2, k3].entries()) hash.writeInt32BE(word, i * 4);
  return hash;
}
