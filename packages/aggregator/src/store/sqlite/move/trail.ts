import type { DatabaseSync } from 'node:sqlite';
import { type MovedRecord, type Rows, type StoryWriter, gathered } from '../../move/moved-story.ts';

const RECORDS = 'SELECT record, at_ms, action, who, entries, body FROM audit ORDER BY record';

/** About what a row takes beside its body. */
const ROW_BYTES = 256;

export function recordsIn(db: DatabaseSync): Rows<MovedRecord> {
  return gathered(recordRows(db), ({ body }) => ROW_BYTES + body.length);
}

function* recordRows(db: DatabaseSync): Generator<MovedRecord> {
  for (const row of db.prepare(RECORDS).iterate()) {
    yield {
      record: Number(row['record']),
      atMs: Number(row['at_ms']),
      action: Number(row['action']),
      who: row['who'] === null ? null : String(row['who']),
      entries: Number(row['entries']),
      body: String(row['body']),
    };
  }
}

export function writingRecords(db: DatabaseSync): StoryWriter<MovedRecord, void> {
  const insert = db.prepare(
    'INSERT INTO audit (record, at_ms, action, who, entries, body) VALUES (?, ?, ?, ?, ?, ?)',
  );
  return {
    empty: () => db.exec('DELETE FROM audit'),
    put: (rows) => {
      for (const { record, atMs, action, who, entries, body } of rows)
        insert.run(record, atMs, action, who, entries, body);
    },
    end: () => {},
  };
}
