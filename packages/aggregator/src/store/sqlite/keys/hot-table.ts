/** 32-bit words per entry: four of the key, the low half of the offset, its high 8 bits with the digest's 24. */
export const ENTRY_WORDS = 6;

/** The words of an entry. */
export type Entry = [number, number, number, number, number, number];

/** Offsets have 40 bits in the index, enough for 10^12 events. */
const OFFSET_MAX = 2 ** 40 - 1;

/** The table grows when more than this share of its slots is filled, because then the chains get long. */
const SLOTS_FILLED_MAX = 0.75;

/** The offset of the entry that begins at word `at`. */
export function offsetAt(words: Int32Array, at: number): number {
  return offsetOf(words[at + 4]!, words[at + 5]!);
}

/** Decodes an offset from the fifth and sixth word of an entry. */
export function offsetOf(low: number, high: number): number {
  return (high >>> 24) * 2 ** 32 + (low >>> 0);
}

export function digestOf(high: number): number {
  return high & 0xff_ffff;
}

/** The sixth word of an entry. Throws if the offset has more than 40 bits. */
export function highWord(offset: number, digest: number): number {
  if (offset > OFFSET_MAX)
    throw new Error(`offset ${offset} is above ${OFFSET_MAX}, the last one that the index holds`);
  return (Math.floor(offset / 2 ** 32) << 24) | digest;
}

/**
 * The recent keys: one open-addressed table in memory, never stored, rebuilt after a restart from the blocks above the
 * last sealed offset and from bare-keys.ts.
 *
 * The highest bits of a key choose its slot, as they choose its bucket in a run. So the table is nearly sorted by key,
 * and the entries of a bucket are side by side. Each slot also has a tag of one byte: 0 if the slot is free, else 8 other
 * bits of the key. Most lookups are of new keys, and the tags alone, which fit into a processor's cache, answer these.
 *
 * A chain of slots is never broken: `undo` removes only the newest entries, those added since `begin`, and `clear` removes
 * all. A forgotten entry keeps its slot, with a tag that no key has.
 */
export class HotTable {
  /** The slot at which the last `find` ended: an entry or a free slot. */
  #slot = 0;
  #bits: number;
  #tags: Uint8Array;
  #words: Int32Array;
  /** Slots filled since `begin`. */
  #added: number[] = [];
  /** Slots whose entries were forgotten since `begin`. */
  #forgotten: number[] = [];
  /** Filled slots, with those of forgotten entries. */
  #filled = 0;
  #count = 0;

  /** `capacity` keys fill at most half of the slots; the table grows after half as many more. */
  constructor(capacity: number) {
    this.#bits = Math.ceil(Math.log2(capacity * 2));
    this.#tags = new Uint8Array(2 ** this.#bits);
    this.#words = new Int32Array(2 ** this.#bits * ENTRY_WORDS);
  }

  /** The number of keys. */
  get count(): number {
    return this.#count;
  }

  /** The number of slots that only `clear` frees. */
  get filled(): number {
    return this.#filled;
  }

  /** Starts a set of changes that `undo` takes back. */
  begin(): void {
    this.#added = [];
    this.#forgotten = [];
  }

