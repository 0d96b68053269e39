import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SOURCE, partText } from '../../../event/event-batch.ts';
import { eventsAt } from '../../blocks/block-events.ts';
import { damaged } from '../../errors.ts';
import {
  type AgeCounts,
  CONFLICT_PAGE_BYTES_MAX,
  type Conflict,
  type ConflictPage,
  type ConflictQuery,
  type EventHistory,
  REPEATS_KEPT_MAX,
  type Repeat,
  type RepeatFilter,
  type Repeaters,
  type RepeatersQuery,
} from '../../repeat-store.ts';
import { BlockReader } from '../block-reader.ts';
import { reading } from '../reading.ts';
import { TopicIds } from '../topic-ids.ts';
import { conflictOf } from './conflicts.ts';
import { addCounts, historyIn } from './packed.ts';
import { PendingRepeats } from './pending.ts';
import { UNNAMED, addAge, agesIn, noAges, periodOf } from './settling.ts';

const CONFLICTS = `
  SELECT number, offset, received_ms, conflict.topic_id, topic.name AS topic, event_id, source, publisher,
    texts, text_at, text_bytes
  FROM conflict JOIN topic USING (topic_id) WHERE number < ? ORDER BY number DESC`;

const AGES = 'SELECT topic_id, source, ages FROM repeat_count';

const TOTALS = 'SELECT topic_id, source, duplicates, conflicts FROM repeat_count';

const PERIOD_TOTALS = `
  SELECT topic_id, source, sum(duplicates) AS duplicates, sum(conflicts) AS conflicts
  FROM repeat_period WHERE period >= ? GROUP BY topic_id, source`;

/**
 * Reads what is remembered of repeats, each call in one transaction, in the reader's thread. What is told is what the tables
 * count and what is pending beside them.
 */
export class RepeatReader {
  readonly #db: DatabaseSync;
  readonly #topicIds: TopicIds;
  readonly #blocks: BlockReader;
  readonly #pending: PendingRepeats;
  readonly #since: StatementSync;
  readonly #history: StatementSync;
  readonly #conflicts: StatementSync;
  readonly #texts: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#topicIds = new TopicIds(db);
    this.#blocks = new BlockReader(db);
    this.#pending = new PendingRepeats(db);
    this.#since = db.prepare('SELECT since_ms FROM repeat_state');
    this.#history = db.prepare('SELECT duplicates, conflicts, repeats FROM repeat_history WHERE offset = ?');
    this.#conflicts = db.prepare(CONFLICTS);
    this.#texts = db.prepare('SELECT body FROM conflict_texts WHERE last_number = ?');
  }

  sinceMs(): number {
    return Number(this.#since.get()!['since_ms']);
  }

  ages({ source, ...filter }: RepeatFilter): AgeCounts {
    return reading(this.#db, () => {
      const topicIds = this.#topicIds.of(filter);
      const isMeant = (topicId: number, name: string): boolean =>
        topicIds?.has(topicId) !== false && (source === undefined || (name === source && name !== UNNAMED));
      const ages = noAges();
      for (const [topicId, name, some] of this.#rows<[number, string, Uint8Array]>(AGES))
        if (isMeant(topicId, name)) addCounts(ages, some);
      this.#pending.visit((repeat) => {
        if (isMeant(repeat.topicId, source === undefined ? '' : repeat.source)) addAge(ages, repeat);
      });
      return agesIn(ages);
    });
  }

  /** Of the event at an offset. */
  history(offset: number): EventHistory {
    return reading(this.#db, () => {
      const row = this.#history.get(offset);
      let duplicates = Number(row?.['duplicates'] ?? 0);
      let conflicts = Number(row?.['conflicts'] ?? 0);
      const repeats: Repeat[] = row === undefined ? [] : historyIn(row['repeats'] as Uint8Array);
      this.#pending.visit((repeat) => {
        if (repeat.offset !== offset) return;
        const { receivedMs, isConflict, source, publisher } = repeat;
        duplicates += 1;
        if (isConflict) conflicts += 1;
        repeats.push({ receivedMs, isConflict, source, publisher });
      });
      const last = repeats.slice(-REPEATS_KEPT_MAX).toReversed();
      return { offset, ...this.#first(offset), duplicates, conflicts, repeats: last };
    });
  }

  repeaters({ by, sinceMs, limit, ...filter }: RepeatersQuery): Repeaters {
    return reading(this.#db, () => {
      const totals = new Totals(by, this.#topicIds.of(filter));
      const rows =
        sinceMs === null
          ? this.#rows<CountRow>(TOTALS)
          : this.#rows<CountRow>(PERIOD_TOTALS, periodOf(sinceMs));
      for (const row of rows) totals.add(...row);
      this.#pending.visit(({ receivedMs, topicId, source, isConflict }) => {
        if (sinceMs === null || periodOf(receivedMs) >= periodOf(sinceMs))
          totals.add(topicId, source, 1, isConflict ? 1 : 0);
      });
      const topicName = this.#db.prepare('SELECT name FROM topic WHERE topic_id = ?');
      return totals.told(limit, (topicId) => String(topicName.get(topicId)?.['name']));
    });
  }

  conflicts({ before, limit, source, ...filter }: ConflictQuery): ConflictPage {
    return reading(this.#db, () => {
      const topicIds = this.#topicIds.of(filter);
      const conflicts: Conflict[] = [];
      let bytes = 0;
      for (const row of this.#conflicts.iterate(before ?? Number.MAX_SAFE_INTEGER)) {
        if (topicIds?.has(Number(row['topic_id'])) === false) continue;
        if (source !== undefined && row['source'] !== source) continue;
        if (conflicts.length === limit || bytes >= CONFLICT_PAGE_BYTES_MAX)
          return { conflicts, next: conflicts.at(-1)!.number };
        conflicts.push(conflictOf(row, this.#text(row)));
        bytes += Number(row['text_bytes'] ?? 0);
      }
      return { conflicts, next: null };
    });
  }

  #text({ texts, text_at: at, text_bytes: bytes }: Record<string, unknown>): string | null {
    if (bytes === null) return null;
    const row = this.#texts.get(Number(texts));
    if (row === undefined) throw damaged(`the texts of conflicts up to ${String(texts)} are missing`);
    return Buffer.from(row['body'] as Uint8Array)
      .subarray(Number(at), Number(at) + Number(bytes))
      .toString();
  }

  /** When the event at an offset was committed, and its source if its text is kept. */
  #first(offset: number): Pick<EventHistory, 'receivedMs' | 'source'> {
    const block = this.#blocks.with(offset);
    const place = offset - block.firstOffset;
    const source = block.isKept(place) ? partText(eventsAt(block, [place]), 0, SOURCE) : null;
    return { receivedMs: block.receivedMs(place), source };
  }

  #rows<R extends readonly unknown[]>(sql: string, ...values: number[]): Iterable<R> {
    const statement = this.#db.prepare(sql);
    statement.setReturnArrays(true);
    return statement.iterate(...values) as Iterable<unknown> as Iterable<R>;
  }
}

