import { damaged } from '../errors.ts';
import { ENTRY_WORDS } from './hot-table.ts';

/**
 * A key block: the entries of one bucket of a run, sorted by key, each ENTRY_WORDS little-endian words. In memory and
 * in the file it is the same bytes, so that a lookup looks at them as they were read.
 */
export type KeyBlock = Int32Array<ArrayBuffer>;

/** Below, at or above 0, as the key at `a` is below, the same as, or above that at `b`: as unsigned numbers. */
export function compareKeys(words: Int32Array, a: number, b: number): number {
  for (let i = 0; i < 4; i++) {
    const difference = (words[a + i]! >>> 0) - (words[b + i]! >>> 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A block out of some entries of `words`, given by their places. */
export function sortedBlock(words: Int32Array, places: Int32Array): KeyBlock {
  const sorted = places.toSorted((a, b) => compareKeys(words, a, b));
  const block = new Int32Array(sorted.length * ENTRY_WORDS);
  for (let i = 0; i < sorted.length; i++) {
    const from = sorted[i]!;
    const to = i * ENTRY_WORDS;
    for (let w = 0; w < ENTRY_WORDS; w++) block[to + w] = words[from + w]!;
  }
  return block;
}

/** The place of a key's entry in its block, or -1. */
export function findInBlock(block: Int32Array, k0: number, k1: number, k2: number, k3: number): number {
  const key = k0 >>> 0;
  let low = 0;
  let high = block.length / ENTRY_WORDS;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (block[middle * ENTRY_WORDS]! >>> 0 < key) low = middle + 1;
    else high = middle;
  }
  for (let at = low * ENTRY_WORDS; at < block.length && block[at] === k0; at += ENTRY_WORDS) {
    if (block[at + 1] === k1 && block[at + 2] === k2 && block[at + 3] === k3) return at;
  }
  return -1;
}

/** The block that a row holds; it must be a whole number of entries. */
export function blockOf(bytes: Uint8Array): KeyBlock {
  if (bytes.length % (ENTRY_WORDS * 4) !== 0) throw damaged(`a key block has ${bytes.length} bytes`);
  const { buffer, byteOffset } = bytes;
  if (byteOffset % 4 === 0 && buffer instanceof ArrayBuffer)
    return new Int32Array(buffer, byteOffset, bytes.length / 4);
  return new Int32Array(Uint8Array.from(bytes).buffer);
}
