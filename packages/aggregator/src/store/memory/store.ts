import { randomUUID } from 'node:crypto';
import {
  type Instant,
  compareInstants,
  compileTopicPatterns,
  parseTimestamp,
} from '@chronicleweaver/protocol';
import {
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  TEXT,
  TIMESTAMP,
  TOPIC,
  partText,
} from '../../event/event-batch.ts';
import {
  ACCEPTED,
  type AppendResult,
  CONFLICT,
  DUPLICATE,
  type Epoch,
  type EventFilter,
  type EventPage,
  type EventStore,
  type PageQuery,
  type PlacedPage,
  type Snapshot,
  type SnapshotQuery,
  StoreError,
  type StoreStats,
  type TopicFilter,
  type TopicSummary,
} from '../event-store.ts';
import { type Framing, framedEvent, storedEventJson } from '../stored-event.ts';
import { compileTopicFilter } from '../topic-filter.ts';
import type { FreshEvents, GroupStore } from '../group-store.ts';
import type { News, NewsListener } from '../news.ts';
import { newsOf } from '../news-of-append.ts';
import { Watchers } from '../watchers.ts';
import { MemoryGroups } from './groups.ts';

interface KeptEvent {
  readonly offset: number;
  readonly receivedMs: number;
  readonly topic: string;
  readonly source: string;
  readonly timestamp: string;
  readonly time: Instant;
  readonly payload: string;
  readonly text: string;
}

/**
 * The reference: what a store has to do, in as little code as possible, for tests to compare the others with. Nothing
 * is durable, and every read walks the whole log.
 */
export class MemoryStore implements EventStore {
  readonly #log: KeptEvent[] = [];
  readonly #byKey = new Map<string, KeptEvent>();
  #received = 0;
  #duplicates = 0;
  #conflicts = 0;
  #closed = false;
  readonly #watchers = new Watchers<News>();
  readonly about = { store: 'memory' };
  readonly epochs: readonly Epoch[] = [{ name: randomUUID(), afterOffset: 0 }];
  readonly groups: GroupStore;
  readonly #now: () => number;
  #lastMs = 0;

  /** @param now the clock, milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.groups = new MemoryGroups(this, now);
  }

  async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
    if (this.#closed) throw closed();
    // Commit times never go back, whatever the clock does.
    this.#lastMs = Math.max(this.#lastMs, this.#now());
    const results = batches.map((batch) => this.#appendOne(batch, this.#lastMs));
    const news = newsOf(batches, results);
    if (news !== null) this.#watchers.tell(news);
    return results;
  }

  async probe(): Promise<void> {
    if (this.#closed) throw closed();
  }

  async snapshot(query: SnapshotQuery): Promise<Snapshot> {
    return { lastOffset: this.#log.length, count: this.#matches(query).length };
  }

  async read(query: PageQuery): Promise<EventPage> {
    const ahead = this.#matches(query).filter((event) => event.offset <= query.upTo);
    if (query.order === 'desc') ahead.reverse();
    const { eventsMax, bytesMax = Number.POSITIVE_INFINITY } = query;
    let bytes = 0;
    const cut = ahead.findIndex((event, i) => {
      if (i === eventsMax || bytes >= bytesMax) return true;
      bytes += Buffer.byteLength(framed(event, query.framing));
      return false;
    });
    const { ends, offsets, ...page } = pageOf(cut === -1 ? ahead : ahead.slice(0, cut), query.framing);
    const resumeAfter = cut === -1 ? null : page.lastOffset;
    return query.placed === true ? { ...page, resumeAfter, ends, offsets } : { ...page, resumeAfter };
  }

  async readAt(offsets: Float64Array): Promise<PlacedPage> {
    return pageOf(Array.from(offsets, (offset) => this.#log[offset - 1]!), 'array'); // prettier-ignore
  }

  async find(topic: string, eventId: string): Promise<string | undefined> {
    const event = this.#byKey.get(keyOf(topic, eventId));
    return event && storedEventJson(event.text, event.offset, event.receivedMs);
  }

  async topics(filter: TopicFilter = {}): Promise<TopicSummary[]> {
    const isMeant = compileTopicFilter(filter);
    const byName = new Map<string, TopicSummary>();
    for (const { topic, offset } of this.#log) {
      if (!isMeant(topic)) continue;
      byName.set(topic, { topic, events: (byName.get(topic)?.events ?? 0) + 1, lastOffset: offset });
    }
    return [...byName.values()].toSorted((a, b) =>
      Buffer.compare(Buffer.from(a.topic), Buffer.from(b.topic)),
    );
  }

  async stats(): Promise<StoreStats> {
    const topics = await this.topics();
    return {
      received: this.#received,
      accepted: this.#log.length,
      duplicates: this.#duplicates,
      conflicts: this.#conflicts,
      lastOffset: this.#log.length,
      topics: topics.map(({ topic }) => topic),
      storedBytes: 0,
    };
  }

  watch(after: number, listener: NewsListener): () => void {
    if (this.lastOffset > after) listener({ after, lastOffset: this.lastOffset, events: null });
    return this.#watchers.add(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  get lastOffset(): number {
    return this.#log.length;
  }

  /** The offset of the last event committed before the time, 0 if there is none. */
  lastOffsetBefore(timeMs: number): number {
    return this.#log.findLast(({ receivedMs }) => receivedMs < timeMs)?.offset ?? 0;
  }

  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents {
    const isMeant = compileTopicPatterns(topics);
    const ahead = this.#log.filter(({ offset, topic }) => offset > after && isMeant(topic));
    const chosen = ahead.slice(0, eventsMax);
    return {
      after,
      upTo: ahead.length > eventsMax ? (chosen.at(-1)?.offset ?? after) : Math.max(after, this.lastOffset),
      offsets: Float64Array.from(chosen, ({ offset }) => offset),
      bytes: Int32Array.from(chosen, (event) => Buffer.byteLength(framed(event, 'array')) - 1),
    };
  }

