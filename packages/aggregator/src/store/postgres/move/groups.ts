import type { ClientBase } from 'pg';
import type { GroupRow } from '../../groups/group-tables.ts';
import { GROUP_COLUMNS, HAND_COLUMNS, LETTERS_MAX, LETTER_COLUMNS } from '../../move/group-columns.ts';
import type { LogState, MovedHand, MovedLetter } from '../../move/moved-log.ts';
import { byteaArray, textArray } from '../arrays.ts';
import type { Reading } from '../sessions.ts';

/** In the order in which another store gives them. */
const GROUPS = `SELECT ${quoted(GROUP_COLUMNS)} FROM event_group ORDER BY group_id`;
const HANDS = `SELECT ${quoted(HAND_COLUMNS)} FROM hand ORDER BY group_id, take, due_ms, is_last`;
const LAST_GROUP = 'SELECT group_id FROM last_group';
const LETTERS = `
  SELECT ${quoted(LETTER_COLUMNS)} FROM dead_letter WHERE (group_id, "offset") > ($1::bigint, $2::bigint)
  ORDER BY group_id, "offset" LIMIT ${LETTERS_MAX}`;

const EMPTY = 'DELETE FROM event_group; DELETE FROM hand; DELETE FROM dead_letter';
/** Nobody has claimed to send its events, and no apply has written it. */
const PUT_GROUP = `
  INSERT INTO event_group (${quoted(GROUP_COLUMNS)}, sender, sender_until_ms, version)
  VALUES (${GROUP_COLUMNS.map((_, i) => `$${i + 1}`).join()}, NULL, 0, 0)`;
const PUT_HANDS = `
  INSERT INTO hand (${quoted(HAND_COLUMNS)})
  SELECT group_id::bigint, take::bigint, due_ms::bigint, is_last::int, events::int, first_offset::bigint, last_offset::bigint, entries
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[])
    AS new (${quoted(HAND_COLUMNS)})`;
const PUT_LETTERS = `
  INSERT INTO dead_letter (${quoted(LETTER_COLUMNS)})
  SELECT group_id::bigint, "offset"::bigint, deliveries::int, bytes::int, dead_ms::bigint, reason
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS new (${quoted(LETTER_COLUMNS)})`;
const PUT_LAST_GROUP = 'UPDATE last_group SET group_id = $1';

/** Columns that are no numbers. */
const TEXTS: ReadonlySet<string> = new Set([
  'name',
  'topics',
  'start',
  'push_url',
  'push_secrets',
  'push_format',
  'last_failure',
  'reason',
]);

/** The groups of a schema as a move takes them. */
export async function groupsIn(
  client: ClientBase,
): Promise<Pick<LogState, 'groups' | 'hands' | 'lastGroupId'>> {
  const groups = await client.query<Row>(GROUPS);
  const hands = await client.query<Row>(HANDS);
  const last = await client.query<Row>(LAST_GROUP);
  return {
    groups: groups.rows.map((row) => movedRow(row) as GroupRow),
    hands: hands.rows.map((row) => movedRow(row) as MovedHand),
    lastGroupId: Number(last.rows[0]!['group_id']),
  };
}

export async function* lettersIn(schema: Reading): AsyncGenerator<readonly MovedLetter[]> {
  for (let [id, offset] = [0, 0]; ;) {
    const after = [id, offset];
    const { rows } = await schema.read((client) => client.query<Row>(LETTERS, after));
    if (rows.length === 0) return;
    const letters = rows.map((row) => movedRow(row) as MovedLetter);
    yield letters;
    ({ group_id: id, offset } = letters.at(-1)!);
  }
}

/** Puts groups in place of those that are there, within the caller's transaction. */
export async function putGroups(
  client: ClientBase,
  { groups, hands, lastGroupId }: LogState,
  letters: AsyncIterable<readonly MovedLetter[]>,
): Promise<void> {
  await client.query(EMPTY);
  for (const row of groups) {
    await client.query(
      PUT_GROUP,
      GROUP_COLUMNS.map((column) => (column === 'secret' ? Buffer.from(row.secret) : row[column])),
    );
  }
  const handColumns = HAND_COLUMNS.map((column) =>
    column === 'entries'
      ? byteaArray(hands.map(({ entries }) => entries))
      : textArray(hands.map((hand) => String(hand[column]))),
  );
  await client.query(PUT_HANDS, handColumns);
  for await (const some of letters) {
    const columns = LETTER_COLUMNS.map((column) => textArray(some.map((letter) => String(letter[column]))));
    await client.query(PUT_LETTERS, columns);
  }
  await client.query(PUT_LAST_GROUP, [lastGroupId]);
}

type Row = Record<string, string | number | Buffer | null>;

/** The client library gives large numbers as text, and bytes as a Buffer. */
function movedRow(row: Row): unknown {
  const entries = Object.entries(row).map(([column, value]) => {
    if (value === null || TEXTS.has(column)) return [column, value];
    return [column, value instanceof Buffer ? Uint8Array.from(value) : Number(value)];
  });
  return Object.fromEntries(entries);
}

/** `offset` is a word of SQL. */
function quoted(columns: readonly string[]): string {
  return columns.map((column) => `"${column}"`).join();
}
