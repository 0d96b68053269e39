import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from 'pg';
import { ACCEPTED, DUPLICATE } from '../../../src/store/event-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { beside, newLog } from '../../support/postgres-server.ts';
import { until } from '../../support/until.ts';

const LOCK = "'head'::regclass::oid::int, 0";

test('an instance that lost a race for a retry waits its turn from then on, but not for one that hangs with it', async (t) => {
  const address = await newLog();
  const open = () => PostgresStore.open(address, undefined, { allowsLoss: true });
  const [first, second] = await Promise.all([open(), open()]);
  t.after(() => Promise.all([first.close(), second.close()]));
  const other = await beside(t, address);
  // Each has connected, so that none of the races takes so long that a connection is given up.
  await first.append([batchOf(eventWith({ event_id: 'before the races' }))]);
  await second.append([batchOf(eventWith({ event_id: 'also before' }))]);
  // The first race is lost without a look, the second one though the look found nothing.
  await raced(other, first, second, 'a');
  await raced(other, first, second, 'b');

  await takeTurn(other);
  const waits = second.append([batchOf(eventWith({ event_id: 'c' }))]);
  await waiting(other, 'advisory', 1);
  // It has lost no race, so it takes no turns.
  assert.equal((await first.append([batchOf(eventWith({ event_id: 'd' }))]))[0]!.verdicts[0], ACCEPTED);
  await other.query(`SELECT pg_advisory_unlock(${LOCK})`);
  assert.equal((await waits)[0]!.verdicts[0], ACCEPTED);
  await takeTurn(other);
  assert.equal((await second.append([batchOf(eventWith({ event_id: 'e' }))]))[0]!.verdicts[0], ACCEPTED);
});

/** Both append the same event; the first inserts its key first, and waits for the head row until the second waits for it. */
async function raced(other: Client, first: PostgresStore, second: PostgresStore, id: string): Promise<void> {
  const batch = batchOf(eventWith({ event_id: id }));
  await other.query('BEGIN; SELECT FROM head FOR UPDATE');
  const wins = first.append([batch]);
  await waiting(other, 'transactionid', 1);
  const loses = second.append([batch]);
  await waiting(other, 'transactionid', 2);
  await other.query('COMMIT');
  assert.equal((await wins)[0]!.verdicts[0], ACCEPTED);
  assert.equal((await loses)[0]!.verdicts[0], DUPLICATE);
}

async function takeTurn(other: Client): Promise<void> {
  const { rows } = await other.query(`SELECT pg_try_advisory_lock(${LOCK}) AS "isFree"`);
  assert.deepEqual(rows, [{ isFree: true }]);
}

async function waiting(other: Client, kind: string, sessions: number): Promise<void> {
  await until(
    () => `${sessions} wait for a lock of the kind ${kind}`,
    async () => {
      const { rowCount } = await other.query('SELECT FROM pg_locks WHERE NOT granted AND locktype = $1', [
        kind,
      ]);
      return rowCount === sessions;
    },
  );
}
