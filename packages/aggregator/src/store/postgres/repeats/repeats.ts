import type { StoredEvent } from '@chronicleweaver/protocol';
import type { ClientBase } from 'pg';
import {
  AGE_BOUNDS_MS,
  type AgeCounts,
  CONFLICT_PAGE_BYTES_MAX,
  type ConflictPage,
  type ConflictQuery,
  type EventHistory,
  PERIOD_MS,
  type RepeatFilter,
  type RepeatStore,
  type Repeaters,
  type RepeatersQuery,
} from '../../repeat-store.ts';
import { intArray } from '../arrays.ts';
import type { Epochs } from '../epochs.ts';
import type { LogEnd } from '../log-end.ts';
import type { Reader } from '../read.ts';
import type { Sessions } from '../sessions.ts';
import type { Topics } from '../topics.ts';
import { transaction } from '../transaction.ts';
import type { Vacuuming } from '../vacuum.ts';
import { type ConflictRow, conflictOf } from './conflict-rows.ts';
import { historyOf } from './histories.ts';
import { settleSome } from './settle-repeats.ts';

/**
 * After so many repeats, or appends with some, that were made here, they are settled, so that no reader has to wait for many. Of more at
 * once more are in the same stretch: at 5,000,000 keys, where a tenth of all events repeat some of any age, 1.09 of the rate with 4096.
 */
const REPEATS = 16_384;
const APPENDS = 256;

const SINCE = 'SELECT since_ms FROM repeats';

const AGES = `
  SELECT age, sum(duplicates) AS duplicates, sum(conflicts) AS conflicts FROM repeat_age
  WHERE ($1::int[] IS NULL OR topic_id = ANY ($1::int[])) AND ($2::text IS NULL OR source = $2::text) GROUP BY age`;

const BY = { topic: 'topic.name', source: 'source' } as const;

/** The empty name comes first, so that it never falls off the end. */
const REPEATERS = (by: 'topic' | 'source', table: string, condition: string) => `
  SELECT ${BY[by]} AS name, sum(duplicates) AS duplicates, sum(conflicts) AS conflicts
  FROM ${table} JOIN topic USING (topic_id) WHERE ($1::int[] IS NULL OR topic_id = ANY ($1::int[])) ${condition}
  GROUP BY 1 ORDER BY ${BY[by]} <> '', 2 DESC, 1 LIMIT $2::int + 1`;

const CONFLICTS = `
  SELECT number, first_offset, received_ms, topic.name AS topic, event_id, source, publisher, octet_length(body) AS bytes
  FROM conflict JOIN topic USING (topic_id)
  WHERE number < $1::bigint AND ($2::int[] IS NULL OR topic_id = ANY ($2::int[])) AND ($3::text IS NULL OR source = $3::text)
  ORDER BY number DESC LIMIT $4::int + 1`;
const BODIES = 'SELECT number, body FROM conflict WHERE number = ANY ($1::text[]::bigint[])';

/**
 * What instances on one database tell of repeats. In: what commits have noted, which is settled before each answer
 * (settle-repeats.ts), so that it is as of its beginning, and now and then meanwhile. Any instance may settle at any time.
 */
export class PostgresRepeats implements RepeatStore {
  readonly #sessions: Sessions;
  readonly #topics: Topics;
  readonly #epochs: Epochs;
  readonly #reader: Reader;
  readonly #end: LogEnd;
  readonly #vacuuming: Vacuuming;
  readonly #hashOf: (topic: string, eventId: string) => Buffer;
  #repeats = 0;
  #appends = 0;
  #settling: Promise<void> | null = null;
  #isClosed = false;

  constructor(parts: {
    sessions: Sessions;
    topics: Topics;
    epochs: Epochs;
    reader: Reader;
    end: LogEnd;
    vacuuming: Vacuuming;
    /** The identity of an event. */
    hashOf: (topic: string, eventId: string) => Buffer;
  }) {
    this.#sessions = parts.sessions;
    this.#topics = parts.topics;
    this.#epochs = parts.epochs;
    this.#reader = parts.reader;
    this.#end = parts.end;
    this.#vacuuming = parts.vacuuming;
    this.#hashOf = parts.hashOf;
  }

  async sinceMs(): Promise<number> {
    const { rows } = await this.#sessions.read((client) => client.query<{ since_ms: string }>(SINCE));
    return Number(rows[0]!.since_ms);
  }

