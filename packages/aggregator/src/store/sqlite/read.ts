import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Instant, compareInstants, parseTimestamp } from '@chronicleweaver/protocol';
import { type EventBatch, SOURCE, TIMESTAMP, partText } from '../../event/event-batch.ts';
import { readStoredEvents } from '../../event/event-reader.ts';
import type {
  EventFilter,
  EventPage,
  PageQuery,
  PlacedPage,
  Snapshot,
  StoreStats,
  TopicFilter,
  TopicSummary,
} from '../event-store.ts';
import { StoredEventWriter } from '../stored-event.ts';
import { compileTopicFilter } from '../topic-filter.ts';
import { damaged } from './file/errors.ts';
import { BlockReader, type RangeQuery } from './block-reader.ts';
import type { Block } from './blocks/block-format.ts';
import { readLedger } from './file/ledger.ts';
import { TopicIds } from './topic-ids.ts';
import { UnsettledEvents } from './unsettled-events.ts';

/** Bytes of a page: large enough for a cheap hand-over, small enough that a slow reader ties up little memory. */
const PAGE_BYTES_MAX = 256 * 1024;

/** Events examined in one call, matching or not, so that calls are short and others get their turn. */
const SCAN_EVENTS_MAX = 20_000;

/** The number of matches among some events; `resumeAfter` as in a page. */
export interface CountedSome {
  readonly count: number;
  readonly resumeAfter: number | null;
}

