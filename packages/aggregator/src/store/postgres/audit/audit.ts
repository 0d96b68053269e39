import type { ClientBase } from 'pg';
import {
  AUDIT_ACTIONS,
  type AuditExtent,
  type AuditNote,
  type AuditPage,
  type AuditQuery,
  type AuditStore,
  type AuditSummary,
  type AuditSummaryQuery,
} from '../../audit-store.ts';
import { mergedCounts } from '../../audit/audit-counts.ts';
import { type FoundRecords, type RecordsQuery, auditPage } from '../../audit/audit-page.ts';
import { type AuditRecord, recordsOfNotes } from '../../audit/audit-records.ts';
import type { Reader } from '../read.ts';
import { type Sessions, answered, using } from '../sessions.ts';
import { unbroken } from '../unbroken.ts';
import { parametersOf } from './recorded.ts';

/** Records looked at, read, and entries in those, in one look. */
const PASSED_MAX = 5000;
const RECORDS_MAX = 512;
const ENTRIES_MAX = 4096;

/** Records deleted in one step. */
const TRIMMED_AT_ONCE = 1000;

const NOTE = `
  INSERT INTO audit (at_ms, action, who, entries, base, body)
  SELECT coalesce($5::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), action, nullif(who, ''),
    entries::bigint, 0, body
  FROM unnest($1::int[], $2::text[], $3::text[], $4::text[]) AS new (action, who, entries, body)`;

/** What stands where the list is to begin; the newest one below it where it is gone. */
const START = 'SELECT at_ms, record FROM audit WHERE record <= $1::bigint ORDER BY record DESC LIMIT 1';

const PASSED = `
  SELECT record, action, entries FROM audit
  WHERE at_ms >= $1::bigint AND at_ms < $2::bigint AND (at_ms, record) <= ($3::bigint, $4::bigint)
  ORDER BY at_ms DESC, record DESC LIMIT ${PASSED_MAX}`;

const RECORDS = `
  SELECT record, at_ms, action, who, entries, base, body FROM audit WHERE record = ANY ($1::text[]::bigint[])
  ORDER BY at_ms DESC, record DESC`;

/** At most one more than counts. */
const HOW_MANY = `
  SELECT count(*) AS records FROM (
    SELECT 1 FROM audit WHERE at_ms >= $1::bigint AND at_ms < $2::bigint LIMIT $3::int + 1
  ) AS counted`;

const COUNT = `
  SELECT coalesce(at_ms / $3::bigint * $3::bigint, 0) AS period_ms, action, sum(entries) AS entries FROM audit
  WHERE at_ms >= $1::bigint AND at_ms < $2::bigint GROUP BY 1, 2`;

const EXTENT = `
  SELECT (SELECT at_ms FROM audit ORDER BY at_ms, record LIMIT 1) AS oldest_ms,
    (SELECT record FROM audit ORDER BY record DESC LIMIT 1) - (SELECT record FROM audit ORDER BY record LIMIT 1) + 1 AS records`;

const TRIM = `
  DELETE FROM audit WHERE record = ANY (ARRAY(
    SELECT record FROM audit WHERE at_ms < $1::bigint ORDER BY at_ms, record LIMIT ${TRIMMED_AT_ONCE}))`;

/**
 * The audit trail of all instances on one database. What commits and groups do is written by their own statements (append.ts,
 * groups/save.ts) where `isOn`; each instance says for itself whether it is. The list is ordered by time, then by number:
 * numbers are drawn before the commit, and so is the time of a step, so that for moments a record can appear below one that
 * was shown.
 */
export class PostgresAudit implements AuditStore {
  isOn = false;
  readonly #sessions: Sessions;
  readonly #reader: Reader;
  readonly #hashOf: (topic: string, eventId: string) => Buffer;
  readonly #now: (() => number) | undefined;

  /** @param now the clock of tests; without one it is the database's */
  constructor(parts: {
    sessions: Sessions;
    reader: Reader;
    /** The identity of an event. */
    hashOf: (topic: string, eventId: string) => Buffer;
    now: (() => number) | undefined;
  }) {
    this.#sessions = parts.sessions;
    this.#reader = parts.reader;
    this.#hashOf = parts.hashOf;
    this.#now = parts.now;
  }

  async begin(): Promise<void> {
    this.isOn = true;
  }

