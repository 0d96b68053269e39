import type { ClientBase } from 'pg';
import { groupFaults, handFaults } from '../groups/group-faults.ts';
import type { WrittenHand } from '../groups/group-tables.ts';
import { decode } from '../groups/hands.ts';

const GROUPS = 'SELECT group_id, name, deliveries_max FROM event_group';
const HANDS =
  'SELECT take, is_last, events, first_offset, last_offset, entries FROM hand WHERE group_id = $1::bigint';
const DEAD = `
  SELECT "offset" FROM dead_letter WHERE group_id = $1::bigint AND "offset" = ANY ($2::text[]::bigint[])`;

/** The problems of the groups' tables, one line each. */
export async function* groupProblems(client: ClientBase): AsyncGenerator<string> {
  for (const sql of groupFaults('head')) {
    const { rows } = await client.query<Record<string, string>>(sql);
    for (const row of rows) yield Object.values(row)[0]!;
  }
  const groups = await client.query<{ group_id: string; name: string; deliveries_max: number }>(GROUPS);
  for (const { group_id: id, name, deliveries_max: deliveriesMax } of groups.rows) {
    const hands = await handsOf(client, id);
    const offsets = hands.flatMap((hand) => [...decode(hand).keys()]);
    const { rows } = await client.query<{ offset: string }>(DEAD, [id, offsets.map(String)]);
    const dead = new Set(rows.map(({ offset }) => Number(offset)));
    for (const problem of handFaults(hands, deliveriesMax, (offset) => dead.has(offset))) {
      yield `group "${name}": ${problem}`;
    }
  }
}

/** The hands of a group: its outstanding events are bounded. */
async function handsOf(client: ClientBase, groupId: string): Promise<WrittenHand[]> {
  const { rows } = await client.query<Record<string, string> & { entries: Buffer }>(HANDS, [groupId]);
  return rows.map((row) => ({
    take: Number(row['take']),
    due_ms: 0,
    is_last: Number(row['is_last']),
    events: Number(row['events']),
    first_offset: Number(row['first_offset']),
    last_offset: Number(row['last_offset']),
    entries: row.entries,
  }));
}
