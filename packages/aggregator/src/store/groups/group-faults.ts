import type { WrittenHand } from './group-tables.ts';
import { NOBODY, decode } from './hands.ts';

/**
 * Statements that return a line for every fault of their kind in the tables of groups, in the SQL that all stores on a disk know.
 *
 * @param books the table with the log's last offset
 */
export const groupFaults = (books: string): string[] => [
  `SELECT 'group "' || name || '": position ' || position || ' is beyond the last offset ' || last_offset AS fault
   FROM event_group, ${books} WHERE position > last_offset`,

  `SELECT 'group "' || name || '": the books say ' || outstanding || ' events are outstanding, but ' || found || ' are'
   FROM (SELECT name, outstanding,
                (SELECT coalesce(sum(events), 0) FROM hand WHERE group_id = s.group_id) AS found
         FROM event_group AS s) AS sums
   WHERE outstanding <> found`,

  `SELECT 'group "' || name || '": the books say ' || dead || ' events are dead, but ' || found || ' are'
   FROM (SELECT name, dead, (SELECT count(*) FROM dead_letter WHERE group_id = s.group_id) AS found
         FROM event_group AS s) AS sums
   WHERE dead <> found`,

  `SELECT 'group "' || name || '": offset ' || last_offset || ' is outstanding above the position ' || position
   FROM hand JOIN event_group USING (group_id) WHERE last_offset > position`,

  `SELECT 'group "' || name || '": offset ' || "offset" || ' is dead above the position ' || position
   FROM dead_letter JOIN event_group USING (group_id) WHERE "offset" > position`,

  `SELECT 'group "' || name || '": offset ' || first_offset || ' is leased by take ' || take || ' of ' || takes
   FROM hand JOIN event_group USING (group_id) WHERE take > takes OR (take <> ${NOBODY} AND take <= void_takes)`,

  `SELECT 'group "' || name || '": of ' || deliveries || ' deliveries ' || redeliveries || ' are redeliveries'
   FROM event_group WHERE redeliveries > deliveries`,

  `SELECT 'offset ' || first_offset || ' is outstanding for group ' || group_id || ', which does not exist'
   FROM hand WHERE group_id NOT IN (SELECT group_id FROM event_group)`,

  `SELECT 'offset ' || "offset" || ' is dead for group ' || group_id || ', which does not exist'
   FROM dead_letter WHERE group_id NOT IN (SELECT group_id FROM event_group)`,
];

/**
 * What is wrong with the hands of one group, one line each.
 *
 * @param isDead whether the offset is among the group's dead ones
 */
export function* handFaults(
  rows: Iterable<WrittenHand>,
  deliveriesMax: number,
  isDead: (offset: number) => boolean,
): Generator<string> {
  const given = new Set<number>();
  for (const row of rows) {
    const events = decode(row);
    const offsets = [...events.keys()];
    const told = [row.events, row.first_offset, row.last_offset].join();
    const there = [offsets.length, offsets[0], offsets.at(-1)].join();
    if (told !== there) {
      yield `the hand of take ${row.take} says events, first and last are ${told}, but they are ${there}`;
    }
    for (const [offset, { deliveries }] of events) {
      if (given.has(offset)) yield `offset ${offset} is in two hands`;
      given.add(offset);
      if (isDead(offset)) yield `offset ${offset} is both outstanding and dead`;
      const isLast = row.is_last === 1;
      if (isLast !== deliveries >= deliveriesMax) {
        yield `offset ${offset} after ${deliveries} of ${deliveriesMax} deliveries is ${isLast ? '' : 'not '}at its last`;
      }
    }
  }
}
