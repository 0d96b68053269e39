import { randomUUID } from 'node:crypto';
import { compareInstants, compileTopicPatterns, parseTimestamp } from '@chronicleweaver/protocol';
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
  type ExpiredEvent,
  type PageQuery,
  type PlacedPage,
  type Snapshot,
  type SnapshotQuery,
  StoreError,
  type StoreStats,
  type TopicFilter,
  type TopicSummary,
} from '../event-store.ts';
import { type Framing, framedEvent, framedGap, storedEventJson } from '../stored-event.ts';
import { compileTopicFilter } from '../topic-filter.ts';
import { earliestOf } from '../earliest.ts';
import { FreshEventsFound } from '../fresh-events.ts';
import type { FreshEvents, GroupStore } from '../group-store.ts';
import type { News, NewsListener } from '../news.ts';
import { newsOf } from '../news-of-append.ts';
import type { RetentionStore } from '../retention-store.ts';
import type { SourceStore } from '../source-store.ts';
import { Watchers } from '../watchers.ts';
import { MemoryAudit } from './audit.ts';
import { MemoryGroups } from './groups.ts';
import { type LoggedEvent, textBytes } from './logged-event.ts';
import { MemoryRepeats } from './repeats.ts';
import { MemoryRetention } from './retention.ts';
import { MemorySources } from './sources.ts';

/**
 * The reference: what a store has to do, in as little code as possible, for tests to compare the others with. Nothing
 * is durable, and every read walks the whole log.
 */
export class MemoryStore implements EventStore {
  readonly #log: LoggedEvent[] = [];
  readonly #byKey = new Map<string, LoggedEvent>();
  #received = 0;
  #duplicates = 0;
  #conflicts = 0;
  #closed = false;
  readonly #watchers = new Watchers<News>();
  readonly about = { store: 'memory' };
  readonly epochs: readonly Epoch[] = [{ name: randomUUID(), afterOffset: 0 }];
  readonly groupsAtOnce: number = 1;
  readonly groups: GroupStore;
  readonly retention: RetentionStore;
  readonly repeats: MemoryRepeats;
  readonly sources: SourceStore;
  readonly audit: MemoryAudit;
  readonly #isBare: (topic: string) => boolean;
  readonly #now: () => number;
  #lastMs = 0;

