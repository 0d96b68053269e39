import type { Instant } from '@chronicleweaver/protocol';
import type { EventBatch } from '../event/event-batch.ts';
import type { Framing } from './stored-event.ts';
import type { GroupStore } from './group-store.ts';
import type { NewsListener } from './news.ts';

/**
 * Keeps every event once, in one order, and hands it out again. Every store behaves the same and proves it by the same
 * suite (test/store/event-store*.test.ts); memory/ is the one to read first.
 *
 * Invariants: one event per `(topic, event_id)`, the first; offsets grow strictly in commit order, from 1;
 * `received = accepted + duplicates`, counted in the transaction that stores the events.
 */
export interface EventStore {
  /** What it is, for the log: `store` and what else tells one from another. */
  readonly about: Readonly<Record<string, string>>;

  /** Oldest first, at least one; the last is the one that is written. They change at a start alone. */
  readonly epochs: readonly Epoch[];

  /** How far each group has come, in the same file. */
  readonly groups: GroupStore;

  /**
   * Judges and stores the events of all batches in one transaction and resolves after it is durable, with one result
   * per batch. Rejects with a StoreError, and then nothing of any batch is stored.
   */
  append(batches: readonly EventBatch[]): Promise<AppendResult[]>;

  /** Commits nothing, durably: resolves where an append would, rejects with a StoreError where it would not. */
  probe(): Promise<void>;

  /** The end of the log now, and how many events behind `after`, in that order, match up to there. */
  snapshot(query: SnapshotQuery): Promise<Snapshot>;

  /** Some of the events that match, and where to go on: bounded in events, bytes and work. */
  read(query: PageQuery): Promise<EventPage>;

  /** The events at these offsets, which are there, ascending: in the framing `array`, with their places. */
  readAt(offsets: Float64Array): Promise<PlacedPage>;

  /** The stored event's JSON as `GET /events` gives it. */
  find(topic: string, eventId: string): Promise<string | undefined>;

  /** All topics, or those that the filter leaves, in order of their names. */
  topics(filter?: TopicFilter): Promise<TopicSummary[]>;

  /** The books of the whole log. They are not kept by topic: what a topic holds is told by `topics`. */
  stats(): Promise<StoreStats>;

  /**
   * Tells the listener of everything that is committed above `after`, by this process or another, after it is durable,
   * until the returned function is called. What is committed already is told as well. The listener must not throw.
   * What was appended here is told before the append resolves.
   */
  watch(after: number, listener: NewsListener): () => void;

  /** Waits for what was begun and lets go of the file. */
  close(): Promise<void>;
}

/** What a store has to say for the log, unasked. */
export interface StoreMessage {
  readonly level: 'info' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** A part of the log that was written without ever going back. The first start on a restored copy begins another. */
export interface Epoch {
  readonly name: string;
  /** The last offset of the one before: up to there the log is the same in both. */
  readonly afterOffset: number;
}

/** What became of one batch; `verdicts` and `offsets` have an entry per event, in order. */
export interface AppendResult {
  readonly accepted: number;
  /** Counts conflicts too. */
  readonly duplicates: number;
  readonly conflicts: number;
  /** When the accepted events were committed, milliseconds since 1970: their `received_at`. */
  readonly receivedMs: number;
  /** ACCEPTED, DUPLICATE or CONFLICT. */
  readonly verdicts: Uint8Array;
  /** The offset of the stored event: of a dropped one, that of the first. */
  readonly offsets: Float64Array;
}

/** The codes of the protocol's VERDICTS: places in that list. */
export const ACCEPTED = 0;
export const DUPLICATE = 1;
export const CONFLICT = 2;

/** Which topics are meant: all that pass every condition. */
export interface TopicFilter {
  /** Exactly this one. */
  readonly topic?: string | undefined;
  /**
   * Of each list at least one pattern matches the topic (protocol's topic-pattern.ts), so that what a request asks for
   * and what its key may see are simply put beside one another. An empty list leaves nothing.
   */
  readonly topicPatterns?: readonly (readonly string[])[] | undefined;
}

/** What an event must be to be given out. Times are those of the event, with all their digits: `from` inclusive, `to` exclusive. */
export interface EventFilter extends TopicFilter {
  readonly source?: string | undefined;
  readonly from?: Instant | undefined;
  readonly to?: Instant | undefined;
}

export interface Snapshot {
  /** The highest offset given so far, 0 in an empty log. */
  readonly lastOffset: number;
  readonly count: number;
}

export interface SnapshotQuery extends EventFilter {
  readonly order: 'asc' | 'desc';
  /** Exclusive: in ascending order offsets above it, in descending order offsets below it. */
  readonly after: number;
}

/** The `after` that leaves nothing out. */
export const START = { asc: 0, desc: Number.MAX_SAFE_INTEGER } as const;

export interface PageQuery extends SnapshotQuery {
  /** Inclusive: no offset above it. */
  readonly upTo: number;
  /** At least 1. The page may hold fewer for its bounds in bytes and work. */
  readonly eventsMax: number;
  /** How the events stand in `bytes`. */
  readonly framing: Framing;
  /** The page ends behind the event that brings it to so many bytes; without it a store has its own bound. */
  readonly bytesMax?: number;
  /** Whether to say of each event where it stands, for whoever takes the page apart. */
  readonly placed?: boolean;
}

export interface EventPage {
  /** UTF-8: the events' JSON, with `offset` and `received_at`, framed. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /** The offset of the last event of the page; of no meaning where `count` is 0. */
  readonly lastOffset: number;
  /** The `after` of the next page, or null where the log ends. Not null does not promise another event. */
  readonly resumeAfter: number | null;
  /** Of each event, where its frame ends in `bytes`, and its offset; only where `placed` was asked for. */
  readonly ends?: Int32Array;
  readonly offsets?: Float64Array;
}

export type PlacedPage = EventPage & Required<Pick<EventPage, 'ends' | 'offsets'>>;

export interface TopicSummary {
  readonly topic: string;
  readonly events: number;
  readonly lastOffset: number;
}

export interface StoreStats {
  readonly received: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly lastOffset: number;
  readonly topics: readonly string[];
  /** Size of what is on disk, bytes; 0 for a store without a disk. */
  readonly storedBytes: number;
}

/**
 * - `blocked`: no space, or the file is held by another; a later append may succeed.
 * - `failed`: the file or the disk cannot be trusted, or the writer has ended; nothing is appended until a restart.
 * - `damaged`: what is stored cannot be read there; other reads and appends may succeed.
 * - `closed`: the store was closed.
 * - `unusable`: the file cannot be opened as ours; thrown at start only.
 */
export type StoreErrorCode = 'blocked' | 'failed' | 'damaged' | 'closed' | 'unusable';

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
