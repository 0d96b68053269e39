import { type Distribution, labels } from './exposition.ts';

/** Counts by the value of one label. Iterates as what an exposition writes. */
export class Counter {
  readonly #label: string;
  readonly #counts = new Map<string, number>();

  /** @param values of the label that are shown from the start, with 0, so that the first increase can be seen */
  constructor(label: string, values: readonly string[]) {
    this.#label = label;
    for (const value of values) this.#counts.set(value, 0);
  }

  add(value: string, count = 1): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + count);
  }

  *[Symbol.iterator](): Iterator<readonly [labels: string, value: number]> {
    for (const [value, count] of this.#counts) yield [labels({ [this.#label]: value }), count];
  }
}

/** Counts observed values by range. An observation is a short loop and two additions. */
export class Histogram implements Distribution {
  readonly bounds: readonly number[];
  readonly counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    let i = 0;
    while (i < this.bounds.length && value > this.bounds[i]!) i += 1;
    this.counts[i]! += 1;
    this.#sum += value;
  }
}
