import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type {
  EventPage,
  ExpiredEvent,
  PageQuery,
  PlacedPage,
  Snapshot,
  StoreStats,
  TopicFilter,
  TopicSummary,
} from '../event-store.ts';
import { FreshEventsFound } from '../fresh-events.ts';
import type { FreshEvents } from '../group-store.ts';
import type { DueQuery } from '../retention-store.ts';
import { Places } from '../page-places.ts';
import { StoredEventWriter, storedEventBytes } from '../stored-event.ts';
import { compileTopicFilter } from '../topic-filter.ts';
import { damaged } from '../errors.ts';
import type { Block } from '../blocks/block-format.ts';
import { BlockReader, type RangeQuery } from './block-reader.ts';
import { BlockScan, PageInProgress, type Pass, type Scanned, type Visit } from '../blocks/block-scan.ts';
import { DueEvents, type DueSoFar, type DueSome, keptOn } from './due.ts';
import { type Ledger, readLedger } from './file/ledger.ts';
import { FirstKept } from './first-kept.ts';
import { reading } from './reading.ts';
import { countIn, sumOf } from './topic-rows.ts';
import { TopicIds } from './topic-ids.ts';
import { UnsettledEvents } from './unsettled-events.ts';

/** The number of matches among some events; `resumeAfter` as in a page. */
export interface CountedSome {
  readonly count: number;
  readonly expired: number;
  readonly resumeAfter: number | null;
}

/** Reads the committed log, each call in one transaction, on a connection beside the writer's. */
export class Reader {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #writer = new StoredEventWriter();
  readonly #topicIds: TopicIds;
  readonly #blocks: BlockReader;
  readonly #unsettled: UnsettledEvents;

