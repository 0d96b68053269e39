/** Thrown where a step asks for what is not loaded yet. */
class Missing extends Error {
  readonly load: () => Promise<void>;

  constructor(load: () => Promise<void>) {
    super('not loaded yet');
    this.load = load;
  }
}

/**
 * What steps ask of the database while they run, which is rare: they cannot wait for it. So a step that asks for something new is
 * stopped, the answer is fetched, and all steps are done again from the start, which finds it here. The same question always
 * has the same answer: the transaction holds the locks of what it asks about, or sees one snapshot.
 */
export class Answers {
  readonly #known = new Map<string, unknown>();

  /** The answer to this question, which `fetch` finds out. */
  get<T>(question: string, fetch: () => Promise<T>): T {
    if (this.#known.has(question)) return this.#known.get(question) as T;
    throw new Missing(async () => void this.#known.set(question, await fetch()));
  }

  /** Does the work from the start until nothing is missing. */
  async complete<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof Missing)) throw error;
        await error.load();
      }
    }
  }
}
