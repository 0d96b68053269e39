import { stat } from 'node:fs/promises';
import type { EventBatch } from '../../event/event-batch.ts';
import { groupOf, resultsOf } from '../commit-group.ts';
import {
  type AppendResult,
  type Epoch,
  type EventPage,
  type EventStore,
  type ExpiredEvent,
  type PageQuery,
  type PlacedPage,
  START,
  type Snapshot,
  type SnapshotQuery,
  type StoreAbout,
  type StoreMessage,
  type StoreStats,
  type TopicFilter,
  type TopicSummary,
} from '../event-store.ts';
import type { OutcomesOf, Step, GroupStore } from '../group-store.ts';
import type { AuditStore } from '../audit-store.ts';
import { SqliteAudit } from './audit-calls.ts';
import { placeOf } from './file/place.ts';
import type { CountedSome } from './read.ts';
import type { GroupNews } from '../group-news.ts';
import { newsOfSteps } from '../news-of-steps.ts';
import type { News, NewsListener } from '../news.ts';
import { newsOf } from '../news-of-append.ts';
import type { RepeatStore } from '../repeat-store.ts';
import type { RetentionStore } from '../retention-store.ts';
import type { SourceStore } from '../source-store.ts';
import { topicFilterOf } from '../topic-filter.ts';
import { Watchers } from '../watchers.ts';
import { SqliteRepeats } from './repeat-calls.ts';
import { SqliteRetention } from './retention-calls.ts';
import { ThreadClient } from './threads/client.ts';
import type { Opened } from './threads/calls.ts';
import type { ReaderCalls, WriterCalls } from './threads/thread.ts';

/** Offsets that one call to the reader's thread is about: some milliseconds, if each is in a block of its own. */
const COUNTED_AT_ONCE = 1000;

/**
 * One SQLite file, written by one thread and read by another. Nothing blocks in this thread: every method is a
 * message and its answer. A read that begins after an append was answered sees what the append stored, because the
 * answer comes after the commit.
 */
export class SqliteStore implements EventStore {
  readonly about: StoreAbout;
  readonly epochs: readonly Epoch[];
  readonly groupsAtOnce: number = 1;
  readonly groups: GroupStore;
  readonly retention: RetentionStore;
  readonly repeats: RepeatStore;
  readonly sources: SourceStore;
  readonly audit: AuditStore;
  readonly #path: string;
  readonly #writer: ThreadClient<WriterCalls>;
  readonly #reader: ThreadClient<ReaderCalls>;
  readonly #watchers = new Watchers<News>();
  readonly #groupWatchers = new Watchers<GroupNews>();
  /** The last offset of the newest commit. All commits are made through this object. */
  #lastOffset: number;

  private constructor(
    path: string,
    writer: ThreadClient<WriterCalls>,
    reader: ThreadClient<ReaderCalls>,
    { sqliteVersion, epochs, lastOffset }: Opened,
    clock: SqliteOptions['clock'],
  ) {
    this.#path = path;
    this.#writer = writer;
    this.#reader = reader;
    this.about = { store: 'sqlite', database: path, storeVersion: sqliteVersion };
    this.epochs = epochs;
    this.#lastOffset = lastOffset;
    this.retention = new SqliteRetention(writer, reader, clock === undefined ? Date.now : () => clock[0]!);
    this.repeats = new SqliteRepeats(writer, reader);
    this.sources = {
      list: () => reader.call('sources', []),
      find: (names) => reader.call('sourcesNamed', [names]),
      put: (source, by) => writer.call('putSource', [source, by]),
      remove: (name, by) => writer.call('removeSource', [name, by]),
    };
    this.audit = new SqliteAudit(writer, reader);
    this.groups = {
      apply: async <const S extends readonly Step[]>(steps: S) => {
        const outcomes = (await writer.call('stepGroups', [steps])) as OutcomesOf<S>;
        for (const news of newsOfSteps(steps, outcomes)) this.#groupWatchers.tell(news);
        return outcomes;
      },
      watch: (listener) => this.#groupWatchers.add(listener),
    };
  }

