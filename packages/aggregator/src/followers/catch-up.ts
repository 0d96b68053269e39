import type { EventStore, TopicFilter } from '../store/event-store.ts';
import type { Commits } from '../commits/commits.ts';

/** Some of what comes next for a follower. */
export interface Page {
  /** What is meant above the position that was asked for, framed; may be empty. */
  readonly bytes: Uint8Array;
  /** Up to where that is all. */
  readonly position: number;
}

/** Pages that are read at once, so that whoever else reads from the store has a turn soon. */
const READS_MAX = 4;

/**
 * Reads from the store for followers that are behind, a page at a time. Those who ask for the same page while it is being
 * read, as all do who come back after a restart, get the same memory. The others wait in the order in which they came.
 */
export class CatchUp {
  readonly #store: EventStore;
  readonly #commits: Commits;
  readonly #pageBytesMax: number;
  readonly #pages = new Map<string, Promise<Page>>();
  readonly #waiting: (() => void)[] = [];
  #reads = 0;

  constructor(store: EventStore, commits: Commits, pageBytesMax: number) {
    this.#store = store;
    this.#commits = commits;
    this.#pageBytesMax = pageBytesMax;
  }

  /** @param key the same for the same filter, and for no other */
  page(filter: TopicFilter, key: string, after: number): Promise<Page> {
    const place = `${after} ${key}`;
    let page = this.#pages.get(place);
    if (page === undefined) {
      page = this.#inTurn(() => this.#read(filter, after)).finally(() => this.#pages.delete(place));
      this.#pages.set(place, page);
    }
    return page;
  }

  async #inTurn<T>(read: () => Promise<T>): Promise<T> {
    if (this.#reads === READS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#reads += 1;
    try {
      return await read();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#reads -= 1;
      else next();
    }
  }

  async #read(filter: TopicFilter, after: number): Promise<Page> {
    const upTo = this.#commits.lastOffset;
    const { bytes, resumeAfter } = await this.#store.read({
      ...filter,
      order: 'asc',
      after,
      upTo,
      eventsMax: Number.MAX_SAFE_INTEGER,
      bytesMax: this.#pageBytesMax,
      framing: 'stream',
    });
    return { bytes, position: resumeAfter ?? Math.max(after, upTo) };
  }
}
