import { type EventStore, START } from '../store/event-store.ts';
import type { CommittedEvents, News } from '../store/news.ts';

/** The next part of the log: everything above `after`, up to `lastOffset`, is now committed. */
export interface Commit {
  readonly after: number;
  readonly lastOffset: number;
  /** The events, lent for the call; some may be at or below `after`. Null if they must be read from the store. */
  readonly events: CommittedEvents | null;
}

type CommitListener = (commit: Commit) => void;

/**
 * Tells everybody who is waiting for events that there are new ones. In: the store's news of commits by this process
 * and others, in whatever order it arrives. Out: one unbroken sequence of commits for all listeners.
 *
 * It stores nothing: anybody who was not listening reads the store. If the news leaves a hole, only the store knows
 * the events in it, and the commit that closes it comes without events.
 *
 * Invariants: within an epoch `lastOffset` only grows; everything told was already committed; each commit begins where the last one
 * ended. A reader of the store may see a commit a moment before it is told here.
 */
export class Commits {
  #lastOffset: number;
  readonly #listeners = new Set<CommitListener>();
  readonly #epochListeners = new Set<() => void>();
  readonly #stopWatching: readonly (() => void)[];

  /** @param lastOffset where to begin: an end of the log that the store has reported */
  constructor(store: EventStore, lastOffset: number) {
    this.#lastOffset = lastOffset;
    this.#stopWatching = [
      store.watchEpochs(({ afterOffset }) => this.#went(afterOffset)),
      store.watch(lastOffset, (news) => this.#heard(news)),
    ];
  }

  /** Begins at the end of the log. Rejects with the store's error if that cannot be read. */
  static async open(store: EventStore): Promise<Commits> {
    const { lastOffset } = await store.snapshot({ order: 'asc', after: START.asc });
    return new Commits(store, lastOffset);
  }

  /** The highest offset known here to be committed, 0 in an empty log. The store may be ahead of it. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  /** Calls the listener with every future commit, until the returned function is called. It must not throw. */
  listen(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    for (const stop of this.#stopWatching) stop();
  }

  /**
   * Calls the listener when an epoch has begun, until the returned function is called: the log may have gone back, so whoever
   * remembers events or offsets of it begins anew.
   */
  listenEpochs(listener: () => void): () => void {
    this.#epochListeners.add(listener);
    return () => this.#epochListeners.delete(listener);
  }

  /** An epoch begins after this offset. */
  #went(afterOffset: number): void {
    this.#lastOffset = Math.min(this.#lastOffset, afterOffset);
    for (const listener of this.#epochListeners) listener();
  }

  #heard({ after, lastOffset, events }: News): void {
    const known = this.#lastOffset;
    if (lastOffset <= known) return;
    this.#lastOffset = lastOffset;
    // A gap below the news holds events that nobody told of: only the store has them.
    const commit = { after: known, lastOffset, events: after > known ? null : events };
    for (const listener of this.#listeners) listener(commit);
  }
}
