import type { ClientBase } from 'pg';
import type { AsyncRows, StoryWriter } from '../../move/moved-story.ts';
import type { Conflict } from '../../repeat-store.ts';
import { bigintArray, byteaArray, intArray, textArray } from '../arrays.ts';
import { type ConflictRow, conflictOf } from '../repeats/conflict-rows.ts';
import type { Reading } from '../sessions.ts';

/** Of all there are CONFLICTS_KEPT_MAX, whose texts have CONFLICT_BYTES_MAX together. */
const CONFLICTS_AT_ONCE = 512;

/** The conflicts that the books have and that were not counted here: the others are numbered behind them in other stores. */
const BEFORE = '(SELECT head.conflicts - repeats.conflicts FROM head, repeats)';

const CONFLICTS = `
  SELECT number + ${BEFORE} AS number, first_offset, received_ms, topic.name AS topic, event_id, source, publisher, body
  FROM conflict JOIN topic USING (topic_id) WHERE number + ${BEFORE} > $1::bigint
  ORDER BY conflict.number LIMIT ${CONFLICTS_AT_ONCE}`;

const PUT = `
  INSERT INTO conflict (number, first_offset, received_ms, topic_id, event_id, source, publisher, body)
  SELECT number - ${BEFORE}, first_offset, received_ms, topic_id, event_id, source, publisher, body
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::bytea[])
    AS new (number, first_offset, received_ms, topic_id, event_id, source, publisher, body)`;

export async function* conflictsIn(schema: Reading): AsyncRows<Conflict> {
  for (let after = 0; ;) {
    const values = [after];
    const { rows } = await schema.read((client) =>
      client.query<ConflictRow & { readonly body: Buffer | null }>(CONFLICTS, values),
    );
    if (rows.length === 0) return;
    const conflicts = rows.map((row) => conflictOf(row, row.body));
    yield conflicts;
    after = conflicts.at(-1)!.number;
  }
}

export function writingConflicts(
  client: ClientBase,
  topicId: (name: string) => number,
): StoryWriter<Conflict, Promise<void>> {
  return {
    empty: async () => void (await client.query('DELETE FROM conflict')),
    put: async (rows) =>
      void (await client.query(PUT, [
        bigintArray(rows.map(({ number }) => number)),
        bigintArray(rows.map(({ offset }) => offset)),
        bigintArray(rows.map(({ receivedMs }) => receivedMs)),
        intArray(rows.map(({ topic }) => topicId(topic))),
        textArray(rows.map(({ eventId }) => eventId)),
        textArray(rows.map(({ source }) => source)),
        // No key has an empty name.
        textArray(rows.map(({ publisher }) => publisher ?? '')),
        byteaArray(rows.map(({ text }) => (text === null ? null : Buffer.from(text)))),
      ])),
    end: async () => {},
  };
}
