import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { Rounds } from '../../../src/retention/rounds.ts';
import { RETENTION_TIMING } from '../../../src/retention/timing.ts';
import { truncate } from '../../../src/retention/truncation.ts';
import type { PostgresStore } from '../../../src/store/postgres/store.ts';
import type { RepeatStore } from '../../../src/store/repeat-store.ts';
import type { RetentionStore } from '../../../src/store/retention-store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import {
  failOver,
  failOverBehind,
  failedOver,
  lossFrom,
  untilAwaited,
  withLost,
} from '../../support/failover.ts';
import { policyWith } from '../../support/letting-go.ts';
import { beside } from '../../support/postgres-server.ts';
import { until } from '../../support/until.ts';

/** What another instance does where it has never had the topic `lost`, and gives its id to the topic `orders`. */
const GIVES_ID = "UPDATE topic SET name = 'orders'";

/** What every step that lets go waits for. */
const LETTING_GO = 'SELECT FROM merging FOR UPDATE';

test('what is let go of on a topic is not that of another which has its id since a failover', async (t) => {
  const log = await withLost(t, 'a');
  const { store } = log;
  const { done } = await failedOver(log, LETTING_GO, GIVES_ID, (one) =>
    one.retention.expire({ topic: 'lost', upTo: 1 }),
  );
  await assert.rejects(done, { code: 'blocked' });
  assert.equal((await store.stats()).expired, 0);
  assert.deepEqual(await store.retention.expire({ topic: 'lost', upTo: 1 }), {
    events: 0,
    bytes: 0,
    isDone: true,
  });
});

test('what is read of a topic is not that of another which has its id since a failover', async (t) => {
  const query = { topic: 'lost', order: 'asc', after: 0, upTo: 1, eventsMax: 1, framing: 'array' } as const;
  const log = await withLost(t, 'a');
  const { done } = await failedOver(log, 'LOCK TABLE block', GIVES_ID, (one) => one.read(query));
  await assert.rejects(done, { code: 'blocked' });
  assert.equal((await log.store.read(query)).count, 0);
});

test('what is counted of a topic is not that of another which has its id since a failover', async (t) => {
  const log = await withLost(t, 'a');
  const { done } = await failedOver(log, 'LOCK TABLE settled', GIVES_ID, (one) =>
    one.snapshot({ topic: 'lost', order: 'asc', after: 0 }),
  );
  assert.deepEqual(await done, { lastOffset: 1, count: 0, expired: 0 });
});

test('what topics are told to hold is not of another log since a failover', async (t) => {
  const log = await withLost(t, 'a');
  const others = "UPDATE topic SET topic_id = 2; UPDATE log SET topics = '{2}'";
  const { done } = await failedOver(log, 'LOCK TABLE settled', others, (one) =>
    one.topics({ topic: 'lost' }),
  );
  assert.deepEqual(
    (await done).map(({ topic, events }) => ({ topic, events })),
    [{ topic: 'lost', events: 1 }],
  );
});

/**
 * Asks for repeats of the topic `lost`, of which there is one, and fails over once it is settled: while the answer waits for the table.
 */
async function askedOfRepeats<T>(
  t: TestContext,
  table: string,
  ask: (repeats: RepeatStore) => Promise<T>,
): Promise<T> {
  const log = await withLost(t, 'a');
  await log.store.append([batchOf(eventWith({ topic: 'lost', event_id: 'a', payload: { other: 1 } }))]);
  const settling = await beside(t, log.address);
  // Whoever settles waits for what becomes of this one, and holds the tables until it is done.
  await settling.query(`BEGIN; INSERT INTO conflict VALUES (1, 1, 0, 1, 'a', '', '', NULL)`);
  const done = ask(log.store.repeats);
  await untilAwaited(settling);
  const locked = log.client.query(`BEGIN; LOCK TABLE ${table}`);
  await until(
    () => 'the table is to be locked',
    async () => {
      const { rows } = await settling.query(
        "SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'",
      );
      return rows.length > 0;
    },
  );
  await settling.query('ROLLBACK');
  await locked;
  await failOverBehind(log, GIVES_ID, done);
  return done;
}

test('conflicts on a topic are not those of another which has its id since a failover', async (t) => {
  const query = { topic: 'lost', before: null, limit: 9 };
  const page = await askedOfRepeats(t, 'conflict', (repeats) => repeats.conflicts(query));
  assert.deepEqual(page, { conflicts: [], next: null });
});

test('ages of repeats on a topic are not those of another which has its id since a failover', async (t) => {
  const { duplicates } = await askedOfRepeats(t, 'repeat_age', (repeats) => repeats.ages({ topic: 'lost' }));
  assert.ok(duplicates.every((count) => count === 0));
});

test('who repeats on a topic is not who does on another which has its id since a failover', async (t) => {
  const query = { by: 'source', sinceMs: null, limit: 9, topic: 'lost' } as const;
  const { repeaters } = await askedOfRepeats(t, 'repeat_age', (repeats) => repeats.repeaters(query));
  assert.deepEqual(repeaters, []);
});

test('an event that is looked up is not another one which has its offset since a failover', async (t) => {
  const find = (one: PostgresStore) => one.find('lost', 'a');
  const history = (one: PostgresStore) => one.repeats.history('lost', 'a');
  for (const lookUp of [find, history]) {
    // Either another event has the offset, or none.
    for (const others of ['DELETE FROM key', lossFrom(1)]) {
      const log = await withLost(t, 'a');
      const { done } = await failedOver(log, 'LOCK TABLE block', others, (one) => lookUp(one));
      assert.equal(await done, undefined, others);
    }
  }
});

/**
 * The newest event is lost in the failover, and with it the reason why the one before was to go. In the place of that one there may as
 * well be a younger event of another topic.
 */
test('a policy lets go of what is due after a failover, not of what was due before it', async (t) => {
  const log = await withLost(t, 'a', 'b', 'c');
  const { store } = log;
  const { retention } = store;
  await retention.put(policyWith({ maxEvents: 1 }));
  let hasFailed = false;
  const rounds = new Rounds({
    store,
    retention,
    readers: {
      letGo: async (step) => {
        if (!hasFailed) await failOver(log, lossFrom(3));
        hasFailed = true;
        return step(Number.MAX_SAFE_INTEGER);
      },
    },
    timing: { ...RETENTION_TIMING, tickMs: 2, gatherMs: 0, restsAfterLook: 0 },
    log: pino({ level: 'silent' }),
  });
  t.after(() => rounds.close());
  await until(
    () => 'something has expired',
    // Not while its connections are cut.
    async () => hasFailed && (await store.stats()).expired > 0,
  );
  const { expired, lastOffset, firstOffset } = await store.stats();
  assert.deepEqual({ expired, lastOffset, firstOffset }, { expired: 1, lastOffset: 2, firstOffset: 2 });
});

test('a topic is not truncated at an offset of before a failover', async (t) => {
  const log = await withLost(t, 'a', 'b');
  const { store } = log;
  const { retention } = store;
  const failing: RetentionStore = {
    ...retention,
    expire: async (query) => {
      await failOver(log, lossFrom(2));
      return retention.expire(query);
    },
  };
  const request = { topic: 'lost', before: { offset: 3 }, nowMs: Date.now() };
  await assert.rejects(truncate(store, failing, request, new AbortController().signal), { code: 'blocked' });
  assert.equal((await store.stats()).expired, 0);
});
