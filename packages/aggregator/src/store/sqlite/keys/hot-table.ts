/** 32-bit words of an entry: four of the key, the offset's low half, its high 8 bits beside the digest's 24. */
export const ENTRY_WORDS = 6;

/** Offsets take 40 bits in the index: 10^12 events. */
const OFFSET_MAX = 2 ** 40 - 1;

/** Share of the slots at which the table grows: above it the chains get long. */
const SLOTS_FILLED_MAX = 0.75;

/** The fifth and sixth word of an entry, as one number each. */
export function offsetOf(low: number, high: number): number {
  return (high >>> 24) * 2 ** 32 + (low >>> 0);
}

export function digestOf(high: number): number {
  return high & 0xff_ffff;
}

function highWord(offset: number, digest: number): number {
  if (offset > OFFSET_MAX)
    throw new Error(`offset ${offset} is above ${OFFSET_MAX}, the last one that the index holds`);
  return (Math.floor(offset / 2 ** 32) << 24) | digest;
}

/**
 * The recent keys: one open-addressed table in memory, never stored, rebuilt after a restart from the blocks above the
 * last sealed offset.
 *
 * An entry is never changed. It goes only by `undo`, which takes back the newest ones, last in first out: so no chain
 * of slots is ever broken. An offset of 0 marks a free slot.
 */
export class HotTable {
  /** Where `find` looked last: the entry's first word, or a free slot's. */
  #at = 0;
  #words: Int32Array;
  #mask: number;
  /** Slots in the order they were filled. */
  #order: Int32Array;
  #count = 0;

  /** `capacity` keys fill at most half of the slots; half as many more fit before the table grows. */
  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(capacity * 2));
    this.#words = new Int32Array(slots * ENTRY_WORDS);
    this.#mask = slots - 1;
    this.#order = new Int32Array(slots * SLOTS_FILLED_MAX);
  }

  get count(): number {
    return this.#count;
  }

  /** Looks for a key; after `true` the entry's offset and digest can be read, after `false` it can be added. */
  find(k0: number, k1: number, k2: number, k3: number): boolean {
    const words = this.#words;
    // The bucket of a run is made of the highest bits of k0, so the lowest of k1 spread a bucket's keys.
    let slot = k1 & this.#mask;
    for (;;) {
      const at = slot * ENTRY_WORDS;
      if (words[at + 4] === 0 && words[at + 5]! >>> 24 === 0) {
        this.#at = at;
        return false;
      }
      if (words[at] === k0 && words[at + 1] === k1 && words[at + 2] === k2 && words[at + 3] === k3) {
        this.#at = at;
        return true;
      }
      slot = (slot + 1) & this.#mask;
    }
  }

  /** Of the entry that `find` found. */
  get offset(): number {
    return offsetOf(this.#words[this.#at + 4]!, this.#words[this.#at + 5]!);
  }

  /** Of the entry that `find` found. */
  get digest(): number {
    return digestOf(this.#words[this.#at + 5]!);
  }

  /** Adds the key that `find` just did not find. */
  add(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    if (this.#count === this.#order.length) {
      this.#grow();
      this.find(k0, k1, k2, k3);
    }
    const words = this.#words;
    const at = this.#at;
    words[at] = k0;
    words[at + 1] = k1;
    words[at + 2] = k2;
    words[at + 3] = k3;
    words[at + 4] = offset | 0;
    words[at + 5] = highWord(offset, digest);
    this.#order[this.#count++] = at;
  }

  /** Takes back the newest entries until `count` are left. */
  undo(count: number): void {
    while (this.#count > count) {
      this.#count -= 1;
      const at = this.#order[this.#count]!;
      this.#words.fill(0, at, at + ENTRY_WORDS);
    }
  }

  /**
   * All entries, those of one bucket together, buckets in order: entry `order[i]` is the i-th, and bucket `b` holds
   * those from `starts[b]` to `starts[b + 1]`. A bucket is the `bits` highest bits of a key.
   */
  byBucket(bits: number): { words: Int32Array; order: Int32Array; starts: Int32Array } {
    const shift = 32 - bits;
    const starts = new Int32Array(2 ** bits + 1);
    for (let i = 0; i < this.#count; i++) starts[(this.#words[this.#order[i]!]! >>> shift) + 1]! += 1;
    for (let b = 0; b < 2 ** bits; b++) starts[b + 1]! += starts[b]!;
    const next = starts.slice(0, -1);
    const order = new Int32Array(this.#count);
    for (let i = 0; i < this.#count; i++) {
      const at = this.#order[i]!;
      order[next[this.#words[at]! >>> shift]!++] = at;
    }
    return { words: this.#words, order, starts };
  }

  #grow(): void {
    const words = this.#words;
    const order = this.#order;
    const slots = (this.#mask + 1) * 2;
    this.#words = new Int32Array(slots * ENTRY_WORDS);
    this.#mask = slots - 1;
    this.#order = new Int32Array(slots * SLOTS_FILLED_MAX);
    const count = this.#count;
    this.#count = 0;
    for (let i = 0; i < count; i++) {
      const at = order[i]!;
      this.find(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
      this.#words.set(words.subarray(at, at + ENTRY_WORDS), this.#at);
      this.#order[this.#count++] = this.#at;
    }
  }
}
