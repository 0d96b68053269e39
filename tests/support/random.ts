/**
 * Choices that can be had again: the seed of a run is drawn anew, or taken from the variable, and a failure names it.
 * The generator is Tommy Ettinger's mulberry32 (public domain).
 */
export class SeededRandom {
  readonly seed: number;
  readonly #variable: string;
  #state: number;

  /** @param variable of the environment that a seed is taken from, such as CRASH_SEED */
  constructor(variable: string) {
    const given = process.env[variable];
    this.#variable = variable;
    this.seed = given ? Number(given) : Math.floor(Math.random() * 2 ** 32);
    this.#state = this.seed;
  }

  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return min + (((mixed ^ (mixed >>> 14)) >>> 0) % (max - min + 1));
  }

  /** Does the work; where it fails, the failure says by which seed. */
  async named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw new Error(`failed with ${this.#variable}=${this.seed}`, { cause: error });
    }
  }
}
