import type { ClientBase } from 'pg';
import type { AsyncRows, MovedCount, MovedPeriod, StoryWriter } from '../../move/moved-story.ts';
import { AGE_BOUNDS_MS } from '../../repeat-store.ts';
import { bigintArray, intArray, textArray } from '../arrays.ts';
import type { Reading } from '../sessions.ts';

/** Topics whose counts are read at once. A store counts at most PAIRS_MAX pairs of topic and source apart. */
const TOPICS_AT_ONCE = 500;

const TOPICS = `
  SELECT topic_id, name FROM topic WHERE topic_id IN (SELECT topic_id FROM repeat_age) ORDER BY name COLLATE "C"`;

/** Of each pair its counts by age, in one text: three numbers for each age. */
const COUNTS = `
  SELECT topic_id, source, string_agg(concat_ws(' ', age, duplicates, conflicts), ' ') AS ages FROM repeat_age
  WHERE topic_id = ANY ($1::int[]) GROUP BY topic_id, source ORDER BY array_position($1::int[], topic_id), source`;

const PUT_COUNTS = `
  INSERT INTO repeat_age (topic_id, source, age, duplicates, conflicts)
  SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::bigint[], $5::bigint[])`;

/** Conflicts are numbered from the first one that was counted. */
const COUNTED = `
  UPDATE repeats SET conflicts = (SELECT coalesce(sum(conflicts), 0) FROM repeat_age),
    pairs = (SELECT count(*) FROM (SELECT DISTINCT topic_id, source FROM repeat_age WHERE source <> '') AS pair)`;

const PERIODS = 'SELECT DISTINCT period_ms FROM repeat_period ORDER BY period_ms';

const OF_PERIOD = `
  SELECT topic.name AS topic, source, duplicates, conflicts FROM repeat_period JOIN topic USING (topic_id)
  WHERE period_ms = $1::bigint ORDER BY topic.name COLLATE "C", source`;

const PUT_PERIODS = `
  INSERT INTO repeat_period (period_ms, topic_id, source, duplicates, conflicts)
  SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[], $5::bigint[])`;

export async function* countsIn(schema: Reading): AsyncRows<MovedCount> {
  const { rows: topics } = await schema.read((client) =>
    client.query<{ topic_id: number; name: string }>(TOPICS),
  );
  const names = new Map(topics.map(({ topic_id: id, name }) => [id, name]));
  for (let at = 0; at < topics.length; at += TOPICS_AT_ONCE) {
    const ids = topics.slice(at, at + TOPICS_AT_ONCE).map(({ topic_id: id }) => id);
    const { rows } = await schema.read((client) =>
      client.query<{ topic_id: number; source: string; ages: string }>(COUNTS, [intArray(ids)]),
    );
    yield rows.map(({ topic_id: id, source, ages }) => ({
      topic: names.get(id)!,
      source,
      ...countsOf(ages.split(' ').map(Number)),
    }));
  }
}

function countsOf(numbers: readonly number[]): Pick<MovedCount, 'duplicates' | 'conflicts'> {
  const [duplicates, conflicts] = [[...AGE_BOUNDS_MS, 0].fill(0), [...AGE_BOUNDS_MS, 0].fill(0)];
  for (let at = 0; at < numbers.length; at += 3) {
    const [age, some, conflicting] = numbers.slice(at, at + 3) as [number, number, number];
    duplicates[age] = some;
    conflicts[age] = conflicting;
  }
  return { duplicates, conflicts };
}

export function writingCounts(
  client: ClientBase,
  topicId: (name: string) => number,
): StoryWriter<MovedCount, Promise<void>> {
  return {
    empty: async () => void (await client.query('DELETE FROM repeat_age')),
    put: async (rows) => {
      const ages = rows.flatMap(({ topic, source, duplicates, conflicts }) =>
        duplicates.flatMap((some, age) =>
          some === 0 ? [] : [{ id: topicId(topic), source, age, some, conflicting: conflicts[age]! }],
        ),
      );
      await client.query(PUT_COUNTS, [
        intArray(ages.map(({ id }) => id)),
        textArray(ages.map(({ source }) => source)),
        intArray(ages.map(({ age }) => age)),
        bigintArray(ages.map(({ some }) => some)),
        bigintArray(ages.map(({ conflicting }) => conflicting)),
      ]);
    },
    end: async () => void (await client.query(COUNTED)),
  };
}

export async function* periodsIn(schema: Reading): AsyncRows<MovedPeriod> {
  const { rows: periods } = await schema.read((client) => client.query<{ period_ms: string }>(PERIODS));
  for (const { period_ms: period } of periods) {
    const { rows } = await schema.read((client) =>
      client.query<Record<'topic' | 'source' | 'duplicates' | 'conflicts', string>>(OF_PERIOD, [period]),
    );
    yield rows.map(({ topic, source, duplicates, conflicts }) => ({
      periodMs: Number(period),
      topic,
      source,
      duplicates: Number(duplicates),
      conflicts: Number(conflicts),
    }));
  }
}

export function writingPeriods(
  client: ClientBase,
  topicId: (name: string) => number,
): StoryWriter<MovedPeriod, Promise<void>> {
  return {
    empty: async () => void (await client.query('DELETE FROM repeat_period')),
    put: async (rows) =>
      void (await client.query(PUT_PERIODS, [
        bigintArray(rows.map(({ periodMs }) => periodMs)),
        intArray(rows.map(({ topic }) => topicId(topic))),
        textArray(rows.map(({ source }) => source)),
        bigintArray(rows.map(({ duplicates }) => duplicates)),
        bigintArray(rows.map(({ conflicts }) => conflicts)),
      ])),
    end: async () => {},
  };
}