  #matches(query: SnapshotQuery): KeptEvent[] {
    const isMeant = compileTopicFilter(query);
    return this.#log.filter((event) => {
      const isBehind = query.order === 'asc' ? event.offset > query.after : event.offset < query.after;
      return isBehind && isMeant(event.topic) && matches(event, query);
    });
  }

  #appendOne(batch: EventBatch, receivedMs: number): AppendResult {
    const verdicts = new Uint8Array(batch.count);
    const offsets = new Float64Array(batch.count);
    const counts = [0, 0, 0];
    for (let i = 0; i < batch.count; i++) {
      const event: KeptEvent = {
        offset: this.#log.length + 1,
        receivedMs,
        topic: partText(batch, i, TOPIC),
        source: partText(batch, i, SOURCE),
        timestamp: partText(batch, i, TIMESTAMP),
        time: parseTimestamp(partText(batch, i, TIMESTAMP))!,
        payload: partText(batch, i, PAYLOAD),
        text: partText(batch, i, TEXT),
      };
      const key = keyOf(event.topic, partText(batch, i, EVENT_ID));
      const first = this.#byKey.get(key);
      if (first === undefined) {
        this.#byKey.set(key, event);
        this.#log.push(event);
      }
      const verdict = first === undefined ? ACCEPTED : sameContent(first, event) ? DUPLICATE : CONFLICT;
      verdicts[i] = verdict;
      offsets[i] = (first ?? event).offset;
      counts[verdict]! += 1;
    }
    const [accepted, duplicates, conflicts] = counts as [number, number, number];
    this.#received += batch.count;
    this.#duplicates += duplicates + conflicts;
    this.#conflicts += conflicts;
    return { accepted, duplicates: duplicates + conflicts, conflicts, receivedMs, verdicts, offsets };
  }
}

/** The error of any call after the close. */
export function closed(): StoreError {
  return new StoreError('closed', 'the store is closed');
}

function framed({ text, offset, receivedMs }: KeptEvent, framing: Framing): string {
  return framedEvent(text, offset, receivedMs, framing);
}

function pageOf(events: readonly KeptEvent[], framing: Framing): PlacedPage {
  const pieces = events.map((event) => Buffer.from(framed(event, framing)));
  let end = 0;
  return {
    bytes: Buffer.concat(pieces),
    count: events.length,
    lastOffset: events.at(-1)?.offset ?? 0,
    resumeAfter: null,
    ends: Int32Array.from(pieces, (piece) => (end += piece.length)),
    offsets: Float64Array.from(events, ({ offset }) => offset),
  };
}

function keyOf(topic: string, eventId: string): string {
  return JSON.stringify([topic, eventId]);
}

function sameContent(a: KeptEvent, b: KeptEvent): boolean {
  return a.source === b.source && a.timestamp === b.timestamp && a.payload === b.payload;
}

function matches(event: KeptEvent, { source, from, to }: EventFilter): boolean {
  return (
    (source === undefined || event.source === source) &&
    (from === undefined || compareInstants(event.time, from) >= 0) &&
    (to === undefined || compareInstants(event.time, to) < 0)
  );
}
