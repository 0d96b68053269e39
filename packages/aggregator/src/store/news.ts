/**
 * One piece of news from a store: all events above `after`, up to `lastOffset`, are committed and durable.
 *
 * A store tells such news in any order it learns them. Pieces may overlap, repeat what was told before or leave a hole
 * between them; each event is covered by a piece in the end. What makes one unbroken sequence of them is Commits
 * (commits/commits.ts).
 */
export interface News {
  readonly after: number;
  readonly lastOffset: number;
  /** The events, where the store has them at hand; null where they are to be read from the store. */
  readonly events: CommittedEvents | null;
}

/**
 * Events that were just committed, lent for as long as the call lasts: their memory belongs to somebody else, who reuses
 * it afterwards. Whoever needs a text for longer copies it.
 */
export interface CommittedEvents {
  /** The topics of all of them. */
  readonly topics: ReadonlySet<string>;

  /** Visits those above the offset, ascending, whose topic is wanted. `text` is the event's JSON as it was sent. */
  each(above: number, isWanted: (topic: string) => boolean, visit: VisitEvent): void;
}

export type VisitEvent = (topic: string, text: Uint8Array, offset: number, receivedMs: number) => void;

export type NewsListener = (news: News) => void;
