import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type {
  EventFilter,
  EventPage,
  PageQuery,
  Snapshot,
  SnapshotQuery,
  StoreStats,
  TopicSummary,
} from '../event-store.ts';
import { storedEventJson } from '../stored-event.ts';

/** Bytes of a page: large enough that the hand-over costs little, small enough that a slow reader holds little. */
const PAGE_BYTES_MAX = 256 * 1024;

/** Rows looked at in one call, matching or not, so that a call is short and others get their turn. */
const SCAN_ROWS_MAX = 5000;

/** Its arrays have memory of their own, which can move to another thread; that of a small Buffer is shared. */
const ENCODER = new TextEncoder();

/** What is looked at: the rows behind `after`, in that order, up to `upTo`. */
export type RangeQuery = SnapshotQuery & Pick<PageQuery, 'upTo'>;

/** Matches among some rows; `resumeAfter` as in a page. */
export interface CountedSome {
  readonly count: number;
  readonly resumeAfter: number | null;
}

/** Reads of the committed log, each one statement or one transaction, on a connection beside the writer's. */
export class Reader {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** The end of the log and the count of a topic, or of all, from one state of the file. */
  snapshot(topic: string | undefined): Snapshot {
    const row = this.#prepared(
      `
      SELECT last_offset AS lastOffset, accepted,
             (SELECT events FROM topic WHERE name = ?) AS topicEvents
      FROM ledger`,
    ).get(topic ?? null)!;
    const count = topic === undefined ? row['accepted'] : row['topicEvents'];
    return { lastOffset: Number(row['lastOffset']), count: Number(count ?? 0) };
  }

  /** Counts the matches among the next rows. */
  countSome(query: RangeQuery): CountedSome {
    const { where, values } = this.#candidates(query);
    const match = matchOf(query);
    const { direction, last } =
      query.order === 'asc' ? { direction: 'ASC', last: 'max' } : { direction: 'DESC', last: 'min' };
    const row = this.#prepared(
      `
      SELECT count(*) AS scanned, count(*) FILTER (WHERE ${match.sql}) AS matched, ${last}(offset) AS last
      FROM (SELECT offset, source, time_ms FROM event WHERE ${where} ORDER BY offset ${direction} LIMIT ${SCAN_ROWS_MAX})
    `,
    ).get(...match.values, ...values)!;
    const more = Number(row['scanned']) === SCAN_ROWS_MAX;
    return { count: Number(row['matched']), resumeAfter: more ? Number(row['last']) : null };
  }

  page(query: PageQuery): EventPage {
    const { where, values } = this.#candidates(query);
    const match = matchOf(query);
    const rowsMax = match.sql === 'TRUE' ? Math.min(query.eventsMax + 1, SCAN_ROWS_MAX) : SCAN_ROWS_MAX;
    // A row that does not match gives no text: it was looked at, and the scan can go on behind it.
    const rows = this.#prepared(
      `
      SELECT offset, received_ms, CASE WHEN ${match.sql} THEN text END AS text
      FROM event WHERE ${where} ORDER BY offset ${query.order === 'asc' ? 'ASC' : 'DESC'} LIMIT ?
    `,
    ).iterate(...match.values, ...values, rowsMax);

    const texts: string[] = [];
    let length = 0;
    let scanned = 0;
    let scannedTo = 0;
    let lastOffset = 0;
    let full = false;
    for (const row of rows) {
      if (texts.length === query.eventsMax || length >= PAGE_BYTES_MAX) {
        full = true;
        break;
      }
      scanned += 1;
      scannedTo = Number(row['offset']);
      if (row['text'] === null) continue;
      const json =
        storedEventJson(String(row['text']), scannedTo, Number(row['received_ms'])) + query.separator;
      texts.push(json);
      length += json.length;
      lastOffset = scannedTo;
    }
    const more = full || scanned === rowsMax;
    return {
      bytes: ENCODER.encode(texts.join('')),
      count: texts.length,
      lastOffset,
      resumeAfter: more ? scannedTo : null,
    };
  }

  find(topic: string, eventId: string): string | undefined {
    const row = this.#prepared(
      `
      SELECT offset, received_ms, text FROM event
      WHERE topic_id = (SELECT topic_id FROM topic WHERE name = ?) AND event_id = ?`,
    ).get(topic, eventId);
    return row && storedEventJson(String(row['text']), Number(row['offset']), Number(row['received_ms']));
  }

  topics(): TopicSummary[] {
    const rows = this.#prepared('SELECT name, events, last_offset FROM topic ORDER BY name').all();
    return rows.map((row) => ({
      topic: String(row['name']),
      events: Number(row['events']),
      lastOffset: Number(row['last_offset']),
    }));
  }

  stats(): Omit<StoreStats, 'storedBytes'> {
    this.#db.exec('BEGIN');
    try {
      const row = this.#prepared('SELECT * FROM ledger').get()!;
      return {
        received: Number(row['received']),
        accepted: Number(row['accepted']),
        duplicates: Number(row['duplicates']),
        conflicts: Number(row['conflicts']),
        lastOffset: Number(row['last_offset']),
        topics: this.topics().map(({ topic }) => topic),
      };
    } finally {
      this.#db.exec('COMMIT');
    }
  }

  /** The rows of a topic, or of all, between two offsets: each way has its index. */
  #candidates(query: RangeQuery): { where: string; values: (string | number)[] } {
    const ascending = query.order === 'asc';
    const above = ascending ? query.after : 0;
    const upTo = Math.min(query.upTo, ascending ? Number.MAX_SAFE_INTEGER : query.after - 1);
    const where = 'offset > ? AND offset <= ?';
    if (query.topic === undefined) return { where, values: [above, upTo] };
    return {
      where: `topic_id = (SELECT topic_id FROM topic WHERE name = ?) AND ${where}`,
      values: [query.topic, above, upTo],
    };
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

function matchOf({ source, fromMs, toMs }: EventFilter): { sql: string; values: (string | number)[] } {
  const conditions: [string, string | number | undefined][] = [
    ['source = ?', source],
    ['time_ms >= ?', fromMs],
    ['time_ms < ?', toMs],
  ];
  const used = conditions.filter(([, value]) => value !== undefined) as [string, string | number][];
  return { sql: used.map(([sql]) => sql).join(' AND ') || 'TRUE', values: used.map(([, value]) => value) };
}
