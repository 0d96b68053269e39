/** How long a page waits for what the store must be asked for, milliseconds. Prometheus waits 10 s for a page. */
const WAIT_MS = 5_000;

/** After a look that took some time, so many times that time passes before the next one. */
const REST_SHARE = 10;

/**
 * Looks at something in the store at a bounded pace, however often and by however many it is asked for. In: questions. Out: what the
 * last look found, or a new one finds.
 *
 * It is *looking* (everybody who asks meanwhile gets that answer), *resting* (they get the last one) or *idle*. It rests ten
 * times as long as it looked, so looks take the store a tenth of one reader's time at most, and with little to look at every
 * question is answered afresh.
 */
export class Paced<T> {
  readonly #look: () => Promise<T>;
  #looking: Promise<T | null> | null = null;
  #found: T | null = null;
  #restUntilMs = 0;

  constructor(look: () => Promise<T>) {
    this.#look = look;
  }

  /** Null if the last look failed, or takes too long. */
  async value(): Promise<T | null> {
    if (this.#looking === null && performance.now() < this.#restUntilMs) return this.#found;
    this.#looking ??= this.#lookNow().finally(() => (this.#looking = null));
    const { promise: late, resolve } = Promise.withResolvers<null>();
    const timer = setTimeout(() => resolve(null), WAIT_MS);
    try {
      return await Promise.race([this.#looking, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #lookNow(): Promise<T | null> {
    const startMs = performance.now();
    try {
      this.#found = await this.#look();
    } catch {
      // The page says that there is nothing; whoever needs the store reports why.
      this.#found = null;
    }
    const endMs = performance.now();
    this.#restUntilMs = endMs + REST_SHARE * (endMs - startMs);
    return this.#found;
  }
}
