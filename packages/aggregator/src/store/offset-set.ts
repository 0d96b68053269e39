/** Offsets in one chunk, a power of two. */
const CHUNK = 2 ** 16;

/** Bytes of a chunk in which some offsets are missing. */
const CHUNK_BYTES = CHUNK / 8;

/**
 * A set of offsets, added in ascending order. It takes a bit for each offset between its first and its last one; where they
 * are all in it, or none, it takes next to nothing.
 */
export class OffsetSet {
  /** By number, bits, or ALL. */
  readonly #chunks = new Map<number, Chunk>();
  #bytes = 0;
  #last = 0;

  /** The highest one; 0 if there is none. */
  get last(): number {
    return this.#last;
  }

  /** Memory, as far as it grows with the offsets. */
  get bytes(): number {
    return this.#bytes;
  }

  add(offset: number): void {
    this.#last = offset;
    const number = Math.floor(offset / CHUNK);
    let chunk = this.#chunks.get(number);
    if (chunk === undefined) {
      this.#chunks.set(number, (chunk = { bits: new Uint8Array(CHUNK_BYTES), count: 0, first: offset }));
      this.#bytes += CHUNK_BYTES;
    }
    const at = offset % CHUNK;
    chunk.bits[at >> 3]! |= 1 << (at & 7);
    chunk.count += 1;
    if (chunk.count < CHUNK) return;
    chunk.bits = ALL;
    this.#bytes -= CHUNK_BYTES;
  }

  /** In ascending order. */
  *values(): Generator<number> {
    for (const [number, chunk] of this.#chunks)
      for (let at = 0; at < CHUNK; at++) if (isIn(chunk, at)) yield number * CHUNK + at;
  }

  has(offset: number): boolean {
    const chunk = this.#chunks.get(Math.floor(offset / CHUNK));
    return chunk !== undefined && isIn(chunk, offset % CHUNK);
  }

  /** How many of the offsets from `from` to `to`, both inclusive, are in it, and the first of them. */
  range(from: number, to: number): { count: number; first: number | null } {
    let count = 0;
    let first: number | null = null;
    // In ascending order, as they were added.
    for (const [number, chunk] of this.#chunks) {
      const [low, high] = [number * CHUNK, number * CHUNK + CHUNK - 1];
      if (high < from || low > to) continue;
      if (low >= from && high <= to) {
        count += chunk.count;
        first ??= chunk.first;
        continue;
      }
      for (let offset = Math.max(low, from); offset <= Math.min(high, to); offset++) {
        if (!isIn(chunk, offset % CHUNK)) continue;
        count += 1;
        first ??= offset;
      }
    }
    return { count, first };
  }
}

interface Chunk {
  bits: Uint8Array;
  count: number;
  readonly first: number;
}

const ALL = new Uint8Array(CHUNK_BYTES).fill(0xff);

function isIn({ bits }: Chunk, at: number): boolean {
  return (bits[at >> 3]! & (1 << (at & 7))) !== 0;
}
