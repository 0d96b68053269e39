import type { ClientBase } from 'pg';
import {
  AGE_BOUNDS_MS,
  CONFLICTS_KEPT_MAX,
  CONFLICT_BYTES_MAX,
  PAIRS_MAX,
  PERIOD_MS,
  PERIOD_PAIRS_MAX,
  REPEATS_KEPT_MAX,
} from '../../repeat-store.ts';
import { bigintArray } from '../arrays.ts';
import { BlockReader, type Part } from '../block-reader.ts';
import { outdate } from '../policies.ts';
import { ROWS_BYTES_MAX, ROWS_MERGED, STRETCH_BITS, forgetHistories, mergeHistories } from './histories.ts';

/** A step takes so many rows of `repeat`, and ends with the one that brings it to so many bytes: of texts, and so many for each repeat. */
const STEP_APPENDS = 256;
const STEP_BYTES = 8 * 1024 * 1024;
const REPEAT_BYTES = 128;

/** Periods older than this are not told any more. */
const PERIODS_KEPT_MS = 25 * 3_600_000;

/**
 * Whoever settles, or takes something away that repeats tell of, holds the row. From here on the transaction joins by index alone: a
 * plan that was made while the log was short would read all of it each time.
 */
const LOCK = "SELECT set_config('enable_hashjoin', 'off', true) FROM repeats FOR UPDATE";
const SETTLED =
  'UPDATE repeats SET steps = steps + 1, conflicts = conflicts + $1::bigint, pairs = pairs + $2::bigint RETURNING steps';
const OLD_PERIODS = 'DELETE FROM repeat_period WHERE period_ms < $1::bigint';

/** From these ages on a repeat belongs to the next bucket. */
const ABOVE = AGE_BOUNDS_MS.map((bound) => bound + 1).join();

/** The line of a repeat in a history. */
const LINE = `received_ms || CASE WHEN is_conflict THEN '!' ELSE ' ' END || to_json(source) || E'\\t' || publisher || E'\\n'`;

/** Of the lines of an event so many as are kept. */
const LAST_LINES = `
  CASE WHEN duplicates <= ${REPEATS_KEPT_MAX} THEN lines
    ELSE array_to_string((string_to_array(lines, E'\\n'))[1:${REPEATS_KEPT_MAX}], E'\\n') || E'\\n' END`;

/** The rows that the step takes, in the order of their commits. */
const GONE = `
  pending AS MATERIALIZED (
    SELECT append_id, first_offset, received_ms, row_number() OVER commits AS place,
      coalesce(sum(pg_column_size(lost_texts) + ${REPEAT_BYTES} * cardinality(firsts)) OVER (commits ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes
    FROM repeat JOIN log USING (append_id) WINDOW commits AS (ORDER BY log.received_ms, log.first_offset, append_id)
    ORDER BY place LIMIT ${STEP_APPENDS} + 1
  ), gone AS (
    DELETE FROM repeat USING pending
    WHERE repeat.append_id = pending.append_id AND pending.place <= ${STEP_APPENDS} AND pending.bytes < ${STEP_BYTES}
    RETURNING repeat.*, pending.first_offset, pending.received_ms, pending.place, pending.bytes
  )`;

/** The offset of the event that a repeat repeats. */
const OFFSET = 'CASE WHEN first < 0 THEN gone.first_offset - 1 - first ELSE first END';

/**
 * Counts what some commits have noted, within the database: to fetch each repeat and send it back took twice the time. An age's
 * place is how many bounds it exceeds. Pairs of topic and source that have no counts of their own get some while there is room.
 *
 * A conflict whose id was forgotten meanwhile, or belongs to another event now, is numbered and no more. Where no event of the
 * topic has expired or is bare, be it not counted yet (settle.ts), its text is kept; of all others the offsets are returned.
 */
