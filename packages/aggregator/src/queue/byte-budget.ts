/**
 * Bounds the bytes held for all publishers together, from the first byte of a body to the answer.
 *
 * Each body and each queued batch has a `Hold`, which grows by what has arrived, never by what was announced: 16 MiB
 * that were promised and never sent cost nothing and must not keep others out. A hold that is alone may grow past the
 * bound. So no publish is refused for ever, however low the bound is set.
 */
export class ByteBudget {
  readonly bytesMax: number;
  #held = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** The bytes of all holds. */
  get held(): number {
    return this.#held;
  }

  /** Whether this many more bytes, not yet held, would fit now. */
  fits(bytes: number): boolean {
    return this.#held === 0 || this.#held + bytes <= this.bytesMax;
  }

  /** Opens an empty hold; whoever opens it must release it. */
  open(): Hold {
    return new Hold(this);
  }

  /** Only for holds. */
  take(bytes: number, own: number): boolean {
    if (this.#held > own && this.#held + bytes > this.bytesMax) return false;
    this.#held += bytes;
    return true;
  }

  /** Only for holds. */
  giveBack(bytes: number): void {
    this.#held -= bytes;
  }
}

/** One publish's part of a budget. */
export class Hold {
  readonly #budget: ByteBudget;
  #bytes = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes this many more bytes; if they do not fit, takes none and returns false. */
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