  /** Opens or creates the file. Rejects with a StoreError `unusable` that says what to do. */
  static async open(
    given: string,
    told: (message: StoreMessage) => void = () => {},
    { clock }: SqliteOptions = {},
  ): Promise<SqliteStore> {
    const path = placeOf(given);
    const writing = ThreadClient.open<WriterCalls>({ role: 'writer', path, clock }, told);
    // It starts beside the writer, and opens the file when the writer has made it or brought it up to date.
    const reading = ThreadClient.open<ReaderCalls>({ role: 'reader', path }, told, writing);
    const [writer, reader] = await Promise.allSettled([writing, reading]);
    if (writer.status === 'rejected') throw writer.reason;
    const { thread, ...opened } = writer.value;
    if (reader.status === 'rejected') {
      await thread.close();
      throw reader.reason;
    }
    return new SqliteStore(path, thread, reader.value.thread, opened, clock);
  }

  async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
    const group = groupOf(batches);
    const result = await this.#writer.call('append', [group], [group.bytes.buffer]);
    const results = resultsOf(batches, result);
    const news = newsOf(batches, results);
    if (news !== null) {
      this.#lastOffset = news.lastOffset;
      this.#watchers.tell(news);
    }
    return results;
  }

  probe(): Promise<void> {
    return this.#writer.call('probe', []);
  }

  async snapshot(query: SnapshotQuery): Promise<Snapshot> {
    const { order, after: start, source, from, to, upTo = Infinity } = query;
    const { lastOffset, count, expired } = await this.#reader.call('snapshot', [topicFilterOf(query)]);
    const needsText = source !== undefined || from !== undefined || to !== undefined;
    if (start === START[order] && upTo >= lastOffset && !needsText) return { lastOffset, count, expired };
    let matched = 0;
    let passed = 0;
    const range = { ...query, upTo: Math.min(upTo, lastOffset) };
    let after: number | null = start;
    while (after !== null) {
      const some: CountedSome = await this.#reader.call('countSome', [{ ...range, after }]);
      matched += some.count;
      passed += some.expired;
      after = some.resumeAfter;
    }
    return { lastOffset, count: matched, expired: passed };
  }

  read(query: PageQuery): Promise<EventPage> {
    return this.#reader.call('page', [query]);
  }

  readAt(offsets: Float64Array): Promise<PlacedPage> {
    return this.#reader.call('pageAt', [offsets]);
  }

  async countAt(offsets: Float64Array, filter: TopicFilter): Promise<number> {
    let count = 0;
    for (let from = 0; from < offsets.length; from += COUNTED_AT_ONCE) {
      count += await this.#reader.call('countAt', [offsets.slice(from, from + COUNTED_AT_ONCE), filter]);
    }
    return count;
  }

  async find(topic: string, eventId: string): Promise<string | ExpiredEvent | undefined> {
    // Only the writer knows the newest keys; the reader fetches the text.
    const offset = await this.#writer.call('locate', [topic, eventId]);
    return offset === null ? undefined : this.#reader.call('at', [offset]);
  }

  topics(filter: TopicFilter = {}): Promise<TopicSummary[]> {
    return this.#reader.call('topics', [topicFilterOf(filter)]);
  }

  async stats(): Promise<StoreStats> {
    const [stats, file, wal] = await Promise.all([
      this.#reader.call('stats', []),
      stat(this.#path),
      // The first commit creates the write-ahead log, and it may be gone after the last.
      stat(`${this.#path}-wal`).catch(() => ({ size: 0 })),
    ]);
    return { ...stats, storedBytes: file.size + wal.size, walBytes: wal.size };
  }

  watch(after: number, listener: NewsListener): () => void {
    if (this.#lastOffset > after) listener({ after, lastOffset: this.#lastOffset, events: null });
    return this.#watchers.add(listener);
  }

  /** None begins while it is open. */
  watchEpochs(): () => void {
    return () => {};
  }

  async close(): Promise<void> {
    // The writer goes last: the last connection to close checkpoints the write-ahead log into the file.
    try {
      await this.#reader.close();
    } finally {
      // Also where the reader has died: the writer's thread would keep the process from ending, and others from the file.
      await this.#writer.close();
    }
  }
}

export interface SqliteOptions {
  /** A clock for tests, in shared memory: the time in milliseconds since 1970. */
  readonly clock?: Float64Array<SharedArrayBuffer> | undefined;
}
