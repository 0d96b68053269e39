import type { DatabaseSync } from 'node:sqlite';
import { NOBODY, decode } from '../groups/hands.ts';

/** Each statement returns a line for every fault of its kind. */
const FAULTS = [
  `SELECT 'group "' || name || '": position ' || position || ' is beyond the last offset ' || last_offset
   FROM event_group, books WHERE position > last_offset`,

  `SELECT 'group "' || name || '": the books say ' || outstanding || ' events are outstanding, but ' || found || ' are'
   FROM (SELECT name, outstanding,
                (SELECT ifnull(sum(events), 0) FROM hand WHERE group_id = s.group_id) AS found
         FROM event_group AS s)
   WHERE outstanding <> found`,

  `SELECT 'group "' || name || '": the books say ' || dead || ' events are dead, but ' || found || ' are'
   FROM (SELECT name, dead, (SELECT count(*) FROM dead_letter WHERE group_id = s.group_id) AS found
         FROM event_group AS s)
   WHERE dead <> found`,

  `SELECT 'group "' || name || '": offset ' || last_offset || ' is outstanding above the position ' || position
   FROM hand JOIN event_group USING (group_id) WHERE last_offset > position`,

  `SELECT 'group "' || name || '": offset ' || offset || ' is dead above the position ' || position
   FROM dead_letter JOIN event_group USING (group_id) WHERE offset > position`,

  `SELECT 'group "' || name || '": offset ' || first_offset || ' is leased by take ' || take || ' of ' || takes
   FROM hand JOIN event_group USING (group_id) WHERE take > takes OR (take <> ${NOBODY} AND take <= void_takes)`,

  `SELECT 'group "' || name || '": of ' || deliveries || ' deliveries ' || redeliveries || ' are redeliveries'
   FROM event_group WHERE redeliveries > deliveries`,

  `SELECT 'offset ' || first_offset || ' is outstanding for group ' || group_id || ', which does not exist'
   FROM hand WHERE group_id NOT IN (SELECT group_id FROM event_group)`,

  `SELECT 'offset ' || offset || ' is dead for group ' || group_id || ', which does not exist'
   FROM dead_letter WHERE group_id NOT IN (SELECT group_id FROM event_group)`,
];

/** The problems of the groups' tables, one line each. */
export function* groupProblems(db: DatabaseSync): Generator<string> {
  for (const sql of FAULTS) {
    for (const row of db.prepare(sql).iterate()) yield String(Object.values(row)[0]);
  }
  const groups = db.prepare('SELECT group_id, name, deliveries_max FROM event_group').all();
  for (const { group_id: id, name, deliveries_max: deliveriesMax } of groups) {
    for (const problem of handProblems(db, Number(id), Number(deliveriesMax))) {
      yield `group "${String(name)}": ${problem}`;
    }
  }
}

function* handProblems(db: DatabaseSync, id: number, deliveriesMax: number): Generator<string> {
  const isDead = db.prepare('SELECT 1 FROM dead_letter WHERE group_id = ? AND offset = ?');
  const given = new Set<number>();
  for (const row of db.prepare('SELECT * FROM hand WHERE group_id = ?').iterate(id)) {
    const events = decode({ entries: row['entries'] as Uint8Array });
    const offsets = [...events.keys()];
    const told = [row['events'], row['first_offset'], row['last_offset']].join();
    const there = [offsets.length, offsets[0], offsets.at(-1)].join();
    if (told !== there) {
      yield `the hand of take ${String(row['take'])} says events, first and last are ${told}, but they are ${there}`;
    }
    for (const [offset, { deliveries }] of events) {
      if (given.has(offset)) yield `offset ${offset} is in two hands`;
      given.add(offset);
      if (isDead.get(id, offset) !== undefined) yield `offset ${offset} is both outstanding and dead`;
      const isLast = row['is_last'] === 1;
      if (isLast !== deliveries >= deliveriesMax) {
        yield `offset ${offset} after ${deliveries} of ${deliveriesMax} deliveries is ${isLast ? '' : 'not '}at its last`;
      }
    }
  }
}
