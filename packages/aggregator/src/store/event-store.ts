import type { Instant } from '@chronicleweaver/protocol';
import type { AuditStore } from './audit-store.ts';
import type { EventBatch } from '../event/event-batch.ts';
import type { Framing } from './stored-event.ts';
import type { GroupStore } from './group-store.ts';
import type { NewsListener } from './news.ts';
import type { RepeatStore } from './repeat-store.ts';
import type { RetentionStore } from './retention-store.ts';
import type { SourceStore } from './source-store.ts';
import type { TopicFilter } from './topic-filter.ts';

export type { TopicFilter } from './topic-filter.ts';

/**
 * Keeps every event once, in one order, and hands it out again. All stores behave the same, and one suite proves it
 * for each of them (test/store/event-store*.test.ts). Read memory/ first.
 *
 * Invariants: one event per `(topic, event_id)`, the first; offsets grow strictly in commit order, from 1;
 * `received = accepted + duplicates`, counted in the transaction that stores the events.
 */
export interface EventStore {
  /** Which store it is, for the log and `/stats`. */
  readonly about: StoreAbout;

  /** Oldest first, at least one; the store writes to the last. Another list once there is a new one, never a changed one. */
  readonly epochs: readonly Epoch[];

  /** How many appends at once are quicker than one after another. More may be made, and wait for each other. */
  readonly groupsAtOnce: number;

  /** How far each group has come, in the same file. */
  readonly groups: GroupStore;

  /** What is let go of, and when. */
  readonly retention: RetentionStore;

  /** What is remembered of publishes whose id was known already. */
  readonly repeats: RepeatStore;

  /** From where deliveries come. */
  readonly sources: SourceStore;

  /** What became of events, and who did what, for those who need to show it. */
  readonly audit: AuditStore;

  /**
   * Judges and stores the events of all batches in one transaction, and resolves once it is durable, with one result
   * per batch. Rejects with a StoreError; then nothing of any batch is stored.
   */
  append(batches: readonly EventBatch[]): Promise<AppendResult[]>;

  /** Commits nothing, durably: resolves where an append would, rejects with a StoreError where it would not. */
  probe(): Promise<void>;

  /** The end of the log now, and how many kept events beyond `after`, in the query's order, match up to `upTo` or that end. */
  snapshot(query: SnapshotQuery): Promise<Snapshot>;

  /** Some of the matching events that are kept, and where to continue. Bounded in events, bytes and work. */
  read(query: PageQuery): Promise<EventPage>;

  /** Those of the events at these offsets that are kept: in the framing `array`, with their places. The offsets must exist and ascend. */
  readAt(offsets: Float64Array): Promise<PlacedPage>;

  /** How many of the events at these offsets are kept and pass the filter. The offsets must exist and ascend. */
  countAt(offsets: Float64Array, filter: TopicFilter): Promise<number>;

  /** The stored event's JSON as `GET /events` gives it, or what is known of one whose text is gone. */
  find(topic: string, eventId: string): Promise<string | ExpiredEvent | undefined>;

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

  /**
   * Tells the listener of each epoch that begins while the store is open, before anything of it is read: what was told above
   * its `afterOffset` may mean other events from then on. Until the returned function is called.
   */
  watchEpochs(listener: (epoch: Epoch) => void): () => void;

  /** Waits for pending work, then closes the file. Called again, it waits for the same. */
  close(): Promise<void>;
}

/** Tells one store from another. */
export interface StoreAbout {
  /** As in its address: `sqlite`, `postgres`, `memory`. */
  readonly store: string;
  /** Where its log is: the path of a file, or server and database without a password. */
  readonly database?: string;
  /** The version of SQLite, or of the server. */
  readonly storeVersion?: string;
}