const SETTLE = `
  WITH ${GONE}, one AS MATERIALIZED (
    SELECT ${OFFSET} AS "offset", received_ms, topic_id, source, publisher, is_conflict, place, nth,
      received_ms / ${PERIOD_MS} * ${PERIOD_MS} AS period_ms,
      width_bucket(CASE WHEN first < 0 THEN 0 ELSE received_ms - first_ms END, ARRAY[${ABOVE}]::bigint[]) AS age
    FROM gone, unnest(firsts, times, gone.topics, sources, publishers, conflicts) WITH ORDINALITY
      AS noted (first, first_ms, topic_id, source, publisher, is_conflict, nth)
  ), told AS (
    INSERT INTO histories (stretch, level, step, events)
    SELECT "offset" >> ${STRETCH_BITS}, 0, (SELECT steps + 1 FROM repeats), string_agg(
      '=' || ("offset" & (1 << ${STRETCH_BITS}) - 1) || ' ' || duplicates || ' ' || conflicts || E'\\n' || ${LAST_LINES}, '' ORDER BY "offset")
    FROM (
      SELECT "offset", count(*) AS duplicates, count(*) FILTER (WHERE is_conflict) AS conflicts,
        string_agg(${LINE}, '' ORDER BY place DESC, nth DESC) AS lines
      FROM one GROUP BY "offset"
    ) AS each GROUP BY 1
    RETURNING stretch, octet_length(events) AS bytes
  ), full_ones AS (
    SELECT stretch FROM told, LATERAL (
      SELECT count(*) AS rows, coalesce(sum(octet_length(events)), 0) AS bytes FROM histories
      WHERE histories.stretch = told.stretch AND level = 0
    ) AS old
    WHERE old.rows >= ${ROWS_MERGED} - 1 OR old.bytes + told.bytes >= ${ROWS_BYTES_MAX}
  ), counted AS MATERIALIZED (
    SELECT topic_id, source, period_ms, age, count(*) AS duplicates, count(*) FILTER (WHERE is_conflict) AS conflicts
    FROM one GROUP BY topic_id, source, period_ms, age
  ), by_age AS MATERIALIZED (
    SELECT *, is_known OR pair <= ${PAIRS_MAX} - (SELECT pairs FROM repeats) AS is_named FROM (
      SELECT *, dense_rank() OVER (PARTITION BY is_known ORDER BY topic_id, source) AS pair FROM (
        SELECT topic_id, source, age, sum(duplicates) AS duplicates, sum(conflicts) AS conflicts,
          (SELECT true FROM repeat_age AS old WHERE old.topic_id = counted.topic_id AND old.source = counted.source LIMIT 1)
            IS NOT NULL AS is_known
        FROM counted GROUP BY topic_id, source, age
      ) AS each
    ) AS numbered
  ), ages AS (
    INSERT INTO repeat_age AS old
    SELECT topic_id, CASE WHEN is_named THEN source ELSE '' END, age, sum(duplicates), sum(conflicts)
    FROM by_age GROUP BY 1, 2, 3
    ON CONFLICT (topic_id, source, age) DO UPDATE SET
      duplicates = old.duplicates + excluded.duplicates, conflicts = old.conflicts + excluded.conflicts
  ), rooms AS MATERIALIZED (
    SELECT period_ms, ${PERIOD_PAIRS_MAX} - (SELECT count(*) FROM repeat_period AS old WHERE old.period_ms = each.period_ms) AS room
    FROM (SELECT DISTINCT period_ms FROM counted) AS each
  ), periods AS (
    INSERT INTO repeat_period AS old
    SELECT period_ms, topic_id, CASE WHEN is_known OR pair <= room THEN source ELSE '' END, sum(duplicates), sum(conflicts)
    FROM (
      SELECT *, row_number() OVER (PARTITION BY period_ms, is_known) AS pair FROM (
        SELECT period_ms, topic_id, source, sum(duplicates) AS duplicates, sum(conflicts) AS conflicts,
          (SELECT true FROM repeat_period AS old WHERE old.period_ms = counted.period_ms
            AND old.topic_id = counted.topic_id AND old.source = counted.source) IS NOT NULL AS is_known
        FROM counted GROUP BY period_ms, topic_id, source
      ) AS each JOIN rooms USING (period_ms)
    ) AS numbered GROUP BY 1, 2, 3
    ON CONFLICT (period_ms, topic_id, source) DO UPDATE SET
      duplicates = old.duplicates + excluded.duplicates, conflicts = old.conflicts + excluded.conflicts
  ), lost AS MATERIALIZED (
    SELECT (SELECT conflicts FROM repeats) + row_number() OVER (ORDER BY place, nth) AS number, ${OFFSET} AS "offset",
      received_ms, topic_id, source, publisher, hash, event_id, body
    FROM gone, unnest(firsts, gone.topics, sources, publishers, conflicts, lost_hashes, lost_ids, lost_texts) WITH ORDINALITY
      AS noted (first, topic_id, source, publisher, is_conflict, hash, event_id, body, nth)
    WHERE lost_ids <> '{}' AND is_conflict
  ), known AS MATERIALIZED (
    SELECT lost.*, topic.expired = 0 AND topic.bare = 0 AND coalesce(log.bytes[array_position(log.topics, lost.topic_id)], 1) > 0 AS is_kept
    FROM lost JOIN key USING (hash) JOIN log USING (append_id) JOIN topic ON topic.topic_id = lost.topic_id
    WHERE log.first_offset + key.place = lost."offset" AND number > (SELECT max(number) FROM lost) - ${CONFLICTS_KEPT_MAX}
  ), listed AS (
    INSERT INTO conflict (number, first_offset, received_ms, topic_id, event_id, source, publisher, body)
    SELECT number, "offset", received_ms, topic_id, event_id, source, publisher, body FROM known
  )
  SELECT settled.*, "offset" FROM (
    SELECT (SELECT count(*) FROM gone)::int AS appends, (SELECT max(bytes) FROM gone) AS bytes, (SELECT count(*) FROM pending)::int AS pending,
      (SELECT count(DISTINCT pair) FROM by_age WHERE is_named AND NOT is_known)::int AS pairs,
      (SELECT max(number) FROM lost) AS last_conflict, (SELECT count(*) FROM lost)::int AS conflicts,
      (SELECT max(received_ms) FROM gone) AS newest_ms, (SELECT array_agg(stretch) FROM full_ones) AS stretches
  ) AS settled LEFT JOIN (SELECT DISTINCT "offset" FROM known WHERE NOT is_kept) AS unsure ON true`;

