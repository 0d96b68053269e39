import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { EVENT_ID, partText } from '../../../event/event-batch.ts';
import {
  AUDIT_ACTIONS,
  type AuditCount,
  type AuditExtent,
  type AuditSummaryQuery,
} from '../../audit-store.ts';
import type { EventName, FoundRecords, RecordsQuery } from '../../audit/audit-page.ts';
import type { AuditRecord } from '../../audit/audit-records.ts';
import type { Block } from '../../blocks/block-format.ts';
import { eventsAt } from '../../blocks/block-events.ts';
import { damaged } from '../../errors.ts';
import type { TopicFilter } from '../../topic-filter.ts';
import { BlockReader } from '../block-reader.ts';
import { reading } from '../reading.ts';
import { TopicIds } from '../topic-ids.ts';

/** Records read in one call, or passed over because they are of other actions, and entries in them: some milliseconds. */
const RECORDS_MAX = 512;
const PASSED_MAX = 20_000;
const ENTRIES_MAX = 4096;

/** Records counted in one call. */
const COUNTED_MAX = 50_000;

/** Some of the counts, and the record to go on from; null at the end. */
export interface CountedSome {
  readonly counts: readonly AuditCount[];
  readonly resumeAt: number | null;
}

/** A range of records, both ends included; empty if `last` is below `first`. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

/** Reads the audit trail in the reader's thread, each call bounded and of one state of the file. */
export class TrailReader {
  readonly #db: DatabaseSync;
  readonly #topicIds: TopicIds;
  readonly #blocks: BlockReader;
  readonly #ends: StatementSync;
  readonly #timeAt: StatementSync;
  readonly #records: StatementSync;
  readonly #count: StatementSync;
  readonly #topicName: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#topicIds = new TopicIds(db);
    this.#blocks = new BlockReader(db);
    this.#ends = db.prepare('SELECT min(record) AS first, max(record) AS last FROM audit');
    this.#timeAt = db.prepare('SELECT at_ms FROM audit WHERE record = ?');
    this.#records = db.prepare(`
      SELECT record, at_ms AS atMs, action, who, entries, 0 AS base, body FROM audit
      WHERE record BETWEEN ? AND ? AND (?3 IS NULL OR action IN (SELECT value FROM json_each(?3)))
      ORDER BY record DESC`);
    this.#count = db.prepare(`
      SELECT CASE WHEN ?3 IS NULL THEN 0 ELSE at_ms - at_ms % ?3 END AS periodMs, action, sum(entries) AS entries
      FROM audit WHERE record BETWEEN ?1 AND ?2 GROUP BY 1, 2 ORDER BY 1, 2`);
    this.#topicName = db.prepare('SELECT name FROM topic WHERE topic_id = ?');
  }

  records({ start, actions, fromMs, toMs }: RecordsQuery): FoundRecords {
    return reading(this.#db, () => this.#found(this.#range(fromMs, toMs), start, actions));
  }

  /** The records from one time to another, exclusive. Their times ascend and their numbers have no gaps. */
  range(fromMs: number, toMs: number): Range {
    return reading(this.#db, () => this.#range(fromMs, toMs));
  }

  names(offsets: readonly number[], topics: TopicFilter): (EventName | null)[] {
    return reading(this.#db, () => {
      const topicIds = this.#topicIds.of(topics);
      const names = new Map<number, EventName | null>();
      let block: Block | undefined;
      for (const offset of offsets.toSorted((a, b) => a - b)) {
        if (block === undefined || offset > block.lastOffset) block = this.#blocks.with(offset);
        names.set(offset, this.#nameIn(block, offset - block.firstOffset, topicIds));
      }
      return offsets.map((offset) => names.get(offset)!);
    });
  }

  countSome({ first, last }: Range, periodMs: AuditSummaryQuery['periodMs']): CountedSome {
    const upTo = Math.min(last, first + COUNTED_MAX - 1);
    const rows = this.#count.all(first, upTo, periodMs) as {
      periodMs: number;
      action: number;
      entries: number;
    }[];
    const counts = rows.map((row) => ({ ...row, action: AUDIT_ACTIONS[row.action]! }));
    return { counts, resumeAt: upTo < last ? upTo + 1 : null };
  }

  extent(): AuditExtent {
    return reading(this.#db, () => {
      const { first, last } = this.#range(0, Number.MAX_SAFE_INTEGER);
      if (last < first) return { records: 0, oldestMs: null };
      return { records: last - first + 1, oldestMs: this.#time(first) };
    });
  }

  #found(range: Range, start: number | null, actions: RecordsQuery['actions']): FoundRecords {
    const last = Math.min(range.last, start ?? range.last);
    const first = Math.max(range.first, last - PASSED_MAX + 1);
    const wanted = actions === null ? null : JSON.stringify(actions);
    const records: AuditRecord[] = [];
    let entries = 0;
    let reached = first;
    for (const row of this.#records.iterate(first, last, wanted)) {
      const record = row as unknown as AuditRecord;
      records.push(record);
      entries += record.entries;
      if (entries < ENTRIES_MAX && records.length < RECORDS_MAX) continue;
      reached = record.record;
      break;
    }
    return { records, resumeAt: reached > range.first ? reached : null };
  }

  #range(fromMs: number, toMs: number): Range {
    const { first, last } = this.#ends.get() as { first: number | null; last: number | null };
    if (first === null || last === null) return { first: 1, last: 0 };
    const all = { first, last };
    return { first: this.#firstFrom(all, fromMs), last: this.#firstFrom(all, toMs) - 1 };
  }

  /** The first record from this time on, or the number after the last one. */
  #firstFrom({ first, last }: Range, timeMs: number): number {
    let [low, high] = [first, last + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#time(middle) < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #time(record: number): number {
    const row = this.#timeAt.get(record);
    if (row === undefined) throw damaged(`the audit trail lacks its record ${record}`);
    return Number(row['at_ms']);
  }

  #nameIn(block: Block, place: number, topicIds: ReadonlySet<number> | undefined): EventName | null {
    const topicId = block.topicId(place);
    if (topicIds?.has(topicId) === false) return null;
    const topic = String(this.#topicName.get(topicId)!['name']);
    const eventId = block.isKept(place) ? partText(eventsAt(block, [place]), 0, EVENT_ID) : null;
    return { topic, eventId };
  }
}
