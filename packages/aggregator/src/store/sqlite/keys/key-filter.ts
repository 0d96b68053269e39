import type { StoreError } from '../../event-store.ts';
import { withChecksum, withoutChecksum } from '../../checksum.ts';
import { ENTRY_WORDS } from './hot-table.ts';
import type { KeyBlock } from './key-block.ts';

/** Words of one bucket's filter: 1024 bits for 64 keys, 16 bits per key. */
const BUCKET_WORDS = 32;

/** The number of buckets whose filters share one row of 64 KiB. */
export const FILTER_PART_BUCKETS = 512;

/**
 * Recognizes most keys that a run does not hold without reading the file: a blocked Bloom filter (Putze, Sanders, Singler
 * 2007), one small filter per bucket. A key sets 6 bits in one half of its bucket's filter, which is one cache line, so a
 * lookup costs one cache miss. At 64 keys per bucket about 3 in 1000 lookups are false positives.
 */
export class KeyFilter {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #shift: number;

  /** For a run of 2^bits buckets. */
  constructor(bits: number) {
    this.#words = new Int32Array(2 ** bits * BUCKET_WORDS);
    this.#shift = 32 - bits;
  }

  mayHold(k0: number, k1: number, k2: number): boolean {
    const words = this.#words;
    const line = (k0 >>> this.#shift) * BUCKET_WORDS + ((k1 >>> 27) & 16);
    return (
      (words[line + ((k1 >>> 5) & 15)]! & (1 << k1)) !== 0 &&
      (words[line + ((k1 >>> 14) & 15)]! & (1 << (k1 >>> 9))) !== 0 &&
      (words[line + ((k1 >>> 23) & 15)]! & (1 << (k1 >>> 18))) !== 0 &&
      (words[line + ((k2 >>> 5) & 15)]! & (1 << k2)) !== 0 &&
      (words[line + ((k2 >>> 14) & 15)]! & (1 << (k2 >>> 9))) !== 0 &&
      (words[line + ((k2 >>> 23) & 15)]! & (1 << (k2 >>> 18))) !== 0
    );
  }

  /** Adds all keys of a bucket's block. */
  add(block: KeyBlock): void {
    const words = this.#words;
    for (let at = 0; at < block.length; at += ENTRY_WORDS) {
      const k1 = block[at + 1]!;
      const k2 = block[at + 2]!;
      const line = (block[at]! >>> this.#shift) * BUCKET_WORDS + ((k1 >>> 27) & 16);
      words[line + ((k1 >>> 5) & 15)]! |= 1 << k1;
      words[line + ((k1 >>> 14) & 15)]! |= 1 << (k1 >>> 9);
      words[line + ((k1 >>> 23) & 15)]! |= 1 << (k1 >>> 18);
      words[line + ((k2 >>> 5) & 15)]! |= 1 << k2;
      words[line + ((k2 >>> 14) & 15)]! |= 1 << (k2 >>> 9);
      words[line + ((k2 >>> 23) & 15)]! |= 1 << (k2 >>> 18);
    }
  }

  /** A row for one part: its bytes and their checksum. */
  row(number: number): Uint8Array {
    return withChecksum(this.#part(number));
  }

  #part(number: number): Uint8Array {
    const from = number * FILTER_PART_BUCKETS * BUCKET_WORDS;
    const words = this.#words.subarray(from, from + FILTER_PART_BUCKETS * BUCKET_WORDS);
    return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  }

  /** Loads a part from its row. Rows from before there were checksums have none. */
  load(number: number, row: Uint8Array, wrong: () => StoreError): void {
    const part = this.#part(number);
    const bytes = row.length === part.length ? row : withoutChecksum(row, wrong);
    if (bytes.length !== part.length) throw wrong();
    part.set(bytes);
  }
}
