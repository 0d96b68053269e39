import type { ClientBase } from 'pg';
import { intArray } from './arrays.ts';

/** What each topic holds: its row, and the rows of the log above `settled`. */
const COUNTS = `
  SELECT topic_id, name, topic.events + coalesce(more.events, 0) AS events, topic.bytes + coalesce(more.bytes, 0) AS bytes,
    expired, topic.bare + coalesce(more.bare, 0) AS bare, coalesce(more.last_offset, topic.last_offset) AS last_offset
  FROM topic LEFT JOIN (
    SELECT added.topic_id, sum(added.count) AS events, sum(added.bytes) AS bytes,
      sum(added.count) FILTER (WHERE added.bytes = 0) AS bare, max(log.first_offset + added.last) AS last_offset
    FROM log, unnest(log.topics, log.counts, log.lasts, log.bytes) AS added (topic_id, count, last, bytes)
    WHERE log.events > 0 AND log.first_offset > (SELECT last_offset FROM settled)
    GROUP BY added.topic_id
  ) AS more USING (topic_id)
  WHERE topic.events + coalesce(more.events, 0) > 0 AND ($1::int[] IS NULL OR topic_id = ANY ($1::int[]))
  ORDER BY name`;

/** The end of the log, and what of it is counted up to there: both as of one moment. */
const TOTAL = `
  SELECT head.last_offset, coalesce(sum(counted.events), 0) AS events, coalesce(sum(counted.expired), 0) AS expired,
    coalesce(sum(counted.bare), 0) AS bare
  FROM head LEFT JOIN (${COUNTS}) AS counted ON true
  GROUP BY head.last_offset`;

export interface TopicCounts {
  readonly topicId: number;
  readonly topic: string;
  /** Those that are kept, and the bytes of their texts. */
  readonly events: number;
  readonly bytes: number;
  readonly expired: number;
  readonly bare: number;
  readonly lastOffset: number;
}

/** The counts of the topics that have events, as of one moment, in the order of their names. */
export async function topicCounts(
  client: ClientBase,
  topicIds: ReadonlySet<number> | undefined,
): Promise<TopicCounts[]> {
  const { rows } = await client.query<Record<string, string>>({
    name: 'topic counts',
    text: COUNTS,
    values: [topicIds === undefined ? null : intArray([...topicIds])],
  });
  return rows.map((row) => {
    const [expired, bare] = [Number(row['expired']), Number(row['bare'])];
    return {
      topicId: Number(row['topic_id']),
      topic: row['name']!,
      events: Number(row['events']) - expired - bare,
      bytes: Number(row['bytes']),
      expired,
      bare,
      lastOffset: Number(row['last_offset']),
    };
  });
}

/** How many events of these topics are kept and how many have expired, up to an end of the log. */
export async function totalUpTo(
  client: ClientBase,
  topicIds: ReadonlySet<number> | undefined,
): Promise<{ lastOffset: number; events: number; expired: number }> {
  const { rows } = await client.query<Record<string, string>>({
    name: 'total',
    text: TOTAL,
    values: [topicIds === undefined ? null : intArray([...topicIds])],
  });
  const [row] = rows;
  const expired = Number(row!['expired']);
  const events = Number(row!['events']) - expired - Number(row!['bare']);
  return { lastOffset: Number(row!['last_offset']), events, expired };
}

/** The sums of these counts. */
export function totalOf(
  counts: readonly TopicCounts[],
): Pick<TopicCounts, 'events' | 'bytes' | 'expired' | 'bare'> {
  const total = { events: 0, bytes: 0, expired: 0, bare: 0 };
  for (const { events, bytes, expired, bare } of counts) {
    total.events += events;
    total.bytes += bytes;
    total.expired += expired;
    total.bare += bare;
  }
  return total;
}
