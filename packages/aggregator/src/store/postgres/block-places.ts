import type { ClientBase } from 'pg';
import type { BlockRow } from '../blocks/block-format.ts';
import { bigintArray, intArray } from './arrays.ts';

/** Where blocks are in the tables, and what is in their rows: the statements of the reader of blocks (block-reader.ts). */

/** A block as a look found it: of an append, or, without its id, a merged one. */
export interface Place {
  readonly is_merged: boolean;
  readonly first_offset: string;
  readonly events: number;
  readonly bytes: number;
  /** Another one each time the block is rewritten. */
  readonly version: number;
  /** Of which topics it may have ids without a text; null: of any of its own. */
  readonly gone_topics: number[] | null;
  readonly append_id: string | null;
  readonly place: number | null;
  readonly received_ms: string | null;
}

/** Blocks found by one look: those of the merged part of the log, and of appends that are not merged yet. */
const MERGED_MAX = 16;
const FRESH_MAX = 1000;

/**
 * Which blocks a read wants: all that have events of the topics, or those that may have some with a text, or ids without one
 * (migrations.ts).
 */
export type Wanted = 'all' | 'kept' | 'gone';

/** The blocks of the topics $3, or of all topics; `listed` are those that a block has. */
const OF_TOPICS = (wanted: Wanted, listed: string) => {
  if (wanted === 'all') return `($3::int[] IS NULL OR ${listed} && $3::int[])`;
  const left = `${wanted}_topics`;
  return `(${left} IS NULL OR ${left} <> '{}') AND ($3::int[] IS NULL OR coalesce(${left}, ${listed}) && $3::int[])`;
};

/** The merged blocks of a range. */
const MERGED = (direction: 'ASC' | 'DESC', limit: string, wanted: Wanted) => `
  SELECT true AS is_merged, first_offset, events, bytes, version, gone_topics, append_id, place,
    (SELECT received_ms FROM log WHERE log.append_id = merged_block.append_id) AS received_ms
  FROM merged_block
  WHERE first_offset >= coalesce(
      (SELECT first_offset FROM merged_block WHERE first_offset <= $1::bigint ORDER BY first_offset DESC LIMIT 1), 1)
    AND first_offset <= $2::bigint
    AND first_offset + events > $1::bigint
    AND ${OF_TOPICS(wanted, 'topics')}
  ORDER BY first_offset ${direction} LIMIT ${limit}`;

/** The blocks of appends above the merged part. */
const FRESH = (direction: 'ASC' | 'DESC', limit: string, wanted: Wanted) => `
  SELECT false AS is_merged, log.first_offset + block.place AS first_offset, block.events, octet_length(block.body) AS bytes,
    version, gone_topics, log.append_id, block.place, log.received_ms
  FROM log JOIN block USING (append_id)
  WHERE log.events > 0
    AND log.first_offset > (SELECT last_offset FROM merging)
    AND log.first_offset >= coalesce(
      (SELECT first_offset FROM log WHERE events > 0 AND first_offset <= $1::bigint ORDER BY first_offset DESC LIMIT 1), 1)
    AND log.first_offset <= $2::bigint
    AND log.first_offset + block.place <= $2::bigint
    AND log.first_offset + block.place + block.events > $1::bigint
    AND ${OF_TOPICS(wanted, 'log.topics')}
  ORDER BY log.first_offset ${direction}, block.place ${direction} LIMIT ${limit}`;

/** Where the blocks of a range are, all as of one moment: the second part is looked at only where the first one ends. */
const ASCENDING = (wanted: Wanted) => `
  WITH merged AS MATERIALIZED (${MERGED('ASC', `${MERGED_MAX}`, wanted)}),
  fresh AS MATERIALIZED (
    ${FRESH('ASC', `CASE WHEN (SELECT count(*) FROM merged) = ${MERGED_MAX} THEN 0 ELSE ${FRESH_MAX} END`, wanted)}
  ) SELECT * FROM merged UNION ALL SELECT * FROM fresh ORDER BY first_offset`;
const DESCENDING = (wanted: Wanted) => `
  WITH fresh AS MATERIALIZED (${FRESH('DESC', `${FRESH_MAX}`, wanted)}),
  merged AS MATERIALIZED (
    ${MERGED('DESC', `CASE WHEN (SELECT count(*) FROM fresh) = ${FRESH_MAX} THEN 0 ELSE ${MERGED_MAX} END`, wanted)}
  ) SELECT * FROM fresh UNION ALL SELECT * FROM merged ORDER BY first_offset DESC`;

