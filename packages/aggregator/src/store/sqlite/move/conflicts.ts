import type { DatabaseSync } from 'node:sqlite';
import { damaged } from '../../errors.ts';
import { type Rows, type StoryWriter, gathered } from '../../move/moved-story.ts';
import type { Conflict } from '../../repeat-store.ts';
import { Conflicts, conflictOf } from '../repeats/conflicts.ts';

const CONFLICTS = `
  SELECT number, offset, received_ms, topic.name AS topic, event_id, source, publisher, texts, text_at, text_bytes
  FROM conflict JOIN topic USING (topic_id) ORDER BY number`;

const TEXTS = 'SELECT body FROM conflict_texts WHERE last_number = ?';

/** About what a row takes beside its text. */
const ROW_BYTES = 512;

export function conflictsIn(db: DatabaseSync): Rows<Conflict> {
  return gathered(conflictRows(db), ({ text }) => ROW_BYTES + (text?.length ?? 0));
}

function* conflictRows(db: DatabaseSync): Generator<Conflict> {
  const textsOf = db.prepare(TEXTS);
  // Those of neighbours lie together.
  let [texts, body] = [0, Buffer.alloc(0)];
  for (const row of db.prepare(CONFLICTS).iterate()) {
    const [at, bytes] = [Number(row['text_at']), row['text_bytes']];
    if (bytes !== null && texts !== row['texts']) {
      texts = Number(row['texts']);
      const found = textsOf.get(texts);
      if (found === undefined) throw damaged(`the texts of conflicts up to ${texts} are missing`);
      body = Buffer.from(found['body'] as Uint8Array);
    }
    yield conflictOf(row, bytes === null ? null : body.toString('utf8', at, at + Number(bytes)));
  }
}

export function writingConflicts(
  db: DatabaseSync,
  topicId: (name: string) => number,
): StoryWriter<Conflict, void> {
  const conflicts = new Conflicts(db);
  return {
    empty: () => db.exec('DELETE FROM conflict; DELETE FROM conflict_texts'),
    put: (rows) => {
      // In order, so those of a commit are neighbours.
      for (const [receivedMs, some] of Map.groupBy(rows, (row) => row.receivedMs)) {
        const fresh = some.map(({ topic, text, ...rest }) => {
          return { ...rest, topicId: topicId(topic), text: text === null ? null : Buffer.from(text) };
        });
        conflicts.keep(fresh, receivedMs);
      }
    },
    end: () => {},
  };
}
