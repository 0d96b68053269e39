import type { ClientBase } from 'pg';

/** Commit times never go back, so halving the log finds the last commit before a time in about as many steps as it has bits. */
const BEFORE = `
  WITH RECURSIVE search (before, last) AS (
    SELECT 0::bigint, last_offset FROM head
    UNION ALL
    SELECT CASE WHEN middle.received_ms < $1::bigint THEN middle.first_offset + middle.events - 1 ELSE before END,
      CASE WHEN middle.received_ms < $1::bigint THEN last ELSE middle.first_offset - 1 END
    FROM search, LATERAL (
      SELECT first_offset, events, received_ms FROM log
      WHERE events > 0 AND first_offset <= (before + last + 1) / 2 ORDER BY first_offset DESC LIMIT 1
    ) AS middle
    WHERE before < last
  )
  SELECT before FROM search WHERE before >= last`;

/** The offset of the last event committed before the time, 0 if there is none. */
export async function lastOffsetBefore(client: ClientBase, timeMs: number): Promise<number> {
  const { rows } = await client.query<{ before: string }>({ name: 'before', text: BEFORE, values: [timeMs] });
  return Number(rows[0]!.before);
}