const OLD_CONFLICTS = 'DELETE FROM conflict WHERE number <= $1::bigint';
const LONG_TEXTS = `
  UPDATE conflict SET body = NULL FROM (
    SELECT number, sum(octet_length(body)) OVER (ORDER BY number DESC) AS bytes FROM conflict WHERE body IS NOT NULL
  ) AS summed WHERE conflict.number = summed.number AND summed.bytes > ${CONFLICT_BYTES_MAX}`;

const WITH_TEXT = `
  SELECT DISTINCT first_offset FROM conflict
  WHERE body IS NOT NULL AND first_offset >= $1::bigint AND first_offset <= $2::bigint ORDER BY first_offset`;
const EXPIRED =
  'UPDATE conflict SET body = NULL WHERE body IS NOT NULL AND first_offset = ANY ($1::bigint[])';
const FORGOTTEN = 'DELETE FROM conflict WHERE first_offset = ANY ($1::bigint[])';

/**
 * Settles some of what commits have noted, in the caller's transaction: counts the repeats by age, topic, source and period,
 * adds them to the histories of their events, and lists the conflicts. Returns of how many appends, about how many bytes, and
 * whether all is settled.
 *
 * Of conflicts only those texts are kept whose first event is kept, and nothing of those whose id was forgotten.
 */
