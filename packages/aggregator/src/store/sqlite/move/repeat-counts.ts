import type { DatabaseSync } from 'node:sqlite';
import {
  type MovedCount,
  type MovedPeriod,
  type Rows,
  type StoryWriter,
  gathered,
} from '../../move/moved-story.ts';
import { PERIOD_MS } from '../../repeat-store.ts';
import { addCounts, packCounts } from '../repeats/packed.ts';
import { agesIn, noAges, periodOf } from '../repeats/settling.ts';

const COUNTS = `
  SELECT topic.name AS topic, source, ages FROM repeat_count JOIN topic USING (topic_id) ORDER BY topic.name, source`;

const PERIODS = `
  SELECT period, topic.name AS topic, source, duplicates, conflicts FROM repeat_period JOIN topic USING (topic_id)
  ORDER BY period, topic.name, source`;

/** What the books count beyond the counts, they have counted before these began. */
const BEFORE = `
  UPDATE repeat_state SET (duplicates_before, conflicts_before) = (
    SELECT ledger.duplicates - counted.duplicates, ledger.conflicts - counted.conflicts FROM ledger, (
      SELECT ifnull(sum(duplicates), 0) AS duplicates, ifnull(sum(conflicts), 0) AS conflicts FROM repeat_count
    ) AS counted
  )`;

/** About what a row takes. */
const ROW_BYTES = 256;

export function countsIn(db: DatabaseSync): Rows<MovedCount> {
  return gathered(countRows(db), ({ topic, source }) => ROW_BYTES + topic.length + source.length);
}

function* countRows(db: DatabaseSync): Generator<MovedCount> {
  for (const row of db.prepare(COUNTS).iterate()) {
    const ages = noAges();
    addCounts(ages, row['ages'] as Uint8Array);
    yield { topic: String(row['topic']), source: String(row['source']), ...agesIn(ages) };
  }
}

export function writingCounts(
  db: DatabaseSync,
  topicId: (name: string) => number,
): StoryWriter<MovedCount, void> {
  const insert = db.prepare(
    'INSERT INTO repeat_count (topic_id, source, duplicates, conflicts, ages) VALUES (?, ?, ?, ?, ?)',
  );
  return {
    empty: () => db.exec('DELETE FROM repeat_count'),
    put: (rows) => {
      for (const { topic, source, duplicates, conflicts } of rows) {
        const ages = packCounts([...duplicates, ...conflicts]);
        insert.run(topicId(topic), source, sumOf(duplicates), sumOf(conflicts), ages);
      }
    },
    end: () => db.exec(BEFORE),
  };
}

export function periodsIn(db: DatabaseSync): Rows<MovedPeriod> {
  return gathered(periodRows(db), ({ topic, source }) => ROW_BYTES + topic.length + source.length);
}

function* periodRows(db: DatabaseSync): Generator<MovedPeriod> {
  for (const row of db.prepare(PERIODS).iterate()) {
    yield {
      periodMs: Number(row['period']) * PERIOD_MS,
      topic: String(row['topic']),
      source: String(row['source']),
      duplicates: Number(row['duplicates']),
      conflicts: Number(row['conflicts']),
    };
  }
}

export function writingPeriods(
  db: DatabaseSync,
  topicId: (name: string) => number,
): StoryWriter<MovedPeriod, void> {
  const insert = db.prepare(
    'INSERT INTO repeat_period (period, topic_id, source, duplicates, conflicts) VALUES (?, ?, ?, ?, ?)',
  );
  return {
    empty: () => db.exec('DELETE FROM repeat_period'),
    put: (rows) => {
      for (const { periodMs, topic, source, duplicates, conflicts } of rows)
        insert.run(periodOf(periodMs), topicId(topic), source, duplicates, conflicts);
    },
    end: () => {},
  };
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
