import type { StoreError } from '../../event-store.ts';
import { CHECKSUM_BYTES, withChecksum, withoutChecksum } from '../../checksum.ts';
import { ENTRY_WORDS } from './hot-table.ts';

const ENTRY_BYTES = ENTRY_WORDS * 4;

/**
 * A key block: the entries of one bucket of a run, sorted by key, each ENTRY_WORDS little-endian words. It has the same
 * bytes in memory and in the file, so a lookup needs no decoding.
 */
export type KeyBlock = Int32Array<ArrayBuffer>;

/** Compares the keys at `a` and `b` as unsigned numbers: below 0 if `a` is lower, 0 if they are equal. */
export function compareKeys(words: Int32Array, a: number, b: number): number {
  for (let i = 0; i < 4; i++) {
    const difference = (words[a + i]! >>> 0) - (words[b + i]! >>> 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** More than the number of entries sorted at once. */
const PLACES = 2 ** 20;

/** The entries, sorted by key. */
export function sortedEntries(entries: Int32Array): KeyBlock {
  const count = entries.length / ENTRY_WORDS;
  // Pack first word and place into one number, 32 and 20 of its 53 bits: numbers are sorted without a comparator.
  const order = new Float64Array(count);
  for (let i = 0; i < count; i++) order[i] = (entries[i * ENTRY_WORDS]! >>> 0) * PLACES + i;
  order.sort();
  const sorted = new Int32Array(entries.length);
  for (let i = 0; i < count; i++) {
    const from = (order[i]! % PLACES) * ENTRY_WORDS;
    const to = i * ENTRY_WORDS;
    for (let w = 0; w < ENTRY_WORDS; w++) sorted[to + w] = entries[from + w]!;
    // First words are hardly ever equal; if they are, the other words decide.
    for (let at = to; at > 0 && sorted[at] === sorted[at - ENTRY_WORDS]; at -= ENTRY_WORDS) {
      if (compareKeys(sorted, at - ENTRY_WORDS, at) <= 0) break;
      swap(sorted, at - ENTRY_WORDS, at);
    }
  }
  return sorted;
}

function swap(words: Int32Array, a: number, b: number): void {
  for (let w = 0; w < ENTRY_WORDS; w++) [words[a + w], words[b + w]] = [words[b + w]!, words[a + w]!];
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

/** The entries that stay, in their order; the same block if all do. `at` is the first word of an entry. */
export function entriesWithout(
  block: KeyBlock,
  isDropped: (entries: KeyBlock, at: number) => boolean,
): KeyBlock {
  let to = 0;
  let rest: KeyBlock | null = null;
  for (let at = 0; at < block.length; at += ENTRY_WORDS) {
    if (isDropped(block, at)) rest ??= block.slice();
    else {
      rest?.copyWithin(to, at, at + ENTRY_WORDS);
      to += ENTRY_WORDS;
    }
  }
  return rest === null ? block : rest.slice(0, to);
}

/** A row for the block: its bytes and their checksum. */
export function rowOf(block: KeyBlock): Uint8Array {
  return withChecksum(new Uint8Array(block.buffer));
}

/** The block in a row. Rows from before there were checksums hold nothing but entries. */
export function blockOf(row: Uint8Array, wrong: () => StoreError): KeyBlock {
  const isChecked = row.length % ENTRY_BYTES === CHECKSUM_BYTES;
  const bytes = isChecked ? withoutChecksum(row, wrong) : row;
  if (bytes.length % ENTRY_BYTES !== 0) throw wrong();
  const { buffer, byteOffset } = bytes;
  if (byteOffset % 4 === 0 && buffer instanceof ArrayBuffer)
    return new Int32Array(buffer, byteOffset, bytes.length / 4);
  return new Int32Array(Uint8Array.from(bytes).buffer);
}
