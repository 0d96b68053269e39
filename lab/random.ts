/**
 * Random choices that the same seed repeats. The generator is Tommy Ettinger's mulberry32 (public domain).
 */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed;
  }

  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number {
    return min + (this.#next() % (max - min + 1));
  }

  /** A number from `min` to below `max`. */
  between(min: number, max: number): number {
    return min + (this.#next() / 2 ** 32) * (max - min);
  }

  /** True with this probability: 0 is never, 1 always. */
  chance(share: number): boolean {
    return this.#next() < share * 2 ** 32;
  }

  of<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.whole(0, choices.length - 1)]!;
  }

  /** Independent choices: drawing from one does not affect the other. The same numbers give the same choices. */
  fork(...numbers: readonly number[]): SeededRandom {
    let seed = this.seed;
    for (const number of numbers) seed = new SeededRandom(seed ^ Math.imul(number + 1, 0x9e3779b1)).#next();
    return new SeededRandom(seed);
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}

/** A new seed. */
export function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

/**
 * Does the work with the seed in the environment variable, such as CRASH_SEED, or with a new one. If it fails, the error
 * names the seed.
 */
export async function withSeedOf<T>(
  variable: string,
  work: (random: SeededRandom) => Promise<T>,
): Promise<T> {
  const given = process.env[variable];
  const random = new SeededRandom(given ? Number(given) : newSeed());
  try {
    return await work(random);
  } catch (error) {
    throw new Error(`failed with ${variable}=${random.seed}`, { cause: error });
  }
}
