/**
 * A piece of news from a store: all events above `after`, up to `lastOffset`, are committed and durable.
 *
 * A store tells news in whatever order it learns it. Pieces may overlap, repeat earlier ones or leave a hole between
 * them, but in the end a piece covers each event. Commits (commits/commits.ts) turns them into one unbroken sequence.
 */
export interface News {
  readonly after: number;
  readonly lastOffset: number;
  /** The events, if they are in memory; null if they must be read from the store. */
  readonly events: CommittedEvents | null;
}

/**
 * Events that were just committed, lent for the duration of the call: their memory has another owner, who reuses it
 * afterwards. Copy any text that you need for longer.
 */
export interface CommittedEvents {
  /** The topics of all these events. */
  readonly topics: ReadonlySet<string>;

  /**
   * Visits the events above the offset whose topic is wanted, in ascending order. `text` is the event's JSON as it
   * was sent.
   */
  each(above: number, isWanted: (topic: string) => boolean, visit: VisitEvent): void;
}

export type VisitEvent = (topic: string, text: Uint8Array, offset: number, receivedMs: number) => void;

export type NewsListener = (news: News) => void;
