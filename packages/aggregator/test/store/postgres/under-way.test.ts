import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Client } from 'pg';
import { ACCEPTED, type AppendResult, CONFLICT, DUPLICATE } from '../../../src/store/event-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { beginReaders, beside, newLog } from '../../support/postgres-server.ts';
import { all } from '../../support/store-suites.ts';
import { until } from '../../support/until.ts';

/** Events that are stored when a test begins. */
const BEFORE = 2;

async function opened(t: TestContext): Promise<{ store: PostgresStore; other: Client }> {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  // Ends before the store does, which may wait for what it has locked.
  const other = await beside(t, address);
  t.after(() => store.close());
  await beginReaders(store);
  // Two sessions that write are begun, too.
  await Promise.all(['x', 'y'].map((id) => store.append([batchOf(eventWith({ event_id: id }))])));
  return { store, other };
}

test('a group that repeats events of one under way waits for its commit alone, and is told what became of them [P-2, P-4]', async (t) => {
  const { store, other } = await opened(t);
  const first = await held(store, other, [eventWith({ event_id: 'a' }), eventWith({ event_id: 'b' })]);
  const second = store.append([
    batchOf(
      eventWith({ event_id: 'b' }),
      eventWith({ event_id: 'a', source: 'elsewhere' }),
      eventWith({ event_id: 'c', topic: 'new' }),
    ),
  ]);
  await judged(other, 'new');
  // Were one of its keys sent it would wait for that key, and be undone.
  for (let look = 0; look < 10; look++) assert.equal(await waitingSessions(other), 1);
  await other.query('COMMIT');
  assert.deepEqual([...(await first.answer)[0]!.offsets], [3, 4]);
  const [told] = await second;
  assert.deepEqual([...told!.verdicts], [DUPLICATE, CONFLICT, ACCEPTED]);
  assert.deepEqual([...told!.offsets], [4, 3, 5]);
  const { received, accepted, conflicts } = await store.stats();
  assert.deepEqual({ received, accepted, conflicts }, { received: 7, accepted: 5, conflicts: 1 });
  assert.equal((await store.repeats.ages({})).duplicates.at(-1), 0);
});

test('a group that repeats events of one whose commit fails is judged again, and stores them if nobody else does [P-2]', async (t) => {
  const { store, other } = await opened(t);
  const first = await held(store, other, [eventWith({ event_id: 'a' })]);
  const second = store.append([
    batchOf(eventWith({ event_id: 'a' }), eventWith({ event_id: 'b', topic: 'new' })),
  ]);
  await judged(other, 'new');
  await other.query(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'",
  );
  await other.query('COMMIT');
  const results = [(await first.answer)[0]!, (await second)[0]!];
  assert.equal(results.filter(({ verdicts }) => verdicts[0] === ACCEPTED).length, 1);
  assert.equal(results[0]!.offsets[0], results[1]!.offsets[0]);
  const stored = new Map((await all(store)).map(({ event_id: id, offset }) => [id, offset]));
  assert.deepEqual([stored.size, stored.get('a')], [BEFORE + 2, results[0]!.offsets[0]]);
  assert.equal(stored.get('b'), results[1]!.offsets[1]);
});

test('groups under way at once, with many of the same events, store each once and agree on its offset [P-2, P-4, P-5]', async (t) => {
  const { store } = await opened(t);
  const offsetOf = new Map<string, number>();
  let accepted = 0;
  let received = 0;
  const noted = (ids: readonly string[], { verdicts, offsets }: AppendResult): void => {
    received += ids.length;
    for (const [i, id] of ids.entries()) {
      if (verdicts[i] === ACCEPTED) accepted += 1;
      assert.equal(offsetOf.get(id) ?? offsets[i], offsets[i], id);
      offsetOf.set(id, offsets[i]!);
    }
  };
  await Promise.all(
    [0, 1, 2, 3].map(async (place) => {
      for (let round = 0; round < 15; round++) {
        const events = manyEvents(40, (i) => ({
          event_id: `${round * 20 + i}`,
          topic: `t${(round * 20 + i) % 3}`,
        }));
        const mine = place % 2 === 0 ? events : events.toReversed();
        const [result] = await store.append([batchOf(...mine)]);
        noted(mine.map(({ event_id: id }) => id), result!); // prettier-ignore
      }
    }),
  );
  const log = (await all(store)).slice(BEFORE);
  assert.deepEqual(
    log.map(({ offset }) => offset),
    Array.from({ length: offsetOf.size }, (_, i) => BEFORE + i + 1),
  );
  for (const { event_id: id, offset } of log) assert.equal(offset, offsetOf.get(id), id);
  const stats = await store.stats();
  assert.equal(accepted, log.length);
  assert.deepEqual([stats.received, stats.accepted], [BEFORE + received, BEFORE + accepted]);
});

/** Appends these events and resolves when their commit waits for the head row, which the other session has until it commits. */
async function held(
  store: PostgresStore,
  other: Client,
  events: readonly Parameters<typeof batchOf>[number][],
): Promise<{ readonly answer: Promise<AppendResult[]> }> {
  await other.query('BEGIN; SELECT FROM head FOR UPDATE');
  const answer = store.append([batchOf(...events)]);
  await until(
    () => 'the commit waits for the head row',
    async () => (await waitingSessions(other)) === 1,
  );
  return { answer };
}

/** Resolves when a group with an event of this topic was judged: then the topic gets its id. */
async function judged(other: Client, topic: string): Promise<void> {
  await until(
    () => `the topic ${topic} has an id`,
    async () => (await other.query('SELECT FROM topic WHERE name = $1', [topic])).rowCount === 1,
  );
}

async function waitingSessions(other: Client): Promise<number> {
  const { rowCount } = await other.query('SELECT FROM pg_locks WHERE NOT granted');
  return rowCount!;
}
