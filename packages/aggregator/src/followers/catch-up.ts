import type { EventStore, TopicFilter } from '../store/event-store.ts';
import type { Commits } from '../commits/commits.ts';

/** A page of what comes next for a follower. */
export interface Page {
  /** The follower's events above the requested position, framed; may be empty. */
  readonly bytes: Uint8Array;
  /** The offset up to which that is complete. */
  readonly position: number;
}

/** Pages read at once; bounds how long other readers of the store wait for their turn. */
const READS_MAX = 4;

/**
 * Reads pages from the store for followers that are behind. Requests for a page that is already being read, as from
 * all who reconnect after a restart, share its memory. Other reads wait their turn, in order of arrival.
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

  /** @param key identifies the filter */
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
