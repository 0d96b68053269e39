import { stat } from 'node:fs/promises';
import { type EventBatch, SPANS_PER_EVENT } from '../../event/event-batch.ts';
import {
  ACCEPTED,
  type AppendResult,
  CONFLICT,
  type Epoch,
  type EventPage,
  type EventStore,
  type PageQuery,
  type PlacedPage,
  START,
  type Snapshot,
  type SnapshotQuery,
  type StoreMessage,
  type StoreStats,
  type TopicFilter,
  type TopicSummary,
} from '../event-store.ts';
import type { OutcomesOf, Step, GroupStore } from '../group-store.ts';
import { placeOf } from './file/place.ts';
import type { CountedSome } from './read.ts';
import type { GroupNews } from '../group-news.ts';
import { newsOfSteps } from '../news-of-steps.ts';
import type { News, NewsListener } from '../news.ts';
import { newsOf } from '../news-of-append.ts';
import { Watchers } from '../watchers.ts';
import { ThreadClient } from './threads/client.ts';
import type { Opened } from './threads/calls.ts';
import type { ReaderCalls, WriterCalls } from './threads/thread.ts';

/**
 * One SQLite file, written by one thread and read by another. Nothing blocks in this thread: every method is a
 * message and its answer. A read that begins after an append was answered sees what the append stored, because the
 * answer comes after the commit.
 */
export class SqliteStore implements EventStore {
  readonly about: Readonly<Record<string, string>>;
  readonly epochs: readonly Epoch[];
  readonly groups: GroupStore;
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
  ) {
    this.#path = path;
    this.#writer = writer;
    this.#reader = reader;
    this.about = { store: 'sqlite', database: path, sqlite: sqliteVersion };
    this.epochs = epochs;
    this.#lastOffset = lastOffset;
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
    return new SqliteStore(path, thread, reader.value.thread, opened);
  }

  async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
    const group = groupOf(batches);
    const { receivedMs, verdicts, offsets } = await this.#writer.call(
      'append',
      [group],
      [group.bytes.buffer],
    );
    let at = 0;
    const results = batches.map(({ count }) => {
      const from = at;
      at += count;
      return resultOf(receivedMs, verdicts.subarray(from, at), offsets.subarray(from, at));
    });
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
    const { topic, topicPatterns, order, after: start, source, from, to } = query;
    const { lastOffset, count } = await this.#reader.call('snapshot', [{ topic, topicPatterns }]);
    const needsText = source !== undefined || from !== undefined || to !== undefined;
    if (start === START[order] && !needsText) return { lastOffset, count };
    let matched = 0;
    let after: number | null = start;
    while (after !== null) {
      const some: CountedSome = await this.#reader.call('countSome', [{ ...query, after, upTo: lastOffset }]);
      matched += some.count;
      after = some.resumeAfter;
    }
    return { lastOffset, count: matched };
  }

  read(query: PageQuery): Promise<EventPage> {
    return this.#reader.call('page', [query]);
  }

  readAt(offsets: Float64Array): Promise<PlacedPage> {
    return this.#reader.call('pageAt', [offsets]);
  }

  async find(topic: string, eventId: string): Promise<string | undefined> {
    // Only the writer knows the newest keys; the reader fetches the text.
    const offset = await this.#writer.call('locate', [topic, eventId]);
    return offset === null ? undefined : this.#reader.call('at', [offset]);
  }

  topics({ topic, topicPatterns }: TopicFilter = {}): Promise<TopicSummary[]> {
    return this.#reader.call('topics', [{ topic, topicPatterns }]);
  }

  async stats(): Promise<StoreStats> {
    const [stats, file, wal] = await Promise.all([
      this.#reader.call('stats', []),
      stat(this.#path),
      // The first commit creates the write-ahead log, and it may be gone after the last.
      stat(`${this.#path}-wal`).catch(() => ({ size: 0 })),
    ]);
    return { ...stats, storedBytes: file.size + wal.size };
  }

  watch(after: number, listener: NewsListener): () => void {
    if (this.#lastOffset > after) listener({ after, lastOffset: this.#lastOffset, events: null });
    return this.#watchers.add(listener);
  }

  async close(): Promise<void> {
    // The writer goes last: the last connection to close checkpoints the write-ahead log into the file.
    await this.#reader.close();
    await this.#writer.close();
  }
}

export interface SqliteOptions {
  /** A clock for tests, in shared memory: the time in milliseconds since 1970. */
  readonly clock?: Float64Array<SharedArrayBuffer> | undefined;
}

interface CommitGroup extends EventBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly spans: Int32Array<ArrayBuffer>;
  readonly timesMs: Float64Array<ArrayBuffer>;
}

/** The events of all batches as one, in a single piece of memory of its own, which can move to the writer's thread. */
function groupOf(batches: readonly EventBatch[]): CommitGroup {
  let count = 0;
  let length = 0;
  for (const batch of batches) {
    count += batch.count;
    length += batch.bytes.length;
  }
  const spansAt = count * Float64Array.BYTES_PER_ELEMENT;
  const bytesAt = spansAt + count * SPANS_PER_EVENT * Int32Array.BYTES_PER_ELEMENT;
  // Not zero-filled: all of it is written here.
  const memory = Buffer.allocUnsafeSlow(bytesAt + length).buffer;
  const timesMs = new Float64Array(memory, 0, count);
  const spans = new Int32Array(memory, spansAt, count * SPANS_PER_EVENT);
  const bytes = new Uint8Array(memory, bytesAt);
  let base = 0;
  let event = 0;
  for (const batch of batches) {
    bytes.set(batch.bytes, base);
    timesMs.set(batch.timesMs, event);
    const to = event * SPANS_PER_EVENT;
    for (let i = 0; i < batch.spans.length; i++) spans[to + i] = batch.spans[i]! + base;
    base += batch.bytes.length;
    event += batch.count;
  }
  return { count, bytes, spans, timesMs };
}

function resultOf(receivedMs: number, verdicts: Uint8Array, offsets: Float64Array): AppendResult {
  let accepted = 0;
  let conflicts = 0;
  for (const verdict of verdicts) {
    if (verdict === ACCEPTED) accepted += 1;
    else if (verdict === CONFLICT) conflicts += 1;
  }
  const duplicates = verdicts.length - accepted;
  return { accepted, duplicates, conflicts, receivedMs, verdicts, offsets };
}
