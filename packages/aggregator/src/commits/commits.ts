import { type EventStore, START } from '../store/event-store.ts';
import type { CommittedEvents, News } from '../store/news.ts';

/** The next part of the log: everything above `after`, up to `lastOffset`, is committed. */
export interface Commit {
  readonly after: number;
  readonly lastOffset: number;
  /** The events, lent for the call; there may be some at or below `after`. Null where they must be read from the store. */
  readonly events: CommittedEvents | null;
}

type CommitListener = (commit: Commit) => void;

/**
 * Tells everybody who waits for events that there are new ones. In: the news of the store, about commits of this process
 * and of others, in whatever order they arrive. Out: one unbroken sequence of commits for all listeners.
 *
 * It remembers nothing for anybody: whoever was not listening reads the store. Where news leave a hole, the events in it
 * are known to the store alone, and the commit that closes it comes without events.
 *
 * Invariants: `lastOffset` only grows; what is told was committed before; each commit begins where the last one ended.
 * A reader of the store may see a commit a moment before it is told here.
 */
export class Commits {
  #lastOffset: number;
  readonly #listeners = new Set<CommitListener>();
  readonly #stopWatching: () => void;

  /** @param lastOffset where it begins: an end of the log that was seen in the store */
  constructor(store: EventStore, lastOffset: number) {
    this.#lastOffset = lastOffset;
    this.#stopWatching = store.watch(lastOffset, (news) => this.#heard(news));
  }

  /** Begins at the end of the log. Rejects with the store's error where that cannot be read. */
  static async open(store: EventStore): Promise<Commits> {
    const { lastOffset } = await store.snapshot({ order: 'asc', after: START.asc });
    return new Commits(store, lastOffset);
  }

  /** The highest offset that is known here to be committed, 0 in an empty log. The store may be ahead of it. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  /** Calls the listener with every commit to come, until the returned function is called. It must not throw. */
  listen(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stopWatching();
  }

  #heard({ after, lastOffset, events }: News): void {
    const known = this.#lastOffset;
    if (lastOffset <= known) return;
    this.#lastOffset = lastOffset;
    // Between what is known and the news lies what nobody told: those events are with the store alone.
    const commit = { after: known, lastOffset, events: after > known ? null : events };
    for (const listener of this.#listeners) listener(commit);
  }
}