export async function settleSome(
  client: ClientBase,
): Promise<{ appends: number; bytes: number; isDone: boolean }> {
  await client.query(LOCK);
  const { rows } = await client.query<SettledRow>({ name: 'settle repeats', text: SETTLE });
  const {
    appends,
    bytes,
    pending,
    pairs,
    conflicts,
    last_conflict: last,
    newest_ms: newestMs,
    stretches,
  } = rows[0]!;
  if (appends === 0) return { appends, bytes: 0, isDone: true };
  if (conflicts > 0) {
    const offsets = rows.flatMap(({ offset }) => (offset === null ? [] : [Number(offset)]));
    await expireAt(client, await goneOf(client, offsets));
    await client.query(OLD_CONFLICTS, [Number(last) - CONFLICTS_KEPT_MAX]);
    await client.query(LONG_TEXTS);
  }
  const { rows: counted } = await client.query<{ steps: string }>(SETTLED, [conflicts, pairs]);
  if (stretches !== null) await mergeHistories(client, stretches.map(Number), Number(counted[0]!.steps));
  await client.query({
    name: 'old periods',
    text: OLD_PERIODS,
    values: [Number(newestMs) - PERIODS_KEPT_MS],
  });
  return { appends, bytes: Number(bytes), isDone: appends === pending };
}

/** The same until all is settled. */
export async function settleAll(client: ClientBase): Promise<void> {
  while (!(await settleSome(client)).isDone);
}

/**
 * Takes away the texts of conflicts with the events of these blocks that have expired in the caller's transaction. Settles all
 * before, so that none is left in what commits have noted.
 */
export async function expireConflicts(
  client: ClientBase,
  parts: readonly Part[],
  isGone: (part: Part, index: number) => boolean,
): Promise<void> {
  await settleAll(client);
  const gone: number[] = [];
  for (const part of parts) {
    const { firstOffset, lastOffset } = part.block;
    const { rows } = await client.query<{ first_offset: string }>({
      name: 'conflicts with text',
      text: WITH_TEXT,
      values: [firstOffset, lastOffset],
    });
    const offsets = rows.map(({ first_offset: offset }) => Number(offset));
    gone.push(...offsets.filter((offset) => isGone(part, offset - firstOffset)));
  }
  await expireAt(client, gone);
}

/**
 * Forgets what is known of the repeats of these events, in the caller's transaction; settles all before, as above. Voids what
 * appends know of keys by heart, and undoes those that are under way: what they note would be settled afterwards. While most of the
 * work is done appends go on; what they have noted meanwhile is done without them.
 */
export async function forgetRepeats(client: ClientBase, offsets: readonly number[]): Promise<void> {
  await settleAll(client);
  await forgetHistories(client, offsets, 'all');
  await outdate(client);
  await settleAll(client);
  await forgetHistories(client, offsets, 'since');
  await client.query({ name: 'forget repeats', text: FORGOTTEN, values: [bigintArray(offsets)] });
}

/** What was settled, and with it an event that conflicts lost to and that may not be kept, or none. */
interface SettledRow {
  readonly appends: number;
  /** Of all but the last of them. */
  readonly bytes: string;
  readonly pending: number;
  readonly pairs: number;
  readonly conflicts: number;
  readonly last_conflict: string | null;
  readonly newest_ms: string;
  /** Those whose histories have as many rows as are merged, or as many bytes. */
  readonly stretches: string[] | null;
  readonly offset: string | null;
}

async function expireAt(client: ClientBase, offsets: readonly number[]): Promise<void> {
  if (offsets.length === 0) return;
  await client.query({ name: 'expire conflicts', text: EXPIRED, values: [bigintArray(offsets)] });
}

/** Those of these events that are not kept, as of the transaction. */
async function goneOf(client: ClientBase, offsets: readonly number[]): Promise<number[]> {
  const blocks = new BlockReader({ read: (work) => work(client) });
  const gone: number[] = [];
  for await (const { block, held } of blocks.holding(offsets.toSorted((a, b) => a - b)))
    gone.push(...held.filter((offset) => !block.isKept(offset - block.firstOffset)));
  return gone;
}
