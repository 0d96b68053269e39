import type { EventStore, TopicFilter } from '../store/event-store.ts';
import type { Expiry } from '../store/retention-store.ts';
import type { Commits } from '../commits/commits.ts';

/** A page of what comes next for a follower. */
export interface Page {
  /** The follower's events above the requested position, and gaps where some have expired, framed; may be empty. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /** How many have expired. */
  readonly expired: number;
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
  /** Pages on their way, and the first event that has expired meanwhile. */
  readonly #readings = new Set<{ readonly after: number; staleFrom: number }>();
  #reads = 0;

  constructor(store: EventStore, commits: Commits, pageBytesMax: number) {
    this.#store = store;
    this.#commits = commits;
    this.#pageBytesMax = pageBytesMax;
  }

  /**
   * @param key identifies the filter
   * @param gaps as in a query: `apart` for a follower that must not be given a gap between events
   */
  page(filter: TopicFilter, key: string, after: number, gaps: 'told' | 'apart' = 'told'): Promise<Page> {
    const place = `${after} ${gaps} ${key}`;
    let page = this.#pages.get(place);
    if (page === undefined) {
      page = this.#inTurn(() => this.#read(filter, after, gaps)).finally(() => this.#pages.delete(place));
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

  /** Has the pages read again that are on their way and may hold what has expired meanwhile. */
  letGo({ from, upTo }: Expiry): void {
    for (const reading of this.#readings) {
      if (upTo > reading.after) reading.staleFrom = Math.min(reading.staleFrom, from);
    }
  }

  async #read(filter: TopicFilter, after: number, gaps: 'told' | 'apart'): Promise<Page> {
    for (;;) {
      const reading = { after, staleFrom: Number.POSITIVE_INFINITY };
      this.#readings.add(reading);
      try {
        const page = await this.#readOnce(filter, after, gaps);
        // Each event expires once, so this ends.
        if (reading.staleFrom > page.position) return page;
      } finally {
        this.#readings.delete(reading);
      }
    }
  }

  async #readOnce(filter: TopicFilter, after: number, gaps: 'told' | 'apart'): Promise<Page> {
    const upTo = this.#commits.lastOffset;
    const { bytes, count, expired, resumeAfter } = await this.#store.read({
      ...filter,
      order: 'asc',
      after,
      upTo,
      eventsMax: Number.MAX_SAFE_INTEGER,
      bytesMax: this.#pageBytesMax,
      framing: 'stream',
      gaps,
    });
    return { bytes, count, expired, position: resumeAfter ?? Math.max(after, upTo) };
  }
}