  readonly #firstKept: FirstKept;
  readonly #due: DueEvents;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#topicIds = new TopicIds(db);
    this.#blocks = new BlockReader(db);
    this.#unsettled = new UnsettledEvents(db);
    this.#firstKept = new FirstKept(this.#blocks);
    this.#due = new DueEvents(db, this.#topicIds, this.#blocks, this.#unsettled);
  }

  /** The end of the log and the number of events on the filter's topics, from one state of the file. */
  snapshot(filter: TopicFilter): Snapshot {
    return reading(this.#db, () => {
      const topicIds = this.#topicIds.of(filter);
      if (topicIds === undefined) {
        const { lastOffset, accepted, expired, bare } = this.#ledger();
        return { lastOffset, count: accepted - expired - bare, expired };
      }
      const { lastOffset } = readLedger(this.#db);
      const row = this.#prepared(
        `SELECT sum(events) AS events, sum(expired) AS expired
         FROM topic WHERE topic_id IN (SELECT value FROM json_each(?))`,
      ).get(JSON.stringify([...topicIds]))!;
      const sum = countIn(row);
      for (const [id, { events, expired }] of this.#unsettled.counts()) {
        if (!topicIds.has(id)) continue;
        sum.events += events;
        sum.expired += expired;
      }
      return { lastOffset, count: sum.events, expired: sum.expired };
    });
  }

  /** Counts the matches among the next events. */
  countSome(query: RangeQuery): CountedSome {
    let count = 0;
    const scanned = this.#scan(query, () => {
      count += 1;
      return true;
    });
    return { count, ...scanned };
  }

  page(query: PageQuery): EventPage {
    const page = new PageInProgress(query, this.#writer);
    return page.end(this.#scan(query, page.visit, page.pass));
  }

  /** The next matches, at most `eventsMax`, from the directories of the blocks alone: no text is unpacked. */
  fresh(query: RangeQuery, eventsMax: number): FreshEvents {
    const found = new FreshEventsFound();
    const { resumeAfter, expired } = this.#scan(query, (block, index, passed) => {
      if (found.count === eventsMax) return false;
      const offset = block.firstOffset + index;
      found.push(offset, storedEventBytes(block.textLength(index), offset), passed);
      return true;
    });
    return found.end(query.after, resumeAfter ?? Math.max(query.after, query.upTo), expired);
  }

  /** Those of the events at these offsets that are kept. The offsets must exist and ascend. */
  pageAt(offsets: Float64Array): PlacedPage {
    return reading(this.#db, () => {
      const writer = this.#writer;
      writer.begin('array');
      const places = new Places();
      for (const offset of offsets) if (this.#writeAt(offset) === null) places.push(writer.length, offset);
      const taken = places.take();
      return {
        bytes: writer.take(),
        count: taken.offsets.length,
        expired: 0,
        lastOffset: taken.offsets.at(-1) ?? 0,
        resumeAfter: null,
        ...taken,
      };
    });
  }

  /** How many of the events at these offsets are kept and pass the filter. The offsets must exist and ascend. */
  countAt(offsets: Float64Array, filter: TopicFilter): number {
    return reading(this.#db, () => {
      const topicIds = this.#topicIds.of(filter);
      let count = 0;
      let block: Block | undefined;
      for (const offset of offsets) {
        if (block === undefined || offset > block.lastOffset) block = this.#blocks.with(offset);
        const index = offset - block.firstOffset;
        if (block.isKept(index) && topicIds?.has(block.topicId(index)) !== false) count += 1;
      }
      return count;
    });
  }

  /** The JSON of the event at this offset, which must exist, or what is known of it where its text is gone. */
  at(offset: number): string | ExpiredEvent {
    return reading(this.#db, () => {
      const writer = this.#writer;
      writer.begin('lines');
      const expired = this.#writeAt(offset);
      if (expired !== null) return expired;
      return Buffer.from(writer.take()).toString('utf8', 0, writer.length - 1);
    });
  }

  /** Writes the event, unless its text is gone: then it returns what is known of it. */
  #writeAt(offset: number): ExpiredEvent | null {
    const block = this.#blocks.with(offset);
    const index = offset - block.firstOffset;
    const receivedMs = block.receivedMs(index);
    if (!block.isKept(index)) return { offset, receivedMs };
    this.#writer.write(block.text(index), offset, receivedMs);
    return null;
  }

  topics(filter: TopicFilter): TopicSummary[] {
    return reading(this.#db, () => {
      const isMeant = compileTopicFilter(filter);
      const rows = this.#prepared('SELECT * FROM topic ORDER BY name').all();
      const meant = rows.filter((row) => isMeant(String(row['name'])));
      const unsettled = this.#unsettled.counts();
      const counts = meant.map((row) => {
        const id = Number(row['topic_id']);
        return { id, topic: String(row['name']), ...sumOf(countIn(row), unsettled.get(id)) };
      });
      const firstKept = this.#firstKept.of(counts.filter(({ events }) => events > 0));
      return counts.map(({ id, ...count }) => ({
        ...count,
        firstOffset: count.events === 0 ? 0 : firstKept.get(id)!,
      }));
    });
  }

  stats(): Omit<StoreStats, 'storedBytes' | 'walBytes'> {
    return reading(this.#db, () => {
      const { lastMs: _, ...books } = this.#ledger();
      const names = this.#prepared('SELECT name FROM topic ORDER BY name').all();
      const topics = names.map((row) => String(row['name']));
      const { forgotten } = this.#prepared('SELECT forgotten FROM log').get()!;
      return { ...books, forgotten: Number(forgotten), firstOffset: this.#firstOffset(), topics };
    });
  }

  /** A share of the look for due events, as `DueEvents.some`. */
  dueSome(query: DueQuery, soFar: DueSoFar | null, isShort: boolean): DueSome {
    return reading(this.#db, () => this.#due.some(query, soFar, isShort));
  }

  /** Of the first event that is kept; 0 if none is. */
  #firstOffset(): number {
    const { events, firstOffset } = keptOn(this.#db, undefined, this.#unsettled.counts());
    if (events === 0) return 0;
    const range = { order: 'asc', after: firstOffset - 1, upTo: Number.MAX_SAFE_INTEGER } as const;
    for (const block of this.#blocks.of(range, undefined))
      for (let i = 0; i < block.count; i++) if (block.isKept(i)) return block.firstOffset + i;
    throw damaged(`${events} events should be kept, and none is`);
  }

  /** The books as of the newest commit, with what the unsettled events add to them. */
  #ledger(): Ledger {
    const ledger = readLedger(this.#db);
    for (const { expired, bare } of this.#unsettled.counts().values()) {
      ledger.expired += expired;
      ledger.bare += bare;
    }
    return ledger;
  }

  /**
   * Calls `visit` with every match in order, until it returns false (the match was not taken) or enough was examined.
   * Returns where to continue.
   */
  #scan(query: RangeQuery, visit: Visit, pass?: Pass): Scanned {
    return reading(this.#db, () => {
      const topicIds = this.#topicIds.of(query);
      if (topicIds?.size === 0) return { resumeAfter: null, expired: 0 };
      const scan = new BlockScan(query, topicIds, visit, pass);
      const [low, high] =
        query.order === 'asc' ? [query.after + 1, query.upTo] : [1, Math.min(query.upTo, query.after - 1)];
      for (const block of this.#blocks.of(query, topicIds)) {
        const [first, last] = [Math.max(low, block.firstOffset), Math.min(high, block.lastOffset)];
        if (!scan.goesOn(block, first, last)) return scan;
      }
      return { resumeAfter: null, expired: scan.expired };
    });
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}
