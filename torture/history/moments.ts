import { BrokenPromise } from '../broken-promise.ts';

/** Says whose a bound is. Called for a message alone. */
export type What = () => string;

interface Bound {
  readonly ms: number;
  readonly what: What;
}

/**
 * When the log came to hold each offset, as far as it is known: not before one moment, not after another, and not before the
 * offset below it. Of the bounds of an offset only the narrowest two are kept.
 */
export class Moments {
  readonly #lower = new Map<number, Bound>();
  readonly #upper = new Map<number, Bound>();

  notBefore(offset: number, ms: number, what: What): void {
    if (ms > (this.#lower.get(offset)?.ms ?? -Infinity)) this.#lower.set(offset, { ms, what });
  }

  notAfter(offset: number, ms: number, what: What): void {
    if (ms < (this.#upper.get(offset)?.ms ?? Infinity)) this.#upper.set(offset, { ms, what });
  }

  /** Gives each offset, in their order, the earliest moment that it can have. Throws a BrokenPromise where there is none. */
  check(): void {
    let earliest: Bound & { readonly offset: number } = { ms: -Infinity, what: () => '', offset: 0 };
    const offsets = [...new Set([...this.#lower.keys(), ...this.#upper.keys()])].toSorted((a, b) => a - b);
    for (const offset of offsets) {
      const lower = this.#lower.get(offset);
      if (lower !== undefined && lower.ms > earliest.ms) earliest = { ...lower, offset };
      const upper = this.#upper.get(offset);
      if (upper !== undefined && upper.ms < earliest.ms)
        throw new BrokenPromise(
          `offset ${earliest.offset}${earliest.offset === offset ? '' : `, and so ${offset},`} stored no earlier: ${earliest.what()}`,
          `${offset} was there before: ${upper.what()}`,
        );
    }
  }
}