  /** @param now the clock, milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    const find = (topic: string, eventId: string) => this.#byKey.get(keyOf(topic, eventId));
    this.audit = new MemoryAudit({ events: this.#log, find }, now);
    this.sources = new MemorySources(this.audit);
    this.groups = new MemoryGroups(this, now, this.audit);
    const retention = new MemoryRetention(
      {
        events: this.#log,
        find,
        forget: (event) => {
          event.isForgotten = true;
          this.#byKey.delete(keyOf(event.topic, event.eventId));
        },
      },
      now,
      this.audit,
    );
    this.retention = retention;
    this.repeats = new MemoryRepeats(find, now());
    this.#isBare = (topic) => retention.isBare(topic);
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
    const { upTo = Infinity } = query;
    const events = this.#ahead(query).filter(({ offset }) => offset <= upTo);
    return {
      lastOffset: this.#log.length,
      count: events.filter((event) => isMatch(event, query)).length,
      expired: expiredAmong(events),
    };
  }

  async read(query: PageQuery): Promise<EventPage> {
    const onTopics = this.#ahead(query).filter((event) => event.offset <= query.upTo);
    if (query.order === 'desc') onTopics.reverse();
    const met = onTopics.filter((event) => event.state === 'expired' || isMatch(event, query));
    const end = endOfPage(met, query);
    const { ends, offsets, expiredBefore, ...page } = pageOf(met.slice(0, end), query);
    const resumeAfter = end === met.length ? null : (met[end - 1]?.offset ?? query.after);
    const rest = { ...page, resumeAfter };
    return query.placed === true ? { ...rest, ends, offsets, expiredBefore } : rest;
  }

  async readAt(offsets: Float64Array): Promise<PlacedPage> {
    const events = Array.from(offsets, (offset) => this.#log[offset - 1]!);
    const kept = events.filter(({ state }) => state === 'kept');
    return pageOf(kept, { framing: 'array', after: 0 });
  }

  async countAt(offsets: Float64Array, filter: TopicFilter): Promise<number> {
    const isMeant = compileTopicFilter(filter);
    const events = Array.from(offsets, (offset) => this.#log[offset - 1]!);
    return events.filter(({ state, topic }) => state === 'kept' && isMeant(topic)).length;
  }

  async find(topic: string, eventId: string): Promise<string | ExpiredEvent | undefined> {
    const event = this.#byKey.get(keyOf(topic, eventId));
    if (event === undefined) return undefined;
    const { state, text, offset, receivedMs } = event;
    return state === 'kept' ? storedEventJson(text, offset, receivedMs) : { offset, receivedMs };
  }

  async topics(filter: TopicFilter = {}): Promise<TopicSummary[]> {
    return this.#topics(filter);
  }

  #topics(filter: TopicFilter): TopicSummary[] {
    const isMeant = compileTopicFilter(filter);
    const byName = new Map<string, LoggedEvent[]>();
    for (const event of this.#log) {
      if (!isMeant(event.topic)) continue;
      const events = byName.get(event.topic) ?? [];
      if (events.length === 0) byName.set(event.topic, events);
      events.push(event);
    }
    return [...byName.entries()]
      .map(([topic, events]) => ({ topic, ...countsOf(events), lastOffset: events.at(-1)!.offset }))
      .toSorted((a, b) => Buffer.compare(Buffer.from(a.topic), Buffer.from(b.topic)));
  }

  async stats(): Promise<StoreStats> {
    const topics = await this.topics();
    const { expired, bare, firstOffset } = countsOf(this.#log);
    return {
      received: this.#received,
      accepted: this.#log.length,
      duplicates: this.#duplicates,
      conflicts: this.#conflicts,
      expired,
      bare,
      forgotten: this.#log.filter(({ isForgotten }) => isForgotten).length,
      firstOffset,
      lastOffset: this.#log.length,
      topics: topics.map(({ topic }) => topic),
      storedBytes: 0,
      walBytes: null,
    };
  }

  watch(after: number, listener: NewsListener): () => void {
    if (this.lastOffset > after) listener({ after, lastOffset: this.lastOffset, events: null });
    return this.#watchers.add(listener);
  }

  /** None begins while it is open. */
  watchEpochs(): () => void {
    return () => {};
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

  earliest(topics: readonly string[]): number {
    return earliestOf(this.#topics({ topicPatterns: [topics] }));
  }

  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents {
    const isMeant = compileTopicPatterns(topics);
    const found = new FreshEventsFound();
    let upTo = after;
    let expired = 0;
    for (const event of this.#log) {
      const { offset, topic, state } = event;
      if (offset <= after || !isMeant(topic)) continue;
      if (state === 'kept') {
        if (found.count === eventsMax) return found.end(after, upTo, expired);
        found.push(offset, Buffer.byteLength(framed(event, 'array')) - 1, expired);
      } else if (state === 'expired') expired += 1;
      upTo = offset;
    }
    return found.end(after, Math.max(after, this.lastOffset), expired);
  }

  /** The events on the query's topics beyond its `after`, in the order of the log. */
  #ahead(query: SnapshotQuery): LoggedEvent[] {
    const isMeant = compileTopicFilter(query);
    return this.#log.filter((event) => {
      const isBehind = query.order === 'asc' ? event.offset > query.after : event.offset < query.after;
      return isBehind && isMeant(event.topic);
    });
  }

  #appendOne(batch: EventBatch, receivedMs: number): AppendResult {
    const verdicts = new Uint8Array(batch.count);
    const offsets = new Float64Array(batch.count);
    const counts = [0, 0, 0];
    const bare = new Uint8Array(batch.count);
    for (let i = 0; i < batch.count; i++) {
      const event: LoggedEvent = {
        offset: this.#log.length + 1,
        receivedMs,
        topic: partText(batch, i, TOPIC),
        eventId: partText(batch, i, EVENT_ID),
        source: partText(batch, i, SOURCE),
        timestamp: partText(batch, i, TIMESTAMP),
        time: parseTimestamp(partText(batch, i, TIMESTAMP))!,
        payload: partText(batch, i, PAYLOAD),
        text: partText(batch, i, TEXT),
        state: this.#isBare(partText(batch, i, TOPIC)) ? 'bare' : 'kept',
        isForgotten: false,
      };
      const key = keyOf(event.topic, event.eventId);
      const first = this.#byKey.get(key);
      if (first === undefined) {
        this.#byKey.set(key, event);
        this.#log.push(event);
        if (event.state === 'bare') bare[i] = 1;
      }
      const verdict = first === undefined ? ACCEPTED : sameContent(first, event) ? DUPLICATE : CONFLICT;
      verdicts[i] = verdict;
      offsets[i] = (first ?? event).offset;
      this.audit.judged(verdict, offsets[i]!, batch.publisher ?? null, receivedMs);
      if (first !== undefined) {
        const { source, text } = event;
        const publisher = batch.publisher ?? null;
        this.repeats.note(first, { receivedMs, isConflict: verdict === CONFLICT, source, publisher, text });
      }
      counts[verdict]! += 1;
    }
    const [accepted, duplicates, conflicts] = counts as [number, number, number];
    this.#received += batch.count;
    this.#duplicates += duplicates + conflicts;
    this.#conflicts += conflicts;
    return {
      accepted,
      duplicates: duplicates + conflicts,
      conflicts,
      receivedMs,
      verdicts,
      offsets,
      bare: bare.includes(1) ? bare : null,
    };
  }
}

