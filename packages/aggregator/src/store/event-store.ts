import type { Instant } from '@chronicleweaver/protocol';
import type { EventBatch } from '../event/event-batch.ts';
import type { Framing } from './stored-event.ts';
import type { GroupStore } from './group-store.ts';
import type { NewsListener } from './news.ts';

/**
 * Keeps every event once, in one order, and hands it out again. All stores behave the same, and one suite proves it
 * for each of them (test/store/event-store*.test.ts). Read memory/ first.
 *
 * Invariants: one event per `(topic, event_id)`, the first; offsets grow strictly in commit order, from 1;
 * `received = accepted + duplicates`, counted in the transaction that stores the events.
 */
export interface EventStore {
  /** Describes the store for the log: `store`, and whatever else tells one from another. */
  readonly about: Readonly<Record<string, string>>;

  /** Oldest first, at least one; the store writes to the last. They change only at a start. */
  readonly epochs: readonly Epoch[];

  /** How far each group has come, in the same file. */
  readonly groups: GroupStore;

  /**
   * Judges and stores the events of all batches in one transaction, and resolves once it is durable, with one result
   * per batch. Rejects with a StoreError; then nothing of any batch is stored.
   */
  append(batches: readonly EventBatch[]): Promise<AppendResult[]>;

  /** Commits nothing, durably: resolves where an append would, rejects with a StoreError where it would not. */
  probe(): Promise<void>;

  /** The end of the log now, and how many events beyond `after`, in the query's order, match up to that end. */
  snapshot(query: SnapshotQuery): Promise<Snapshot>;

  /** Some of the matching events, and where to continue. Bounded in events, bytes and work. */
  read(query: PageQuery): Promise<EventPage>;

  /** The events at these offsets, which must exist and ascend: in the framing `array`, with their places. */
  readAt(offsets: Float64Array): Promise<PlacedPage>;

  /** The stored event's JSON as `GET /events` gives it. */
  find(topic: string, eventId: string): Promise<string | undefined>;

  /** All topics, or those that pass the filter, in order of their names. */
  topics(filter?: TopicFilter): Promise<TopicSummary[]>;

  /** The books of the whole log. They are not kept per topic; `topics` says what each topic holds. */
  stats(): Promise<StoreStats>;

  /**
   * Tells the listener of everything committed above `after`, by this process or another, once it is durable, until
   * the returned function is called. That includes what was committed before the call. An append made here is
   * reported before it resolves. The listener must not throw.
   */
  watch(after: number, listener: NewsListener): () => void;

  /** Waits for pending work, then closes the file. */
  close(): Promise<void>;
}

/** A message for the log that a store sends on its own initiative. */
export interface StoreMessage {
  readonly level: 'info' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/**
 * A stretch of the log that was written without ever going back. The first start on a restored copy begins a new one.
 */
export interface Epoch {
  readonly name: string;
  /** The last offset of the epoch before it: up to there both hold the same log. */
  readonly afterOffset: number;
}

/** What became of one batch; `verdicts` and `offsets` have an entry per event, in order. */
export interface AppendResult {
  readonly accepted: number;
  /** Counts conflicts too. */
  readonly duplicates: number;
  readonly conflicts: number;
  /** When the accepted events were committed, in milliseconds since 1970: their `received_at`. */
  readonly receivedMs: number;
  /** ACCEPTED, DUPLICATE or CONFLICT. */
  readonly verdicts: Uint8Array;
  /** The offset of the stored event. A dropped event gets the offset of the first one under its id. */
  readonly offsets: Float64Array;
}

/** Codes of the protocol's VERDICTS: their places in that list. */
export const ACCEPTED = 0;
export const DUPLICATE = 1;
export const CONFLICT = 2;

/** Selects the topics that pass every condition. */
export interface TopicFilter {
  /** Exactly this one. */
  readonly topic?: string | undefined;
  /**
   * In each list at least one pattern must match the topic (protocol's topic-pattern.ts). So what a request asks for
   * and what its key may see stand side by side as two lists. An empty list matches nothing.
   */
  readonly topicPatterns?: readonly (readonly string[])[] | undefined;
}

/** Selects events. Times are the event's own, compared in all their digits: `from` is inclusive, `to` exclusive. */
export interface EventFilter extends TopicFilter {
  readonly source?: string | undefined;
  readonly from?: Instant | undefined;
  readonly to?: Instant | undefined;
}

export interface Snapshot {
  /** The highest offset assigned so far, 0 in an empty log. */
  readonly lastOffset: number;
  readonly count: number;
}

export interface SnapshotQuery extends EventFilter {
  readonly order: 'asc' | 'desc';
  /** Exclusive: ascending reads take offsets above it, descending reads offsets below it. */
  readonly after: number;
}

/** The `after` that covers the whole log. */
export const START = { asc: 0, desc: Number.MAX_SAFE_INTEGER } as const;

export interface PageQuery extends SnapshotQuery {
  /** Inclusive: the highest offset to return. */
  readonly upTo: number;
  /** At least 1. The page may hold fewer, because it is also bounded in bytes and work. */
  readonly eventsMax: number;
  /** How the events are separated in `bytes`. */
  readonly framing: Framing;
  /** The page ends after the event that brings it to this many bytes. Without it the store applies its own bound. */
  readonly bytesMax?: number;
  /** Whether to say where each event stands, for callers that take the page apart. */
  readonly placed?: boolean;
}

export interface EventPage {
  /** UTF-8: the events' JSON, with `offset` and `received_at`, framed. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /** The offset of the page's last event; meaningless if `count` is 0. */
  readonly lastOffset: number;
  /** The `after` of the next page, or null at the end of the log. A value does not promise another event. */
  readonly resumeAfter: number | null;
  /** Where each event's frame ends in `bytes`, and its offset; only if `placed` was requested. */
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
  /** Bytes on disk; 0 for a store without a disk. */
  readonly storedBytes: number;
}

/**
 * - `blocked`: no space, or another process holds the file; a later append may succeed.
 * - `failed`: the file or disk cannot be trusted, or the writer has ended; nothing more is appended until a restart.
 * - `damaged`: this part of the store cannot be read; other reads and appends may succeed.
 * - `closed`: the store was closed.
 * - `unusable`: the file cannot be opened as one of ours; thrown only at start.
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