/** Where the blocks are that hold the events at the offsets $1, as of one moment. */
const HOLDING = `
  WITH sought AS (SELECT unnest($1::bigint[]) AS sought), merged_to AS (SELECT last_offset FROM merging)
  SELECT DISTINCT ON (first_offset) * FROM (
    SELECT true AS is_merged, found.* FROM sought, LATERAL (
      SELECT first_offset, events, bytes, version, gone_topics, append_id, place,
        (SELECT received_ms FROM log WHERE log.append_id = merged_block.append_id) AS received_ms
      FROM merged_block WHERE first_offset <= sought ORDER BY first_offset DESC LIMIT 1
    ) AS found
    WHERE sought <= (SELECT last_offset FROM merged_to)
    UNION ALL
    SELECT false, entry.first_offset + found.place, events, bytes, version, gone_topics, entry.append_id, found.place, entry.received_ms
    FROM sought, LATERAL (
      SELECT append_id, first_offset, received_ms FROM log WHERE events > 0 AND first_offset <= sought
      ORDER BY first_offset DESC LIMIT 1
    ) AS entry, LATERAL (
      SELECT place, events, octet_length(body) AS bytes, version, gone_topics FROM block
      WHERE block.append_id = entry.append_id AND place <= sought - entry.first_offset ORDER BY place DESC LIMIT 1
    ) AS found
    WHERE sought > (SELECT last_offset FROM merged_to)
  ) AS each ORDER BY first_offset`;

/** The blocks that a read wants of a range: from one offset to another, of these topics. In the order that it names. */
export async function placesOf(
  client: ClientBase,
  order: 'asc' | 'desc',
  wanted: Wanted,
  range: readonly [low: number, high: number, topicIds: Buffer | null],
): Promise<Place[]> {
  const text = (order === 'asc' ? ASCENDING : DESCENDING)(wanted);
  const { rows } = await client.query<Place>({ name: `places ${order} ${wanted}`, text, values: [...range] });
  return rows;
}

/** Whether a look that found these may have left out some. */
export function mayHaveMore(places: readonly Place[]): boolean {
  const merged = places.filter(({ is_merged: isMerged }) => isMerged).length;
  return merged === MERGED_MAX || places.length - merged === FRESH_MAX;
}

/** The blocks that hold the events at these offsets, ascending. */
export async function placesHolding(client: ClientBase, offsets: Float64Array): Promise<Place[]> {
  const { rows } = await client.query<Place>({
    name: 'places holding',
    text: HOLDING,
    values: [bigintArray(offsets)],
  });
  return rows;
}

/** Tells a block from all others of a log. */
export function nameOf({ append_id: id, place, first_offset: first }: Place): string {
  return id === null ? `merged ${first}` : `${id} ${place}`;
}

const FETCH_MERGED = `
  SELECT first_offset AS id, 0 AS place, directory, body FROM merged_block WHERE first_offset = ANY ($1::text[]::bigint[])`;

const FETCH = `
  SELECT append_id AS id, place, directory, body FROM unnest($1::text[]::bigint[], $2::int[]) AS sought (append_id, place)
  JOIN block USING (append_id, place)`;

/** The rows of the blocks at these places, by name; without those that are not there any more. */
export async function rowsAt(client: ClientBase, places: readonly Place[]): Promise<Map<string, BlockRow>> {
  const found = new Map<string, BlockRow>();
  const merged = places.filter(({ append_id: id }) => id === null);
  const others = places.filter(({ append_id: id }) => id !== null);
  // The client library knows results as text alone: bytes come as twice as many digits.
  if (merged.length > 0) {
    const { rows } = await client.query<FetchedRow>({
      name: 'fetch merged',
      text: FETCH_MERGED,
      values: [merged.map(({ first_offset: first }) => first)],
    });
    for (const row of rows) found.set(`merged ${row.id}`, row);
  }
  if (others.length > 0) {
    const { rows } = await client.query<FetchedRow>({
      name: 'fetch',
      text: FETCH,
      values: [others.map(({ append_id: id }) => id), intArray(others.map(({ place }) => place!))],
    });
    for (const row of rows) found.set(`${row.id} ${row.place}`, row);
  }
  return found;
}

interface FetchedRow {
  readonly id: string;
  readonly place: number;
  readonly directory: Buffer;
  readonly body: Buffer;
}
