/** Up to this many names, a new one is compared with each earlier one; a larger object gets a Set. */
export const NAMES_COMPARED_MAX = 16;

/**
 * The names in the objects that are being read, as places in the bytes, those of the innermost object last. An object
 * remembers how many were `open` when it began, compares new names only with later ones, and restores the number when it
 * ends.
 */
export class OpenNames {
  open = 0;
  #starts = new Int32Array(256);
  #ends = new Int32Array(256);

  /** Whether one of the names since `outer` has the same bytes. */
  has(bytes: Uint8Array, outer: number, start: number, end: number): boolean {
    search: for (let i = outer; i < this.open; i++) {
      const other = this.#starts[i]!;
      if (this.#ends[i]! - other !== end - start) continue;
      for (let at = start; at < end; at++) if (bytes[at] !== bytes[other + at - start]) continue search;
      return true;
    }
    return false;
  }

  add(start: number, end: number): void {
    const at = this.open++;
    if (at === this.#starts.length) {
      this.#starts = grown(this.#starts);
      this.#ends = grown(this.#ends);
    }
    this.#starts[at] = start;
    this.#ends[at] = end;
  }

  since(outer: number, decoded: (start: number, end: number) => string): Set<string> {
    const names = new Set<string>();
    for (let i = outer; i < this.open; i++) names.add(decoded(this.#starts[i]!, this.#ends[i]!));
    return names;
  }
}

/** A copy of the array, twice as long. */
export function grown(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
