/**
 * Bytes that are held for publishers, from the first byte of a body to the answer: one bound for all of them.
 *
 * Each body and each queued batch has a `Hold` that grows by what really came, never by what was announced: a promise
 * of 16 MiB that is not kept costs nothing and must not keep others out. A hold that is alone may grow past the bound:
 * what no other stands in the way of is not refused for ever, however the bound is set.
 */
export class ByteBudget {
  readonly bytesMax: number;
  #held = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Bytes of all holds. */
  get held(): number {
    return this.#held;
  }

  /** Whether so many more, held by nobody yet, would fit now. */
  fits(bytes: number): boolean {
    return this.#held === 0 || this.#held + bytes <= this.bytesMax;
  }

  /** A hold of nothing yet; whoever opens it must release it. */
  open(): Hold {
    return new Hold(this);
  }

  /** For holds alone. */
  take(bytes: number, own: number): boolean {
    if (this.#held > own && this.#held + bytes > this.bytesMax) return false;
    this.#held += bytes;
    return true;
  }

  /** For holds alone. */
  giveBack(bytes: number): void {
    this.#held -= bytes;
  }
}

/** What one publish holds of a budget. */
export class Hold {
  readonly #budget: ByteBudget;
  #bytes = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes so many more bytes, or none and returns false where they do not fit. */
  grow(bytes: number): boolean {
    if (!this.#budget.take(bytes, this.#bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Gives everything back. */
  release(): void {
    this.#budget.giveBack(this.#bytes);
    this.#bytes = 0;
  }
}