type CountRow = [topicId: number, source: string, duplicates: number, conflicts: number];

/** Adds up repeats by topic or by source. */
class Totals {
  readonly #by: RepeatersQuery['by'];
  readonly #topicIds: ReadonlySet<number> | undefined;
  readonly #totals = new Map<number | string, { duplicates: number; conflicts: number }>();

  constructor(by: RepeatersQuery['by'], topicIds: ReadonlySet<number> | undefined) {
    this.#by = by;
    this.#topicIds = topicIds;
  }

  add(topicId: number, source: string, duplicates: number, conflicts: number): void {
    if (this.#topicIds?.has(topicId) === false) return;
    const key = this.#by === 'topic' ? topicId : source;
    const total = this.#totals.get(key);
    if (total === undefined) this.#totals.set(key, { duplicates, conflicts });
    else {
      total.duplicates += duplicates;
      total.conflicts += conflicts;
    }
  }

  /** The first ones. Only names that decide something are looked up. */
  told(limit: number, topicName: (topicId: number) => string): Repeaters {
    const unnamed = this.#totals.get(UNNAMED) ?? { duplicates: 0, conflicts: 0 };
    this.#totals.delete(UNNAMED);
    // Names are compared where the counts do not decide alone.
    const counts = Float64Array.from(this.#totals.values(), ({ duplicates }) => duplicates).toSorted();
    const least = counts[counts.length - limit] ?? 0;
    const repeaters = [...this.#totals]
      .filter(([, { duplicates }]) => duplicates >= least)
      .map(([key, total]) => ({ ...total, name: typeof key === 'string' ? key : topicName(key) }))
      // As strings with a character for each byte, which are compared much faster than buffers.
      .map((total) => ({ total, bytes: Buffer.from(total.name).toString('latin1') }))
      .toSorted((a, b) => b.total.duplicates - a.total.duplicates || (a.bytes < b.bytes ? -1 : 1))
      .slice(0, limit)
      .map(({ total }) => total);
    return { repeaters, unnamed };
  }
}
