import type { DatabaseSync } from 'node:sqlite';
import { groupFaults, handFaults } from '../../groups/group-faults.ts';
import type { WrittenHand } from '../../groups/group-tables.ts';

/** The problems of the groups' tables, one line each. */
export function* groupProblems(db: DatabaseSync): Generator<string> {
  for (const sql of groupFaults('books')) {
    for (const row of db.prepare(sql).iterate()) yield String(Object.values(row)[0]);
  }
  const isDead = db.prepare('SELECT 1 FROM dead_letter WHERE group_id = ? AND offset = ?');
  const hands = db.prepare('SELECT * FROM hand WHERE group_id = ?');
  const groups = db.prepare('SELECT group_id, name, deliveries_max FROM event_group').all();
  for (const { group_id: id, name, deliveries_max: deliveriesMax } of groups) {
    const rows = hands.iterate(id!) as Iterable<unknown> as Iterable<WrittenHand>;
    const faults = handFaults(rows, Number(deliveriesMax), (offset) => isDead.get(id!, offset) !== undefined);
    for (const problem of faults) yield `group "${String(name)}": ${problem}`;
  }
}
