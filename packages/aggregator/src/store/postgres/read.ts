import { EVENT_ID, partText } from '../../event/event-batch.ts';
import type { EventName } from '../audit/audit-page.ts';
import { eventsAt } from '../blocks/block-events.ts';
import { BlockScan, PageInProgress, type Pass, type Scanned, type Visit } from '../blocks/block-scan.ts';
import {
  type EventPage,
  type ExpiredEvent,
  type PageQuery,
  type PlacedPage,
  START,
  type Snapshot,
  type SnapshotQuery,
  type StoreStats,
  type TopicFilter,
  type TopicSummary,
} from '../event-store.ts';
import { Places } from '../page-places.ts';
import { FreshEventsFound } from '../fresh-events.ts';
import type { FreshEvents } from '../group-store.ts';
import { StoredEventWriter, storedEventBytes, storedEventJson } from '../stored-event.ts';
import { compileTopicFilter } from '../topic-filter.ts';
import { lastOffsetBefore } from './before.ts';
import { BlockReader } from './block-reader.ts';
import { FirstKept } from './kept.ts';
import type { ShownEnd } from './log-end.ts';
import type { Reading } from './sessions.ts';
import { topicCounts, totalOf, totalUpTo } from './topic-counts.ts';
import type { Topics } from './topics.ts';

const LOCATE = `
  SELECT log.first_offset + key.place AS "offset" FROM key JOIN log USING (append_id) WHERE hash = $1::uuid`;

const BOOKS = `
  SELECT last_offset, received, conflicts, (SELECT forgotten FROM retention) AS forgotten, (
    SELECT sum(pg_total_relation_size(oid)) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
  ) AS bytes FROM head`;

/**
 * Reads the committed log. A page may take several statements: below an offset that is told nothing changes, but that texts
 * are let go of.
 */
export class Reader {
  readonly #sessions: Reading;
  readonly #topics: Topics;
  readonly #end: ShownEnd;
  readonly #blocks: BlockReader;
  readonly #firstKept: FirstKept;

  constructor(sessions: Reading, topics: Topics, end: ShownEnd) {
    this.#sessions = sessions;
    this.#topics = topics;
    this.#end = end;
    this.#blocks = new BlockReader(sessions);
    this.#firstKept = new FirstKept(sessions);
  }

  /** Forgets what is remembered of the log: the database may have another in its place. */
  forget(): void {
    this.#blocks.forget();
    this.#firstKept.forget();
  }

