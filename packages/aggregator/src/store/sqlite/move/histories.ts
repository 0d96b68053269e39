import type { DatabaseSync } from 'node:sqlite';
import { type MovedHistory, type Rows, type StoryWriter, gathered } from '../../move/moved-story.ts';
import { REPEATS_KEPT_MAX } from '../../repeat-store.ts';
import { historyIn, packHistory } from '../repeats/packed.ts';

const HISTORIES = 'SELECT offset, duplicates, conflicts, repeats FROM repeat_history ORDER BY offset';

/** About what an event takes, and each of its repeats beside the source. */
const REPEAT_BYTES = 128;

export function historiesIn(db: DatabaseSync): Rows<MovedHistory> {
  return gathered(historyRows(db), ({ repeats }) =>
    repeats.reduce((bytes, { source }) => bytes + REPEAT_BYTES + source.length, REPEAT_BYTES),
  );
}

function* historyRows(db: DatabaseSync): Generator<MovedHistory> {
  for (const row of db.prepare(HISTORIES).iterate()) {
    yield {
      offset: Number(row['offset']),
      duplicates: Number(row['duplicates']),
      conflicts: Number(row['conflicts']),
      repeats: historyIn(row['repeats'] as Uint8Array)
        .slice(-REPEATS_KEPT_MAX)
        .toReversed(),
    };
  }
}

export function writingHistories(db: DatabaseSync): StoryWriter<MovedHistory, void> {
  const insert = db.prepare(
    'INSERT INTO repeat_history (offset, duplicates, conflicts, repeats) VALUES (?, ?, ?, ?)',
  );
  return {
    empty: () => db.exec('DELETE FROM repeat_history'),
    put: (rows) => {
      for (const { offset, duplicates, conflicts, repeats } of rows)
        insert.run(offset, duplicates, conflicts, packHistory(repeats.toReversed()));
    },
    end: () => {},
  };
}
