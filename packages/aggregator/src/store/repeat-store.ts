import type { TopicFilter } from './topic-filter.ts';

/**
 * Remembers the repeats: publishes of events whose id was known already. All stores behave the same, and one suite proves it
 * for each of them (test/store/repeat-store.test.ts). Read memory/repeats.ts first.
 *
 * In: each commit's duplicates and conflicts, in the transaction that judges them, so the counts here agree with the books
 * whatever crashes. Out: how late they came, who sends them, what became of one event, and the texts that lost.
 *
 * Invariants: counts never shrink, and begin with `sinceMs`; what is kept of single repeats is bounded by the constants below;
 * nothing is kept of an event whose id is forgotten, and no text of a conflict outlives the text of the event it lost to.
 */
export interface RepeatStore {
  /** Since when repeats are counted, milliseconds since 1970: the first start of this log with a version that counts them. */
  sinceMs(): Promise<number>;

  /** How long after the first one the repeats came. */
  ages(filter: RepeatFilter): Promise<AgeCounts>;

  /** What became of the event with this id, and of its repeats. Undefined if the id is not known. */
  history(topic: string, eventId: string): Promise<EventHistory | undefined>;

  /** Which topics or sources have most repeats, most first, then by the bytes of their names. */
  repeaters(query: RepeatersQuery): Promise<Repeaters>;

  /** The conflicts that are still known, the newest first. */
  conflicts(query: ConflictQuery): Promise<ConflictPage>;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A repeat is counted at the first bound that its age does not exceed, or beyond the last one. Milliseconds. */
export const AGE_BOUNDS_MS: readonly number[] = [
  SECOND_MS,
  10 * SECOND_MS,
  MINUTE_MS,
  2 * MINUTE_MS,
  5 * MINUTE_MS,
  10 * MINUTE_MS,
  HOUR_MS,
  6 * HOUR_MS,
  DAY_MS,
  7 * DAY_MS,
  30 * DAY_MS,
];

/** A store may take an age for up to this share of itself longer or shorter than it is. */
export const AGE_ERROR_MAX = 0.005;

/** Of one event the last repeats are known one by one: so many, or fewer where a store bounds what long names take. */
export const REPEATS_KEPT_MAX = 32;

/** Of all conflicts the last ones are known, and of these the last ones' texts up to so many bytes. */
export const CONFLICTS_KEPT_MAX = 10_000;
export const CONFLICT_BYTES_MAX = 64 * 1024 * 1024;

/** A page of conflicts ends with the one that brings its texts to this many bytes. */
export const CONFLICT_PAGE_BYTES_MAX = 4 * 1024 * 1024;

/** Repeats are counted by periods of this length, for the last day and the period before it. */
export const PERIOD_MS = 10 * MINUTE_MS;

/**
 * Pairs of topic and source that are counted apart, of all time and of one period. Repeats of further sources are counted on
 * their topics alone.
 */
export const PAIRS_MAX = 100_000;
export const PERIOD_PAIRS_MAX = 10_000;

export interface RepeatFilter extends TopicFilter {
  readonly source?: string | undefined;
}

/** An entry for each bound of AGE_BOUNDS_MS, and one for older ones. */
export interface AgeCounts {
  /** As in the books, these include the conflicts. */
  readonly duplicates: readonly number[];
  readonly conflicts: readonly number[];
}

export interface EventHistory {
  readonly offset: number;
  /** When the first one was committed. */
  readonly receivedMs: number;
  /** The first one's source; null once its text is gone. */
  readonly source: string | null;
  /** Of all time since `sinceMs`; they include the conflicts. */
  readonly duplicates: number;
  readonly conflicts: number;
  /** The last ones, at most REPEATS_KEPT_MAX, the newest first. */
  readonly repeats: readonly Repeat[];
}

export interface Repeat {
  /** When the commit was made that judged it. */
  readonly receivedMs: number;
  readonly isConflict: boolean;
  readonly source: string;
  /** The name of the key it was published with; null without keys. */
  readonly publisher: string | null;
}

export interface RepeatersQuery extends TopicFilter {
  readonly by: 'topic' | 'source';
  /** Counts whole periods, from the one that holds this time on; null: all time. */
  readonly sinceMs: number | null;
  /** At least 1. */
  readonly limit: number;
}

export interface Repeaters {
  readonly repeaters: readonly {
    readonly name: string;
    readonly duplicates: number;
    readonly conflicts: number;
  }[];
  /** With `by` source: repeats of sources that are not counted by name, because there were too many. */
  readonly unnamed: { readonly duplicates: number; readonly conflicts: number };
}

export interface ConflictQuery extends RepeatFilter {
  /** Conflicts below this number; null: from the newest on. */
  readonly before: number | null;
  /** At least 1. A page has fewer once its texts have CONFLICT_PAGE_BYTES_MAX. */
  readonly limit: number;
}

export interface ConflictPage {
  readonly conflicts: readonly Conflict[];
  /** The `before` of the next page; null at the end. */
  readonly next: number | null;
}

/** An event that lost: its id was known, with other content. */
export interface Conflict {
  /** They are numbered from 1, in the order of their commits. */
  readonly number: number;
  readonly topic: string;
  readonly eventId: string;
  readonly source: string;
  /** Of the event that it lost to. */
  readonly offset: number;
  readonly receivedMs: number;
  readonly publisher: string | null;
  /** The JSON that was sent; null if it is not kept: the event it lost to has none, or newer ones need the room. */
  readonly text: string | null;
}

/** The place in AgeCounts of a repeat of this age. */
export function ageBucket(ageMs: number): number {
  const found = AGE_BOUNDS_MS.findIndex((bound) => ageMs <= bound);
  return found === -1 ? AGE_BOUNDS_MS.length : found;
}