interface FoundPlaces {
  readonly offsets: readonly number[];
  readonly textLengths: readonly number[];
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

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#topicIds = new TopicIds(db);
    this.#blocks = new BlockReader(db);
    this.#unsettled = new UnsettledEvents(db);
  }

  /** The end of the log and the number of events on the filter's topics, from one state of the file. */
  snapshot(filter: TopicFilter): Snapshot {
    return this.#transaction(() => {
      const { lastOffset, accepted } = readLedger(this.#db);
      const topicIds = this.#topicIds.of(filter);
      if (topicIds === undefined) return { lastOffset, count: accepted };
      const { count } = this.#prepared(
        'SELECT ifnull(sum(events), 0) AS count FROM topic WHERE topic_id IN (SELECT value FROM json_each(?))',
      ).get(JSON.stringify([...topicIds]))!;
      let unsettled = 0;
      for (const [id, { events }] of this.#unsettled.counts()) if (topicIds.has(id)) unsettled += events;
      return { lastOffset, count: Number(count) + unsettled };
    });
  }

  /** Counts the matches among the next events. */
  countSome(query: RangeQuery): CountedSome {
    let count = 0;
    const resumeAfter = this.#scan(query, () => {
      count += 1;
      return true;
    });
    return { count, resumeAfter };
  }

  page(query: PageQuery): EventPage {
    const writer = this.#writer;
    writer.begin(query.framing);
    const bytesMax = Math.min(query.bytesMax ?? PAGE_BYTES_MAX, PAGE_BYTES_MAX);
    let count = 0;
    let lastOffset = 0;
    const places = query.placed === true ? new Places() : null;
    const resumeAfter = this.#scan(query, (block, index) => {
      if (count === query.eventsMax || writer.length >= bytesMax) return false;
      lastOffset = block.firstOffset + index;
      writer.write(block.text(index), lastOffset, block.receivedMs(index));
      places?.push(writer.length, lastOffset);
      count += 1;
      return true;
    });
    return { bytes: writer.take(), count, lastOffset, resumeAfter, ...places?.take() };
  }

  /** The offsets and text lengths of the next matches, at most `eventsMax`; `resumeAfter` as in a page. */
  places(query: RangeQuery, eventsMax: number): FoundPlaces {
    const offsets: number[] = [];
    const textLengths: number[] = [];
    const resumeAfter = this.#scan(query, (block, index) => {
      if (offsets.length === eventsMax) return false;
      offsets.push(block.firstOffset + index);
      textLengths.push(block.textLength(index));
      return true;
    });
    return { offsets, textLengths, resumeAfter };
  }

  /** The events at these offsets, which must exist and ascend. */
  pageAt(offsets: Float64Array): PlacedPage {
    return this.#transaction(() => {
      const writer = this.#writer;
      writer.begin('array');
      const places = new Places();
      for (const offset of offsets) {
        this.#writeAt(offset);
        places.push(writer.length, offset);
      }
      const lastOffset = offsets.at(-1) ?? 0;
      return { bytes: writer.take(), count: offsets.length, lastOffset, resumeAfter: null, ...places.take() };
    });
  }

  /** The JSON of the event at this offset, which must exist. */
  at(offset: number): string {
    return this.#transaction(() => {
      const writer = this.#writer;
      writer.begin('lines');
      this.#writeAt(offset);
      return Buffer.from(writer.take()).toString('utf8', 0, writer.length - 1);
    });
  }

  #writeAt(offset: number): void {
    for (const block of this.#blocks.of({ order: 'asc', after: offset - 1, upTo: offset }, undefined)) {
      const index = offset - block.firstOffset;
      this.#writer.write(block.text(index), offset, block.receivedMs(index));
      return;
    }
    throw damaged(`there is no block with offset ${offset}`);
  }

  topics(filter: TopicFilter): TopicSummary[] {
    return this.#transaction(() => {
      const isMeant = compileTopicFilter(filter);
      const rows = this.#prepared(
        'SELECT topic_id, name, events, last_offset FROM topic ORDER BY name',
      ).all();
      const meant = rows.filter((row) => isMeant(String(row['name'])));
      const unsettled = this.#unsettled.counts();
      return meant.map((row) => {
        const more = unsettled.get(Number(row['topic_id']));
        return {
          topic: String(row['name']),
          events: Number(row['events']) + (more?.events ?? 0),
          lastOffset: more?.lastOffset ?? Number(row['last_offset']),
        };
      });
    });
  }

  stats(): Omit<StoreStats, 'storedBytes'> {
    return this.#transaction(() => {
      const { received, accepted, duplicates, conflicts, lastOffset } = readLedger(this.#db);
      const names = this.#prepared('SELECT name FROM topic ORDER BY name').all();
      const topics = names.map((row) => String(row['name']));
      return { received, accepted, duplicates, conflicts, lastOffset, topics };
    });
  }

  /**
   * Calls `visit` with every match in order, until it returns false (the match was not taken) or enough was examined.
   * Returns the offset to continue beyond, or null if nothing is left.
   */
  #scan(query: RangeQuery, visit: (block: Block, index: number) => boolean): number | null {
    return this.#transaction(() => {
      const topicIds = this.#topicIds.of(query);
      if (topicIds?.size === 0) return null;
      const ascending = query.order === 'asc';
      const needsText = query.source !== undefined || query.from !== undefined || query.to !== undefined;
      let looked = 0;
      let lookedTo = query.after;
      for (const block of this.#blocks.of(query, topicIds)) {
        const first = Math.max(0, (ascending ? query.after + 1 : 1) - block.firstOffset);
        const last =
          Math.min(block.lastOffset, query.upTo, ascending ? query.upTo : query.after - 1) -
          block.firstOffset;
        for (let i = ascending ? first : last; ascending ? i <= last : i >= first; i += ascending ? 1 : -1) {
          if (topicIds !== undefined && !topicIds.has(block.topicId(i))) continue;
          if (looked === SCAN_EVENTS_MAX) return lookedTo;
          if (!needsText || matches(block.text(i), query)) {
            if (!visit(block, i)) return lookedTo;
          }
          looked += 1;
          lookedTo = block.firstOffset + i;
        }
      }
      return null;
    });
  }

  #transaction<T>(work: () => T): T {
    // The writer reads within its own transaction.
    if (this.#db.isTransaction) return work();
    this.#db.exec('BEGIN');
    try {
      return work();
    } finally {
      this.#db.exec('COMMIT');
    }
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

/** Where the events of a page end, and their offsets. */
class Places {
  readonly #ends: number[] = [];
  readonly #offsets: number[] = [];

  push(end: number, offset: number): void {
    this.#ends.push(end);
    this.#offsets.push(offset);
  }

  take(): Pick<PlacedPage, 'ends' | 'offsets'> {
    return { ends: Int32Array.from(this.#ends), offsets: Float64Array.from(this.#offsets) };
  }
}

/** Reads from the event's text what the directory does not hold. */
function matches(text: Uint8Array, { source, from, to }: EventFilter): boolean {
  const event = readStoredEvents(Buffer.from(text), 1);
  return (
    (source === undefined || partText(event, 0, SOURCE) === source) &&
    (from === undefined || compareTime(event, from) >= 0) &&
    (to === undefined || compareTime(event, to) < 0)
  );
}

/** Compares the time of a batch's only event. Parses its text only if the milliseconds are equal. */
function compareTime(event: EventBatch, other: Instant): number {
  const timeMs = event.timesMs[0]!;
  if (timeMs !== other.epochMs) return timeMs - other.epochMs;
  return compareInstants(parseTimestamp(partText(event, 0, TIMESTAMP))!, other);
}
