import type { ClientBase } from 'pg';
import { freeMemory } from '../../released-memory.ts';
import { KEEPS } from './keeps.ts';
import { isOfVersion } from './policies.ts';
import { answered } from './sessions.ts';
import { unbroken } from './unbroken.ts';

/**
 * The whole transaction. What is dear comes first: the blocks, the repeats, and the keys, sorted by their hashes, since two appends that
 * insert the same ones in different orders would each wait for the other. The head row comes last, made to depend on all of these:
 * from then on until it is on disk every other commit waits.
 */
const COMMIT = (audited = '') => `
  WITH blocks AS (
    INSERT INTO block (append_id, place, events, directory, body)
    SELECT $1::bigint, place, events, directory, body
    FROM unnest($2::int[], $3::int[], $4::bytea[], $5::bytea[]) AS new (place, events, directory, body)
    RETURNING 1
  ), keys AS (
    INSERT INTO key (append_id, place, digest, hash)
    SELECT $1::bigint, place, digest, hash FROM unnest($6::int[], $7::int[], $8::uuid[]) AS new (place, digest, hash)
    RETURNING 1
  ), repeats AS (
    INSERT INTO repeat (append_id, firsts, times, topics, sources, publishers, conflicts, lost_hashes, lost_ids, lost_texts)
    SELECT $1::bigint, $19::bigint[], $20::bigint[], $21::int[], $22::text[], $23::text[], $24::bool[], $25::uuid[], $26::text[], $27::bytea[]
    WHERE $19::bigint[] IS NOT NULL
    RETURNING 1
  ), ended AS (
    UPDATE head SET
      last_offset = last_offset + $9::int * (${KEEPS}),
      received = received + $10::int,
      conflicts = conflicts + $11::int,
      -- Commit times never go back, whatever the clock does: readers seek by them.
      last_ms = greatest(last_ms, coalesce($12::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint))
    WHERE (SELECT count(*) FROM blocks) + (SELECT count(*) FROM keys) + (SELECT count(*) FROM repeats) >= 0 AND ${isOfVersion('$18')}
    RETURNING last_offset, last_ms
  ), logged AS (
    INSERT INTO log (append_id, first_offset, events, received_ms, topics, counts, lasts, bytes)
    SELECT $1::bigint, last_offset - $9::int + 1, $9::int, last_ms, $13::int[], $14::int[], $15::int[], $16::int[] FROM ended
    RETURNING first_offset, received_ms
  )${audited}
  SELECT first_offset, received_ms,
    CASE WHEN $9::int > 0 THEN pg_notify($17::text, (first_offset + $9::int - 1)::text) END
  FROM logged`;

/** Where there is an audit trail, it is written with the commit. */
const AUDITED = `, audited AS (
    INSERT INTO audit (at_ms, action, who, entries, base, body)
    SELECT last_ms, action, nullif(who, ''), entries::bigint, last_offset - $9::int, body
    FROM ended, unnest($28::int[], $29::text[], $30::text[], $31::text[]) AS new (action, who, entries, body)
  )`;

/** By their names, under which the server keeps their plans. */
const COMMITS = { commit: COMMIT(), 'commit audited': COMMIT(AUDITED) } as const;

/**
 * Commits a group. Resolves when that is confirmed, and gives the memory of its values back.
 *
 * @param values of the parameters, in their order; those of the audit trail only where it is written
 */
export async function commit(
  client: ClientBase,
  name: keyof typeof COMMITS,
  values: unknown[],
): Promise<{ firstOffset: number; receivedMs: number }> {
  const { rows } = await answered(client, () =>
    unbroken(client, () =>
      client.query<{ first_offset: string; received_ms: string }>({ name, text: COMMITS[name], values }),
    ),
  );
  for (const value of values) if (Buffer.isBuffer(value)) freeMemory(value);
  const [row] = rows;
  return { firstOffset: Number(row!.first_offset), receivedMs: Number(row!.received_ms) };
}
