import type { DatabaseSync } from 'node:sqlite';
import { NOBODY, decode } from './hands.ts';

/** What must not be found of subscriptions: each statement gives a line for every fault. */
const FAULTS = [
  `SELECT 'subscription "' || name || '": position ' || position || ' is beyond the last offset ' || last_offset
   FROM subscription, ledger WHERE position > last_offset`,

  `SELECT 'subscription "' || name || '": the books say ' || outstanding || ' events are outstanding, there are ' || there
   FROM (SELECT name, outstanding,
                (SELECT ifnull(sum(events), 0) FROM hand WHERE subscription_id = s.subscription_id) AS there
         FROM subscription AS s)
   WHERE outstanding <> there`,

  `SELECT 'subscription "' || name || '": the books say ' || dead || ' events are dead, there are ' || there
   FROM (SELECT name, dead, (SELECT count(*) FROM dead_letter WHERE subscription_id = s.subscription_id) AS there
         FROM subscription AS s)
   WHERE dead <> there`,

  `SELECT 'subscription "' || name || '": offset ' || last_offset || ' is outstanding above the position ' || position
   FROM hand JOIN subscription USING (subscription_id) WHERE last_offset > position`,

  `SELECT 'subscription "' || name || '": offset ' || offset || ' is dead above the position ' || position
   FROM dead_letter JOIN subscription USING (subscription_id) WHERE offset > position`,

  `SELECT 'subscription "' || name || '": offset ' || first_offset || ' is leased by take ' || take || ' of ' || takes
   FROM hand JOIN subscription USING (subscription_id) WHERE take > takes OR (take <> ${NOBODY} AND take <= void_takes)`,

  `SELECT 'subscription "' || name || '": of ' || deliveries || ' deliveries ' || redeliveries || ' are redeliveries'
   FROM subscription WHERE redeliveries > deliveries`,

  `SELECT 'offset ' || first_offset || ' is outstanding for subscription ' || subscription_id || ', which is not there'
   FROM hand WHERE subscription_id NOT IN (SELECT subscription_id FROM subscription)`,

  `SELECT 'offset ' || offset || ' is dead for subscription ' || subscription_id || ', which is not there'
   FROM dead_letter WHERE subscription_id NOT IN (SELECT subscription_id FROM subscription)`,
];

/** What is wrong with the tables of the subscriptions, a line each. */
export function* subscriptionProblems(db: DatabaseSync): Generator<string> {
  for (const sql of FAULTS) {
    for (const row of db.prepare(sql).iterate()) yield String(Object.values(row)[0]);
  }
  const subscriptions = db.prepare('SELECT subscription_id, name, deliveries_max FROM subscription').all();
  for (const { subscription_id: id, name, deliveries_max: deliveriesMax } of subscriptions) {
    for (const problem of handProblems(db, Number(id), Number(deliveriesMax))) {
      yield `subscription "${String(name)}": ${problem}`;
    }
  }
}

function* handProblems(db: DatabaseSync, id: number, deliveriesMax: number): Generator<string> {
  const isDead = db.prepare('SELECT 1 FROM dead_letter WHERE subscription_id = ? AND offset = ?');
  const given = new Set<number>();
  for (const row of db.prepare('SELECT * FROM hand WHERE subscription_id = ?').iterate(id)) {
    const events = decode({ entries: row['entries'] as Uint8Array });
    const offsets = [...events.keys()];
    const told = [row['events'], row['first_offset'], row['last_offset']].join();
    const there = [offsets.length, offsets[0], offsets.at(-1)].join();
    if (told !== there) {
      yield `the hand of take ${String(row['take'])} says events, first and last are ${told}, they are ${there}`;
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