  /** It is not tried again: then it could be there twice. */
  async note(notes: readonly AuditNote[], mayBeLost: boolean): Promise<void> {
    if (!this.isOn) return;
    await using(this.#sessions.readers, (client) =>
      answered(client, async () => {
        if (!mayBeLost) return unbroken(client, () => this.noteWithin(client, notes));
        await client.query('BEGIN; SET LOCAL synchronous_commit = off');
        try {
          await this.noteWithin(client, notes);
          return await client.query('COMMIT');
        } catch (error) {
          await client.query('ROLLBACK').catch(() => {});
          throw error;
        }
      }),
    );
  }

  /** Adds notes as part of what the session does. */
  async noteWithin(client: ClientBase, notes: readonly AuditNote[]): Promise<void> {
    if (!this.isOn) return;
    await client.query(NOTE, [...parametersOf(recordsOfNotes(notes)), this.#now?.() ?? null]);
  }

  page(query: AuditQuery): Promise<AuditPage> {
    const source = {
      records: (some: RecordsQuery) => this.#records(some),
      names: this.#reader.namesAt.bind(this.#reader),
      locate: (topic: string, eventId: string) => this.#reader.locate(this.#hashOf(topic, eventId)),
    };
    return auditPage(source, query);
  }

  async summary({ fromMs, toMs, periodMs, recordsMax }: AuditSummaryQuery): Promise<AuditSummary> {
    return this.#sessions.read(async (client) => {
      const many = await client.query<{ records: string }>(HOW_MANY, [fromMs, toMs, recordsMax]);
      const records = Number(many.rows[0]!.records);
      if (records > recordsMax) return { kind: 'too_many', records };
      const { rows } = await client.query<{ period_ms: string; action: number; entries: string }>(COUNT, [
        fromMs,
        toMs,
        periodMs,
      ]);
      const counts = rows.map(({ period_ms, action, entries }) => {
        return { periodMs: Number(period_ms), action: AUDIT_ACTIONS[action]!, entries: Number(entries) };
      });
      return { kind: 'counted', counts: mergedCounts(counts) };
    });
  }

  async extent(): Promise<AuditExtent> {
    const { rows } = await this.#sessions.read((client) =>
      client.query<{ oldest_ms: string | null; records: string | null }>(EXTENT),
    );
    const { oldest_ms: oldestMs, records } = rows[0]!;
    return { records: Number(records ?? 0), oldestMs: oldestMs === null ? null : Number(oldestMs) };
  }

  async trim(beforeMs: number): Promise<boolean> {
    const { rowCount } = await this.#sessions.read((client) => client.query(TRIM, [beforeMs]));
    return (rowCount ?? 0) < TRIMMED_AT_ONCE;
  }

  async #records({ start, actions, fromMs, toMs }: RecordsQuery): Promise<FoundRecords> {
    return this.#sessions.read(async (client) => {
      const startAt =
        start === null
          ? undefined
          : (await client.query<{ at_ms: string; record: string }>(START, [start])).rows[0];
      if (start !== null && startAt === undefined) return { records: [], resumeAt: null };
      const { rows: passed } = await client.query<{ record: string; action: number; entries: string }>({
        name: 'audit passed',
        text: PASSED,
        values: [
          fromMs,
          toMs,
          startAt?.at_ms ?? Number.MAX_SAFE_INTEGER,
          startAt?.record ?? Number.MAX_SAFE_INTEGER,
        ],
      });
      const wanted: string[] = [];
      let entries = 0;
      let reached = passed.length;
      for (const [i, one] of passed.entries()) {
        if (actions !== null && !actions.includes(one.action)) continue;
        wanted.push(one.record);
        entries += Number(one.entries);
        if (entries < ENTRIES_MAX && wanted.length < RECORDS_MAX) continue;
        reached = i + 1;
        break;
      }
      const { rows } = await client.query<AuditRow>({
        name: 'audit records',
        text: RECORDS,
        values: [wanted],
      });
      const isEnd = reached === passed.length && passed.length < PASSED_MAX;
      return { records: rows.map(recordIn), resumeAt: isEnd ? null : Number(passed[reached - 1]!.record) };
    });
  }
}

export interface AuditRow {
  readonly record: string;
  readonly at_ms: string;
  readonly action: number;
  readonly who: string | null;
  readonly entries: string;
  readonly base: string;
  readonly body: string;
}

export function recordIn({ record, at_ms: atMs, action, who, entries, base, body }: AuditRow): AuditRecord {
  return {
    record: Number(record),
    atMs: Number(atMs),
    action,
    who,
    entries: Number(entries),
    base: Number(base),
    body,
  };
}