  ages({ source, ...filter }: RepeatFilter): Promise<AgeCounts> {
    return this.#settled(async () => {
      const values = [await this.#idsOf(filter), source ?? null];
      const { rows } = await this.#sessions.read((client) =>
        client.query<{ age: number; duplicates: string; conflicts: string }>({
          name: 'ages',
          text: AGES,
          values,
        }),
      );
      const duplicates = [...AGE_BOUNDS_MS, 0].fill(0);
      const conflicts = [...duplicates];
      for (const row of rows) {
        duplicates[row.age] = Number(row.duplicates);
        conflicts[row.age] = Number(row.conflicts);
      }
      return { duplicates, conflicts };
    });
  }

  history(topic: string, eventId: string): Promise<EventHistory | undefined> {
    return this.#settled(async () => {
      const offset = await this.#reader.locate(this.#hashOf(topic, eventId));
      if (offset === null) return undefined;
      const found = await this.#reader.at(offset);
      const event = typeof found === 'string' ? (JSON.parse(found) as StoredEvent) : null;
      return {
        offset,
        receivedMs: typeof found === 'string' ? Date.parse(event!.received_at) : found.receivedMs,
        source: event?.source ?? null,
        ...(await this.#sessions.read((client) => historyOf(client, offset))),
      };
    });
  }

  repeaters({ by, sinceMs, limit, ...filter }: RepeatersQuery): Promise<Repeaters> {
    return this.#settled(async () => {
      const table = sinceMs === null ? 'repeat_age' : 'repeat_period';
      const condition = sinceMs === null ? '' : 'AND period_ms > $3::bigint';
      const values = [await this.#idsOf(filter), limit, ...(sinceMs === null ? [] : [sinceMs - PERIOD_MS])];
      const { rows } = await this.#sessions.read((client) =>
        client.query<Record<'name' | 'duplicates' | 'conflicts', string>>({
          name: `repeaters ${by} ${table}`,
          text: REPEATERS(by, table, condition),
          values,
        }),
      );
      const counted = rows.map(({ name, duplicates, conflicts }) => ({
        name,
        duplicates: Number(duplicates),
        conflicts: Number(conflicts),
      }));
      const unnamed = counted.find(({ name }) => name === '');
      return {
        repeaters: counted.filter(({ name }) => name !== '').slice(0, limit),
        unnamed: { duplicates: unnamed?.duplicates ?? 0, conflicts: unnamed?.conflicts ?? 0 },
      };
    });
  }

  conflicts({ before, limit, source, ...filter }: ConflictQuery): Promise<ConflictPage> {
    return this.#settled(async () => {
      const values = [before ?? Number.MAX_SAFE_INTEGER, await this.#idsOf(filter), source ?? null, limit];
      const { rows, bodies } = await this.#sessions.read(async (client) => {
        const found = await client.query<ListedRow>({ name: 'conflicts', text: CONFLICTS, values });
        const page = pageOf(found.rows, limit);
        return { rows: found.rows, bodies: await bodiesOf(client, page) };
      });
      await this.#end.reach(rows.reduce((end, row) => Math.max(end, Number(row.first_offset)), 0));
      const conflicts = pageOf(rows, limit).map((row) => conflictOf(row, bodies.get(row.number) ?? null));
      return { conflicts, next: rows.length > conflicts.length ? conflicts.at(-1)!.number : null };
    });
  }

  /** An append with so many repeats was made here. */
  noted(repeats: number): void {
    this.#repeats += repeats;
    this.#appends += 1;
    if (this.#repeats < REPEATS && this.#appends < APPENDS) return;
    if (this.#settling !== null || this.#isClosed) return;
    this.#repeats = 0;
    this.#appends = 0;
    this.#settling = this.#settle()
      // Whoever appends or reads reports that the database does not answer.
      .catch(() => {})
      .finally(() => (this.#settling = null));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#settling;
  }

  /** Reads once all that was noted before is settled. */
  async #settled<T>(read: () => Promise<T>): Promise<T> {
    await this.#settle();
    return this.#epochs.inOne(read);
  }

  async #settle(): Promise<void> {
    for (let isDone = false; !isDone;) {
      const settled = await transaction(this.#sessions, settleSome);
      this.#vacuuming.settled(settled);
      isDone = settled.isDone;
    }
  }

  async #idsOf(filter: RepeatFilter): Promise<Buffer | null> {
    const ids = await this.#topics.of(filter);
    return ids === undefined ? null : intArray([...ids]);
  }
}

interface ListedRow extends ConflictRow {
  readonly bytes: number | null;
}

/** The first of these, as many as a page may have. */
function pageOf(rows: readonly ListedRow[], limit: number): readonly ListedRow[] {
  let bytes = 0;
  const end = rows.findIndex((row, i) => {
    if (i === limit || bytes >= CONFLICT_PAGE_BYTES_MAX) return true;
    bytes += row.bytes ?? 0;
    return false;
  });
  return end === -1 ? rows : rows.slice(0, end);
}

async function bodiesOf(client: ClientBase, rows: readonly ListedRow[]): Promise<Map<string, Buffer | null>> {
  const found = await client.query<{ number: string; body: Buffer | null }>(BODIES, [
    rows.map(({ number }) => number),
  ]);
  return new Map(found.rows.map(({ number, body }) => [number, body]));
}