  /** Looks up a key. After `true` its offset and digest can be read; after `false` it can be added. */
  find(k0: number, k1: number, k2: number, k3: number): boolean {
    const tags = this.#tags;
    const words = this.#words;
    const tag = tagOf(k1);
    let slot = k0 >>> (32 - this.#bits);
    for (let there = tags[slot]!; there !== FREE; there = tags[slot]!) {
      const at = slot * ENTRY_WORDS;
      if (
        there === tag &&
        words[at] === k0 &&
        words[at + 1] === k1 &&
        words[at + 2] === k2 &&
        words[at + 3] === k3
      ) {
        this.#slot = slot;
        return true;
      }
      slot = (slot + 1) & (tags.length - 1);
    }
    this.#slot = slot;
    return false;
  }

  /** Of the entry that `find` found. */
  get offset(): number {
    const at = this.#slot * ENTRY_WORDS;
    return offsetOf(this.#words[at + 4]!, this.#words[at + 5]!);
  }

  /** Of the entry that `find` found. */
  get digest(): number {
    return digestOf(this.#words[this.#slot * ENTRY_WORDS + 5]!);
  }

  /** Adds the key that the last `find` did not find. */
  add(k0: number, k1: number, k2: number, k3: number, offset: number, digest: number): void {
    if (this.#filled >= this.#tags.length * SLOTS_FILLED_MAX) {
      this.#grow();
      this.find(k0, k1, k2, k3);
    }
    this.#put(k0, k1, k2, k3, offset | 0, highWord(offset, digest));
    this.#added.push(this.#slot);
  }

  /** Forgets the key that the last `find` found. */
  forget(): void {
    this.#tags[this.#slot] = FORGOTTEN;
    this.#forgotten.push(this.#slot);
    this.#count -= 1;
  }

  /** Takes back everything since `begin`. */
  undo(): void {
    for (const slot of this.#forgotten) this.#tags[slot] = tagOf(this.#words[slot * ENTRY_WORDS + 1]!);
    for (const slot of this.#added) this.#tags[slot] = FREE;
    this.#count += this.#forgotten.length - this.#added.length;
    this.#filled -= this.#added.length;
    this.begin();
  }

  /** Removes all entries. */
  clear(): void {
    this.#tags.fill(FREE);
    this.begin();
    this.#filled = 0;
    this.#count = 0;
  }

  /** The entries of the keys whose `bits` highest bits are `bucket`, `ENTRY_WORDS` each, in no particular order. */
  entriesOf(bucket: number, bits: number): Int32Array<ArrayBuffer> {
    const tags = this.#tags;
    const words = this.#words;
    const mask = tags.length - 1;
    const places: number[] = [];
    const own = 2 ** (this.#bits - bits);
    let slot = bucket * own;
    // The bucket's own slots, then those it overflowed into: up to a free slot, or once around the table.
    for (let looked = 0; looked < tags.length && (looked < own || tags[slot] !== FREE); looked++) {
      const at = slot * ENTRY_WORDS;
      if (tags[slot]! > FORGOTTEN && words[at]! >>> (32 - bits) === bucket) places.push(at);
      slot = (slot + 1) & mask;
    }
    const entries = new Int32Array(places.length * ENTRY_WORDS);
    let to = 0;
    for (const at of places) for (let w = 0; w < ENTRY_WORDS; w++) entries[to++] = words[at + w]!;
    return entries;
  }

  #put(k0: number, k1: number, k2: number, k3: number, low: number, high: number): void {
    const words = this.#words;
    const at = this.#slot * ENTRY_WORDS;
    words[at] = k0;
    words[at + 1] = k1;
    words[at + 2] = k2;
    words[at + 3] = k3;
    words[at + 4] = low;
    words[at + 5] = high;
    this.#tags[this.#slot] = tagOf(k1);
    this.#filled += 1;
    this.#count += 1;
  }

  #grow(): void {
    const words = this.#words;
    const [added, forgotten] = [this.#added, this.#forgotten];
    // As if `undo` were to follow: entries that it may remove are inserted last, so that no chain depends on them.
    const others = this.#tags.slice();
    for (const slot of forgotten) others[slot] = FREE;
    for (const slot of added) others[slot] = FREE;
    this.#bits += 1;
    this.#tags = new Uint8Array(2 ** this.#bits);
    this.#words = new Int32Array(2 ** this.#bits * ENTRY_WORDS);
    this.#filled = 0;
    this.#count = 0;
    for (let slot = 0; slot < others.length; slot++) if (others[slot]! > FORGOTTEN) this.#take(words, slot);
    const isForgotten = new Set(forgotten);
    const places = new Map<number, number>();
    for (const slot of isForgotten.difference(new Set(added)).union(new Set(added))) {
      const place = this.#take(words, slot);
      places.set(slot, place);
      // At once: the same key may follow, with a later offset.
      if (isForgotten.has(slot)) this.#tags[place] = FORGOTTEN;
    }
    this.#count -= forgotten.length;
    this.#added = added.map((slot) => places.get(slot)!);
    this.#forgotten = forgotten.map((slot) => places.get(slot)!);
  }

  /** Inserts an entry of a smaller table. Returns its slot. */
  #take(words: Int32Array, slot: number): number {
    const at = slot * ENTRY_WORDS;
    const [k0, k1, k2, k3] = [words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!];
    this.find(k0, k1, k2, k3);
    this.#put(k0, k1, k2, k3, words[at + 4]!, words[at + 5]!);
    return this.#slot;
  }
}

const FREE = 0;
const FORGOTTEN = 1;

/** 2 to 255. */
function tagOf(k1: number): number {
  const tag = k1 >>> 24;
  return tag > FORGOTTEN ? tag : 255;
}
