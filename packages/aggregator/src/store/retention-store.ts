import type { TopicFilter } from './topic-filter.ts';

/**
 * Lets go of texts, and later of ids. All stores behave the same, and one suite proves it for each of them
 * (test/store/retention-store.test.ts). Read memory/retention.ts first.
 *
 *   append ──▶ kept ──expire, erase──▶ expired ──forget──▶ forgotten
 *      │                                                      ▲
 *      └─────▶ bare ──────────────────forget──────────────────┘
 *
 * - *kept*: the text is stored; readers, followers and groups see the event.
 * - *expired*: the text is gone for good. The id stays, with the offset and the time of the commit: `find` tells them, a
 *   republish is a duplicate, and readers who pass over the event are told how many they passed over.
 * - *bare*: the text was never stored, because a policy keeps only the ids of its topic. Like expired, but nobody is told
 *   when passing over it: nobody could ever have read it.
 * - *forgotten*: the id is gone too. Nothing finds it, and a republish is accepted as a new event with a new offset.
 *
 * Invariants: an event only moves along these arrows, each move is one transaction with the counts that tell of it, and an
 * offset is never given again. For each topic `accepted = events + expired + bare`; a forgotten event still counts as what it
 * was before.
 */
export interface RetentionStore {
  /** In order of their names' bytes. */
  policies(): Promise<readonly Policy[]>;

  /**
   * Creates the policy, or replaces the one with its name. Changes nothing if it contradicts another one, because a topic obeys
   * one policy at most (policies.ts), or if there may be no more. From then on events on topics that obey a policy with `keep: 'ids'` are stored bare; events
   * that are kept stay so.
   *
   * @param by the key of whoever does it, for the audit trail; null without keys
   */
  put(policy: Policy, by?: string | null): Promise<PutPolicy>;

  /** Removes the policy; false if there is none. What expired stays expired. */
  remove(name: string, by?: string | null): Promise<boolean>;

  /**
   * Whether this process does the work of the policies: where many share a store, one of them, until it has not asked for
   * half a minute. Ask again every few seconds, and before each step. It spares work, no more: any process may take any step.
   */
  claim(): Promise<boolean>;

  /**
   * The time by the store's clock, which sets the times of commits, milliseconds since 1970. Ages are judged by it alone: the
   * clocks of processes that share a store may differ.
   */
  now(): Promise<number>;

  /** Which kept events of these topics are beyond the bounds now. They are always the oldest ones, up to an offset. */
  due(query: DueQuery): Promise<Due>;

  /**
   * Makes some of the kept events of these topics up to the offset expired, the oldest first, so few at a time that an append
   * waits for moments only. Call it again until it says `isDone`: then all of it is durable, and earlier it may not be.
   */
  expire(query: ExpireQuery): Promise<ExpiredSome>;

  /**
   * Makes one event expired, whatever the policies say, and resolves once no byte of its text is left in the store's files;
   * an event that is expired already is searched for what is left of it in the same way. With `isForgotten` its id is gone, too.
   * Resolves with null if no such id is known. Rejects with a StillHeldError if something that still runs, such as a
   * backup, holds the bytes: then the event is expired and not yet forgotten, and another call finishes the work.
   */
  erase(topic: string, eventId: string, isForgotten: boolean): Promise<Erased | null>;

  /** Forgets some ids of events on these topics that are expired or bare and were committed before the time; as `expire`. */
  forget(query: ForgetQuery): Promise<ForgottenSome>;

  /**
   * Tells the listener each time that kept events expired, by any process, once that is committed, until the returned function is
   * called. What is done here is told before it resolves; what others do may be told late, several in one.
   */
  watch(listener: (expiry: Expiry) => void): () => void;
}

/** What is kept of the events on some topics, and how long. */
export interface Policy {
  readonly name: string;
  /** Distinct topic patterns. The bounds are about the events of all topics together that obey the policy. */
  readonly topics: readonly string[];
  /** `ids`: events are stored bare, and the three bounds that follow are null. */
  readonly keep: 'events' | 'ids';
  /** How long after its commit an event is kept, milliseconds; null: for ever. An event goes when any of the bounds is passed. */
  readonly maxAgeMs: number | null;
  /** Of the texts that are kept, uncompressed. */
  readonly maxBytes: number | null;
  readonly maxEvents: number | null;
  /** How long after its commit an event's id is known at least, milliseconds; null: for ever. Never shorter than `maxAgeMs`. */
  readonly idsMs: number | null;
  /** Whether events go that a group has not finished. */
  readonly pastGroups: boolean;
  /** How long a group may hold events that are due, milliseconds; null: as long as it takes. */
  readonly heldMaxMs: number | null;
}

export type PutPolicy =
  | { readonly kind: 'created' | 'same' | 'changed' }
  /** There may be no more. */
  | { readonly kind: 'full' }
  /** Some topic matches both, and neither pattern is narrower. */
  | { readonly kind: 'overlaps'; readonly name: string; readonly pattern: string; readonly other: string };

export interface DueQuery extends TopicFilter {
  /** Events committed before this time are due, milliseconds since 1970; null: none is for its age. */
  readonly committedBeforeMs: number | null;
  /** The oldest events beyond this number, and beyond this many bytes of text, are due. */
  readonly eventsMax: number | null;
  readonly bytesMax: number | null;
  /** Nothing above this offset is due. */
  readonly upTo: number;
}

export interface Due {
  readonly events: number;
  /** Of their texts, uncompressed. */
  readonly bytes: number;
  /** The offset of the last one; 0 if there is none. */
  readonly upTo: number;
  /** The first kept event of these topics that is not due; null if there is none. */
  readonly oldestKept: { readonly offset: number; readonly receivedMs: number } | null;
}

export interface ExpireQuery extends TopicFilter {
  /** Inclusive. */
  readonly upTo: number;
  /**
   * The name of the epoch in which that offset was found: once another has begun it rejects with a StoreError `blocked`, since other
   * events may lie up to there.
   */
  readonly epoch?: string;
}

export interface ExpiredSome {
  readonly events: number;
  /** Of their texts, uncompressed. */
  readonly bytes: number;
  readonly isDone: boolean;
}

export interface Erased {
  readonly offset: number;
  readonly receivedMs: number;
  /** Whether the text was still there. */
  readonly wasKept: boolean;
}

export interface ForgetQuery extends TopicFilter {
  /** Milliseconds since 1970. */
  readonly committedBeforeMs: number;
}

export interface ForgottenSome {
  readonly ids: number;
  readonly isDone: boolean;
}

/** Some events between these offsets, both inclusive, have expired. */
export interface Expiry {
  readonly from: number;
  readonly upTo: number;
}
