import type { DatabaseSync } from 'node:sqlite';

/** What must not be found of subscriptions: each statement gives a line for every fault. */
const FAULTS = [
  `SELECT 'subscription "' || name || '": position ' || position || ' is beyond the last offset ' || last_offset
   FROM subscription, ledger WHERE position > last_offset`,

  `SELECT 'subscription "' || name || '": the books say ' || outstanding || ' events are outstanding, there are ' || there
   FROM (SELECT name, outstanding, (SELECT count(*) FROM outstanding AS o WHERE o.subscription_id = s.subscription_id) AS there FROM subscription AS s)
   WHERE outstanding <> there`,

  `SELECT 'subscription "' || name || '": the books say ' || dead || ' events are dead, there are ' || there
   FROM (SELECT name, dead, (SELECT count(*) FROM dead_letter AS o WHERE o.subscription_id = s.subscription_id) AS there FROM subscription AS s)
   WHERE dead <> there`,

  `SELECT 'subscription "' || name || '": offset ' || offset || ' is outstanding above the position ' || position
   FROM outstanding JOIN subscription USING (subscription_id) WHERE offset > position`,

  `SELECT 'subscription "' || name || '": offset ' || offset || ' is dead above the position ' || position
   FROM dead_letter JOIN subscription USING (subscription_id) WHERE offset > position`,

  `SELECT 'subscription "' || name || '": offset ' || offset || ' is both outstanding and dead'
   FROM outstanding JOIN dead_letter USING (subscription_id, offset) JOIN subscription USING (subscription_id)`,

  `SELECT 'subscription "' || name || '": offset ' || offset || ' is leased by take ' || take || ' of ' || takes
   FROM outstanding JOIN subscription USING (subscription_id)
   WHERE take > takes OR take <= void_takes`,

  `SELECT 'subscription "' || name || '": offset ' || o.offset || ' after ' || o.deliveries || ' of ' || deliveries_max ||
          ' deliveries is ' || iif(is_last, '', 'not ') || 'at its last'
   FROM outstanding AS o JOIN subscription USING (subscription_id) WHERE is_last <> (o.deliveries >= deliveries_max)`,

  `SELECT 'subscription "' || name || '": of ' || deliveries || ' deliveries ' || redeliveries || ' are redeliveries'
   FROM subscription WHERE redeliveries > deliveries`,

  `SELECT 'offset ' || offset || ' is outstanding for subscription ' || subscription_id || ', which is not there'
   FROM outstanding WHERE subscription_id NOT IN (SELECT subscription_id FROM subscription)`,

  `SELECT 'offset ' || offset || ' is dead for subscription ' || subscription_id || ', which is not there'
   FROM dead_letter WHERE subscription_id NOT IN (SELECT subscription_id FROM subscription)`,
];

/** What is wrong with the tables of the subscriptions, a line each. */
export function* subscriptionProblems(db: DatabaseSync): Generator<string> {
  for (const sql of FAULTS) {
    for (const row of db.prepare(sql).iterate()) yield String(Object.values(row)[0]);
  }
}
