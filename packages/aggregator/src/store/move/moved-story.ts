import type { FreshRecord } from '../audit/audit-records.ts';
import { damaged } from '../errors.ts';
import type { Conflict, Repeat } from '../repeat-store.ts';

/**
 * What a log remembers of its repeats (store/repeat-store.ts), and its audit trail (store/audit-store.ts), on their way from one
 * store to the other. A part is a list of rows in an order that all stores share, so that two of them can be compared row by row.
 *
 * Repeats that a store has noted and not counted yet are counted once it is held. So a row here is always of counts.
 */
export interface MovedStory {
  /** By topic and source, as bytes. */
  readonly counts: MovedCount;
  /** By period, topic and source. */
  readonly periods: MovedPeriod;
  /** By their number, which is that of the books. */
  readonly conflicts: Conflict;
  /** By offset. */
  readonly histories: MovedHistory;
  /** By number. */
  readonly trail: MovedRecord;
}

export type StoryPart = keyof MovedStory;

/** In the order in which they are written: each may rest on those before it. */
export const STORY_PARTS = [
  'counts',
  'periods',
  'conflicts',
  'histories',
  'trail',
] as const satisfies readonly StoryPart[];

/** For whoever reads what differs. */
export const STORY_NAMES: Readonly<Record<StoryPart, string>> = {
  counts: 'the counts of repeats',
  periods: 'the counts of repeats by period',
  conflicts: 'the conflicts',
  histories: 'the histories of events',
  trail: 'the audit trails',
};

/** Repeats of all time. An empty source stands for those that are too many to be named. */
export interface MovedCount {
  readonly topic: string;
  readonly source: string;
  /** An entry for each place of AgeCounts. */
  readonly duplicates: readonly number[];
  readonly conflicts: readonly number[];
}

export interface MovedPeriod {
  /** When the period began. */
  readonly periodMs: number;
  readonly topic: string;
  readonly source: string;
  readonly duplicates: number;
  readonly conflicts: number;
}

/** What is told of the repeats of one event. */
export interface MovedHistory {
  readonly offset: number;
  readonly duplicates: number;
  readonly conflicts: number;
  /** The last ones, the newest first. */
  readonly repeats: readonly Repeat[];
}

/** A record of the audit trail (store/audit/audit-records.ts). Its numbers have no gaps and its times never go back. */
export interface MovedRecord extends FreshRecord {
  readonly record: number;
  readonly atMs: number;
}

/** Writes a part of the story into a store: `R` is what each call returns, nothing or the promise of it. */
export interface StoryWriter<T, R extends void | Promise<void>> {
  /** Takes away what is there. */
  empty(): R;
  /** Adds the next rows. */
  put(rows: readonly T[]): R;
  /** After the last rows. */
  end(): R;
}

/** What writes each part into a store, where `topicId` is told the name of a topic. */
export type StoryWriters<S, R extends void | Promise<void>> = {
  readonly [P in StoryPart]: (store: S, topicId: (topic: string) => number) => StoryWriter<MovedStory[P], R>;
};

/** The id of a topic whose events were copied before. Throws a StoreError `failed` where none were. */
export function copiedTopicId(ids: ReadonlyMap<string, number>, topic: string): number {
  const id = ids.get(topic);
  if (id === undefined) throw damaged(`there are repeats on a topic ${JSON.stringify(topic)} without events`);
  return id;
}

/** Where a store reads each part. */
export type StoryReaders<S> = {
  readonly [P in StoryPart]: (store: S) => Rows<MovedStory[P]> | AsyncRows<MovedStory[P]>;
};

export type Rows<T> = Generator<readonly T[]>;
export type AsyncRows<T> = AsyncGenerator<readonly T[]>;

/** Rows that are read, written and compared at once end with the one that brings them to so many bytes. */
const ROWS_BYTES = 1024 * 1024;

/** Gathers rows until they have enough bytes together. */
export function* gathered<T>(rows: Iterable<T>, bytesOf: (row: T) => number): Rows<T> {
  let some: T[] = [];
  let bytes = 0;
  for (const row of rows) {
    some.push(row);
    bytes += bytesOf(row);
    if (bytes < ROWS_BYTES) continue;
    yield some;
    some = [];
    bytes = 0;
  }
  if (some.length > 0) yield some;
}
