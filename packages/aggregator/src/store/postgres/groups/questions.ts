import type { ClientBase } from 'pg';
import { earliestOf } from '../../earliest.ts';
import type { DeadLetter, DeadReason } from '../../group-store.ts';
import type { Reader } from '../read.ts';
import type { Questions } from './tables.ts';

const ABOVE = `
  SELECT "offset", deliveries, bytes, dead_ms, reason FROM dead_letter
  WHERE group_id = $1::bigint AND "offset" > $2::bigint ORDER BY "offset" LIMIT $3::bigint`;

const AT = `
  SELECT "offset", deliveries, bytes, dead_ms, reason FROM dead_letter
  WHERE group_id = $1::bigint AND "offset" = ANY ($2::text::bigint[]) ORDER BY "offset"`;

const COUNT =
  'SELECT count(*) AS letters FROM dead_letter WHERE group_id = $1::bigint AND "offset" > $2::bigint';

/** Asks the database within the transaction; of the log, which never changes below its end, in a reader's session. */
export function questionsTo(client: ClientBase, reader: Reader, lastOffset: number): Questions {
  const letters = async (text: string, values: unknown[]): Promise<DeadLetter[]> =>
    (await client.query<LetterRow>(text, values)).rows.map(letterOf);
  return {
    lettersAbove: (id, offset, lettersMax) => letters(ABOVE, [id, offset, lettersMax]),
    lettersAt: (id, offsets) => letters(AT, [id, `{${offsets.join()}}`]),
    countLettersAbove: async (id, offset) =>
      Number((await client.query<{ letters: string }>(COUNT, [id, offset])).rows[0]!.letters),
    lastOffsetBefore: (timeMs) => reader.lastOffsetBefore(timeMs),
    earliest: async (topics) => earliestOf(await reader.topics({ topicPatterns: [topics] })),
    next: (topics, after, eventsMax) => reader.next(topics, after, lastOffset, eventsMax),
  };
}

interface LetterRow {
  readonly offset: string;
  readonly deliveries: number;
  readonly bytes: number;
  readonly dead_ms: string;
  readonly reason: DeadReason;
}

function letterOf(row: LetterRow): DeadLetter {
  const { offset, deliveries, bytes, dead_ms: deadMs, reason } = row;
  return { offset: Number(offset), bytes, deliveries, deadMs: Number(deadMs), reason };
}
