import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../lab/program.ts';
import { StoreError } from '../../packages/aggregator/src/store/event-store.ts';
import { PostgresStore } from '../../packages/aggregator/src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../packages/aggregator/test/support/events.ts';
import { beside, newLog } from '../../packages/aggregator/test/support/postgres-server.ts';
import { all } from '../../packages/aggregator/test/support/store-suites.ts';

type Operator = Awaited<ReturnType<typeof beside>>;

/** Twice the patience for one group: a call that is refused late is as good as one that hangs, for whoever waits. */
const REFUSED_WITHIN_MS = 40_000;

test('with its standby lost, publishes and the readiness check are refused in time, reads go on, and nothing is lost or doubled when the operator goes on without it [P-1, P-2, P-7]', async (t) => {
  const address = await newLog();
  const operator = await beside(t, address);
  // The server confirms commits at once, by its settings for tests; those of a database win.
  await operator.query('ALTER DATABASE postgres SET synchronous_commit = on');
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  const other = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => other.close());
  await store.append([batchOf(eventWith({ event_id: 'before' }))]);

  const [committing] = await waitingCommit(t, address, operator);
  const begun = performance.now();
  // More than there are sessions that commit, one with a topic that is new: all that waits must end.
  const waiting = Promise.allSettled([
    store.append([batchOf(eventWith({ event_id: 'one' }))]),
    store.append([batchOf(eventWith({ event_id: 'two', topic: 'new' }))]),
    store.append([batchOf(eventWith({ event_id: 'three' }))]),
    store.probe(),
    // Alone in its instance: nothing else makes it end but its own patience.
    other.append([batchOf(eventWith({ event_id: 'four' }))]),
  ]);
  const giveUp = new AbortController();
  const ends = await Promise.race([waiting, sleep(REFUSED_WITHIN_MS, null, { signal: giveUp.signal })]);
  giveUp.abort();
  const stored = (await all(store)).length;
  // Before anything is asserted: what still waits would keep the stores from closing.
  await operator.query("ALTER SYSTEM SET synchronous_standby_names = ''");
  await operator.query('SELECT pg_reload_conf()');
  await committing;
  assert.ok(ends !== null, `not refused within ${performance.now() - begun} ms`);
  for (const end of ends) {
    assert.ok(end.status === 'rejected' && end.reason instanceof StoreError, JSON.stringify(end));
    assert.ok(['blocked', 'in_doubt'].includes(end.reason.code), end.reason.code);
  }
  assert.equal(stored, 1);

  const ids = ['one', 'two', 'three', 'four'];
  const again = ids.map((id) => eventWith({ event_id: id, ...(id === 'two' && { topic: 'new' }) }));
  await store.append([batchOf(...again)]);
  assert.deepEqual(
    (await all(store)).map((event) => event.event_id).toSorted(),
    ['before', ...ids].toSorted(),
  );
  const { received, accepted, duplicates } = await store.stats();
  assert.equal(accepted, 5);
  assert.equal(received, accepted + duplicates);
});

/**
 * A server takes a moment to read its settings again. Commits until one waits, and returns that one, in an array since it is not
 * to be waited for yet.
 */
async function waitingCommit(t: TestContext, address: string, operator: Operator): Promise<[Promise<void>]> {
  const witness = await beside(t, address);
  await witness.query('SET synchronous_commit = on');
  await witness.query('CREATE TABLE witness (n int)');
  await operator.query("ALTER SYSTEM SET synchronous_standby_names = 'lost'");
  await operator.query('SELECT pg_reload_conf()');
  let isWaiting = false;
  const committing = (async () => {
    for (;;) {
      await witness.query('INSERT INTO witness VALUES (1)');
      if (isWaiting) return;
    }
  })();
  await until(
    () => 'a commit to wait',
    async () => {
      const { rowCount } = await operator.query("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
      return (isWaiting = rowCount! > 0);
    },
  );
  return [committing];
}