  /** The offset of the event with this identity, 16 bytes; null if there is none. */
  async locate(hash: Buffer): Promise<number | null> {
    const { rows } = await this.#sessions.read((client) =>
      client.query<{ offset: string }>({ name: 'locate', text: LOCATE, values: [hash.toString('hex')] }),
    );
    if (rows.length === 0) return null;
    const offset = Number(rows[0]!.offset);
    await this.#end.reach(offset);
    return offset;
  }

  async snapshot(query: SnapshotQuery): Promise<Snapshot> {
    const { order, after, source, from, to, upTo = Infinity } = query;
    const needsText = source !== undefined || from !== undefined || to !== undefined;
    if (after === START[order] && upTo === Infinity && !needsText) {
      const topicIds = await this.#topics.of(query);
      const total = await this.#sessions.read((client) => totalUpTo(client, topicIds));
      // Afterwards, so that the log may be shown up to what was counted.
      await this.#end.look();
      return { lastOffset: total.lastOffset, count: total.events, expired: total.expired };
    }
    const lastOffset = await this.#end.look();
    const range = { ...query, upTo: Math.min(upTo, lastOffset) };
    let count = 0;
    let expired = 0;
    for (let next: number | null = after; next !== null;) {
      const scanned = await this.#scan({ ...range, after: next }, () => {
        count += 1;
        return true;
      });
      expired += scanned.expired;
      next = scanned.resumeAfter;
    }
    return { lastOffset, count, expired };
  }

  async page(query: PageQuery): Promise<EventPage> {
    const page = new PageInProgress(query, new StoredEventWriter());
    return page.end(await this.#scan(query, page.visit, page.pass));
  }

  /**
   * The next events above the offset on matching topics, up to `upTo`, at most `eventsMax`; from the directories of the blocks
   * alone, no text is unpacked.
   */
  async next(
    topics: readonly string[],
    after: number,
    upTo: number,
    eventsMax: number,
  ): Promise<FreshEvents> {
    const found = new FreshEventsFound();
    const query = { topicPatterns: [topics], order: 'asc', after, upTo } as const;
    const { resumeAfter, expired } = await this.#scan(query, (block, index, passed) => {
      if (found.count === eventsMax) return false;
      const offset = block.firstOffset + index;
      found.push(offset, storedEventBytes(block.textLength(index), offset), passed);
      return true;
    });
    return found.end(after, resumeAfter ?? Math.max(after, upTo), expired);
  }

  /** The offset of the last event committed before the time, 0 if there is none. */
  lastOffsetBefore(timeMs: number): Promise<number> {
    return this.#sessions.read((client) => lastOffsetBefore(client, timeMs));
  }

  /** Those of the events at these offsets that are kept. The offsets must exist and ascend. */
  pageAt(offsets: Float64Array): Promise<PlacedPage> {
    return this.#blocks.during(async () => {
      const writer = new StoredEventWriter();
      writer.begin('array');
      const places = new Places();
      let count = 0;
      let lastOffset = 0;
      for await (const { block, held } of this.#blocks.holding(offsets)) {
        for (const offset of held) {
          const index = offset - block.firstOffset;
          if (!block.isKept(index)) continue;
          count += 1;
          lastOffset = offset;
          writer.write(block.text(index), offset, block.receivedMs(index));
          places.push(writer.length, offset);
        }
      }
      return { bytes: writer.take(), count, expired: 0, lastOffset, resumeAfter: null, ...places.take() };
    });
  }

  /** How many of the events at these offsets are kept and pass the filter. The offsets must exist and ascend. */
  async countAt(offsets: Float64Array, filter: TopicFilter): Promise<number> {
    const topicIds = await this.#topics.of(filter);
    return this.#blocks.during(async () => {
      let count = 0;
      for await (const { block, held } of this.#blocks.holding(offsets)) {
        this.#topics.still(topicIds);
        for (const offset of held) {
          const index = offset - block.firstOffset;
          if (block.isKept(index) && topicIds?.has(block.topicId(index)) !== false) count += 1;
        }
      }
      return count;
    });
  }

  /**
   * Of each event at these offsets its topic, and its id if its text is kept; null if it is on another topic than these. The
   * offsets must exist.
   */
  async namesAt(offsets: readonly number[], filter: TopicFilter): Promise<(EventName | null)[]> {
    const topicIds = await this.#topics.of(filter);
    const names = new Map<number, EventName | null>();
    await this.#blocks.during(async () => {
      const ascending = offsets.toSorted((a, b) => a - b);
      for await (const { block, held } of this.#blocks.holding(ascending)) {
        this.#topics.still(topicIds);
        for (const offset of held) {
          const index = offset - block.firstOffset;
          const topicId = block.topicId(index);
          const isMeant = topicIds?.has(topicId) !== false;
          const isTold = isMeant && block.isKept(index);
          const eventId = isTold ? partText(eventsAt(block, [index]), 0, EVENT_ID) : null;
          names.set(offset, isMeant ? { topic: await this.#topics.nameOf(topicId), eventId } : null);
        }
      }
    });
    return offsets.map((offset) => names.get(offset)!);
  }

  /** The event at this offset, which must exist: its JSON, or what is known of it where its text is gone. */
  at(offset: number): Promise<string | ExpiredEvent> {
    return this.#blocks.during(async () => {
      for await (const { block } of this.#blocks.holding([offset])) {
        const index = offset - block.firstOffset;
        const receivedMs = block.receivedMs(index);
        if (!block.isKept(index)) return { offset, receivedMs };
        return storedEventJson(Buffer.from(block.text(index)).toString(), offset, receivedMs);
      }
      throw new Error(`nothing holds offset ${offset}`);
    });
  }

  async topics(filter: TopicFilter = {}): Promise<TopicSummary[]> {
    const topicIds = await this.#topics.of(filter);
    const isMeant = compileTopicFilter(filter);
    for (let isLast = false; ; isLast = true) {
      const counts = await this.#sessions.read((client) => topicCounts(client, topicIds));
      await this.#end.reach(counts.reduce((end, { lastOffset }) => Math.max(end, lastOffset), 0));
      const meant = counts.filter(({ topic }) => isMeant(topic));
      const firsts = await this.#firstKept.of(meant);
      // Where the last events of a topic expired meanwhile, its counts are of before.
      if (!isLast && meant.some(({ topicId, events }) => events > 0 && !firsts.has(topicId))) continue;
      return meant.map(({ topicId, ...count }) => ({ ...count, firstOffset: firsts.get(topicId) ?? 0 }));
    }
  }

  async stats(): Promise<StoreStats> {
    const { rows } = await this.#sessions.read((client) =>
      client.query<Record<'last_offset' | 'received' | 'conflicts' | 'forgotten' | 'bytes', string>>({
        name: 'books',
        text: BOOKS,
      }),
    );
    const [books] = rows;
    const received = Number(books!.received);
    const accepted = Number(books!.last_offset);
    // Behind the books: the log may be shown up to what it tells, and so up to what they do.
    const counts = await this.#sessions.read((client) => topicCounts(client, undefined));
    await this.#end.reach(counts.reduce((end, { lastOffset }) => Math.max(end, lastOffset), 0));
    const { expired, bare } = totalOf(counts);
    return {
      received,
      accepted,
      duplicates: received - accepted,
      conflicts: Number(books!.conflicts),
      expired,
      bare,
      forgotten: Number(books!.forgotten),
      firstOffset: await this.#firstKept.ofLog(expired),
      lastOffset: accepted,
      topics: counts.map(({ topic }) => topic),
      storedBytes: Number(books!.bytes),
      walBytes: null,
    };
  }

  /**
   * Calls `visit` with every match in order, until it returns false (the match was not taken) or enough was examined.
   * Returns where to continue.
   */
  async #scan(query: SnapshotQuery & Pick<PageQuery, 'upTo'>, visit: Visit, pass?: Pass): Promise<Scanned> {
    const topicIds = await this.#topics.of(query);
    if (topicIds?.size === 0) return { resumeAfter: null, expired: 0 };
    const scan = new BlockScan(query, topicIds, visit, pass);
    return this.#blocks.during(async () => {
      for await (const { block, first, last } of this.#blocks.of(query, topicIds)) {
        this.#topics.still(topicIds);
        if (!scan.goesOn(block, first, last)) return scan;
      }
      return { resumeAfter: null, expired: scan.expired };
    });
  }
}
