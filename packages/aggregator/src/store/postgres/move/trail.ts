import type { ClientBase } from 'pg';
import { wholeBody } from '../../audit/audit-records.ts';
import type { AsyncRows, MovedRecord, StoryWriter } from '../../move/moved-story.ts';
import { type AuditRow, recordIn } from '../audit/audit.ts';
import { bigintArray, intArray, textArray } from '../arrays.ts';
import type { Reading } from '../sessions.ts';

/** Each may have 4096 events. */
const RECORDS_AT_ONCE = 500;

const FIRST = 'SELECT min(record) AS record FROM audit';

/** In the order in which they are listed. */
const RECORDS = `
  SELECT record, at_ms, action, who, entries, base, body FROM audit WHERE (at_ms, record) > ($1::bigint, $2::bigint)
  ORDER BY at_ms, record LIMIT ${RECORDS_AT_ONCE}`;

const PUT = `
  INSERT INTO audit (record, at_ms, action, who, entries, base, body) OVERRIDING SYSTEM VALUE
  SELECT record, at_ms, action, who, entries, 0, body
  FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::bigint[], $6::text[])
    AS new (record, at_ms, action, who, entries, body)`;

/** The next record gets a number of its own. */
const GO_ON = `
  SELECT setval(pg_get_serial_sequence('audit', 'record'), (SELECT max(record) FROM audit))
  WHERE EXISTS (SELECT 1 FROM audit)`;

/** Numbered from the first one on without gaps, and in the order of their times, as a file needs them. */
export async function* recordsIn(schema: Reading): AsyncRows<MovedRecord> {
  const first = await schema.read((client) => client.query<{ record: string | null }>(FIRST));
  let next = Number(first.rows[0]!.record);
  for (let [atMs, record] = ['-1', '0']; ;) {
    const after = [atMs, record];
    const { rows } = await schema.read((client) => client.query<AuditRow>(RECORDS, after));
    if (rows.length === 0) return;
    yield rows.map((row) => {
      const read = recordIn(row);
      const { atMs, action, who, entries } = read;
      return { record: next++, atMs, action, who, entries, body: wholeBody(read) };
    });
    ({ at_ms: atMs, record } = rows.at(-1)!);
  }
}

export function writingRecords(client: ClientBase): StoryWriter<MovedRecord, Promise<void>> {
  return {
    empty: async () => void (await client.query('DELETE FROM audit')),
    put: async (rows) =>
      void (await client.query(PUT, [
        bigintArray(rows.map(({ record }) => record)),
        bigintArray(rows.map(({ atMs }) => atMs)),
        intArray(rows.map(({ action }) => action)),
        textArray(rows.map(({ who }) => who)),
        bigintArray(rows.map(({ entries }) => entries)),
        textArray(rows.map(({ body }) => body)),
      ])),
    end: async () => void (await client.query(GO_ON)),
  };
}
