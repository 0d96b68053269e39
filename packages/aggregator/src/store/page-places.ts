import type { PlacedPage } from './event-store.ts';

/** Where the events of a page end, their offsets, and what was passed over between them. */
export class Places {
  readonly #ends: number[] = [];
  readonly #offsets: number[] = [];
  readonly #expiredBefore: number[] = [];
  #expired = 0;

  /** @param expired how many expired events were passed over so far */
  push(end: number, offset: number, expired = 0): void {
    this.#ends.push(end);
    this.#offsets.push(offset);
    this.#expiredBefore.push(expired - this.#expired);
    this.#expired = expired;
  }

  take(): Pick<PlacedPage, 'ends' | 'offsets' | 'expiredBefore'> {
    return {
      ends: Int32Array.from(this.#ends),
      offsets: Float64Array.from(this.#offsets),
      expiredBefore: Int32Array.from(this.#expiredBefore),
    };
  }
}