/** A message for the log that a store sends on its own initiative. */
export interface StoreMessage {
  readonly level: 'info' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/**
 * A stretch of the log that was written without ever going back. The first start on a restored copy begins a new one; where
 * many processes share a store, one may also begin while they run.
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
  /** 1 for each accepted event that was stored bare (retention-store.ts); null if none was. */
  readonly bare: Uint8Array | null;
  /** How long the commit waited for what makes it durable, milliseconds; undefined if the store waits for nothing. */
  readonly syncMs?: number | undefined;
}

/** What stays known of an event whose text is gone. */
export interface ExpiredEvent {
  readonly offset: number;
  readonly receivedMs: number;
}

/** Codes of the protocol's VERDICTS: their places in that list. */
export const ACCEPTED = 0;
export const DUPLICATE = 1;
export const CONFLICT = 2;

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
  /** As in a page. */
  readonly expired: number;
}

export interface SnapshotQuery extends EventFilter {
  readonly order: 'asc' | 'desc';
  /** Exclusive: ascending reads take offsets above it, descending reads offsets below it. */
  readonly after: number;
  /** Inclusive: the highest offset that counts; the end of the log if undefined. */
  readonly upTo?: number | undefined;
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
  /**
   * What to do about expired events besides counting them. `told`: in the framing `stream` each run of them is told in its place
   * (stored-event.ts). `apart`: likewise, and the page ends before the first one behind an event, and before the first event
   * behind one, so it has events or it passes over expired ones, but never both.
   */
  readonly gaps?: 'told' | 'apart' | undefined;
}

export interface EventPage {
  /** UTF-8: the events' JSON, with `offset` and `received_at`, framed. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /**
   * Events on the query's topics that were passed over because they have expired, from the query's `after` to the next page's.
   * Whether source and time would have matched is gone with their texts.
   */
  readonly expired: number;
  /** The offset of the page's last event; meaningless if `count` is 0. */
  readonly lastOffset: number;
  /** The `after` of the next page, or null at the end of the log. A value does not promise another event. */
  readonly resumeAfter: number | null;
  /**
   * Where each event's frame ends in `bytes`, its offset, and how many of `expired` were passed over between the event before it
   * and itself; only if `placed` was requested.
   */
  readonly ends?: Int32Array;
  readonly offsets?: Float64Array;
  readonly expiredBefore?: Int32Array;
}

export type PlacedPage = EventPage & Required<Pick<EventPage, 'ends' | 'offsets' | 'expiredBefore'>>;

export interface TopicSummary {
  readonly topic: string;
  /** Those that are kept, and the bytes of their texts, uncompressed. */
  readonly events: number;
  readonly bytes: number;
  readonly expired: number;
  readonly bare: number;
  /** Of the first event that is kept; 0 if none is. */
  readonly firstOffset: number;
  /** Of the last event, kept or not. */
  readonly lastOffset: number;
}

export interface StoreStats {
  readonly received: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly conflicts: number;
  /** Of the accepted events those that are not kept. */
  readonly expired: number;
  readonly bare: number;
  /** Of these, events whose ids are forgotten. */
  readonly forgotten: number;
  /** Of the first event that is kept; 0 if none is. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly topics: readonly string[];
  /** Bytes on disk; 0 for a store without a disk. */
  readonly storedBytes: number;
  /** Of these, the write-ahead log; null for a store that is not in a file. */
  readonly walBytes: number | null;
}

/**
 * - `blocked`: no space, or another process holds the file; a later append may succeed.
 * - `in_doubt`: the database does not answer, and an append may be stored or not: another try stores it once.
 * - `failed`: the file or disk cannot be trusted, or the writer has ended; nothing more is appended until a restart.
 * - `damaged`: this part of the store cannot be read; other reads and appends may succeed.
 * - `closed`: the store was closed.
 * - `unusable`: the file cannot be opened as one of ours; thrown only at start.
 */
export type StoreErrorCode = 'blocked' | 'in_doubt' | 'failed' | 'damaged' | 'closed' | 'unusable';

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** An event was erased, and nobody is shown it any more, but something that runs still holds its bytes: it is to be erased again. */
export class StillHeldError extends StoreError {
  constructor(message: string) {
    super('blocked', message);
  }
}