/** The error of any call after the close. */
export function closed(): StoreError {
  return new StoreError('closed', 'the store is closed');
}

function framed({ text, offset, receivedMs }: LoggedEvent, framing: Framing): string {
  return framedEvent(text, offset, receivedMs, framing);
}

/** How many of these events, matches and expired ones, are on the page. */
function endOfPage(
  met: readonly LoggedEvent[],
  { eventsMax, bytesMax = Number.POSITIVE_INFINITY, framing, gaps }: PageQuery,
): number {
  let count = 0;
  let bytes = 0;
  const end = met.findIndex((event) => {
    if (gaps === 'apart' && event.state !== met[0]!.state) return true;
    if (event.state === 'expired') return false;
    if (count === eventsMax || bytes >= bytesMax) return true;
    count += 1;
    bytes += Buffer.byteLength(framed(event, framing));
    return false;
  });
  return end === -1 ? met.length : end;
}

/** The page with these events, matches and expired ones. */
function pageOf(
  met: readonly LoggedEvent[],
  { framing, gaps, after }: Pick<PageQuery, 'framing' | 'gaps' | 'after'>,
): PlacedPage {
  const kept = met.filter(({ state }) => state === 'kept');
  const pieces = met.map((event, i) => {
    if (event.state === 'kept') return framed(event, framing);
    // The last one of a run tells of it.
    if (gaps === undefined || framing !== 'stream' || met[i + 1]?.state === 'expired') return '';
    const before = met.slice(0, i).findLastIndex(({ state }) => state === 'kept');
    return framedGap(i - before, met[before]?.offset ?? after, event.offset);
  });
  let end = 0;
  const ends = pieces.map((piece) => (end += Buffer.byteLength(piece)));
  return {
    bytes: Buffer.from(pieces.join('')),
    count: kept.length,
    expired: expiredAmong(met),
    lastOffset: kept.at(-1)?.offset ?? 0,
    resumeAfter: null,
    ends: Int32Array.from(ends.filter((_, i) => met[i]!.state === 'kept')),
    offsets: Float64Array.from(kept, ({ offset }) => offset),
    expiredBefore: Int32Array.from(kept, (event, i) => {
      const before = i === 0 ? -1 : met.indexOf(kept[i - 1]!);
      return met.indexOf(event) - before - 1;
    }),
  };
}

function expiredAmong(events: readonly LoggedEvent[]): number {
  return events.filter(({ state }) => state === 'expired').length;
}

function countsOf(events: readonly LoggedEvent[]) {
  const kept = events.filter(({ state }) => state === 'kept');
  return {
    events: kept.length,
    bytes: kept.reduce((sum, event) => sum + textBytes(event), 0),
    expired: expiredAmong(events),
    bare: events.filter(({ state }) => state === 'bare').length,
    firstOffset: kept[0]?.offset ?? 0,
  };
}

function keyOf(topic: string, eventId: string): string {
  return JSON.stringify([topic, eventId]);
}

function sameContent(a: LoggedEvent, b: LoggedEvent): boolean {
  return a.source === b.source && a.timestamp === b.timestamp && a.payload === b.payload;
}

/** Whether the event is kept and passes the filter. */
function isMatch(event: LoggedEvent, { source, from, to }: EventFilter): boolean {
  return (
    event.state === 'kept' &&
    (source === undefined || event.source === source) &&
    (from === undefined || compareInstants(event.time, from) >= 0) &&
    (to === undefined || compareInstants(event.time, to) < 0)
  );
}
