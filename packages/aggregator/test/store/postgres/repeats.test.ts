import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGE_BOUNDS_MS, PAIRS_MAX, PERIOD_MS, PERIOD_PAIRS_MAX } from '../../../src/store/repeat-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { beside, newLog } from '../../support/postgres-server.ts';
import { TestClock } from '../../support/stores.ts';

test('an instance knows how old an event is that another one has stored [DUP-1]', async (t) => {
  const address = await newLog();
  const clock = new TestClock(1_000_000);
  const open = () => PostgresStore.open(address, undefined, { allowsLoss: true, now: clock.now });
  const [first, second] = [await open(), await open()];
  t.after(() => Promise.all([first.close(), second.close()]));
  await first.append([batchOf(eventWith())]);
  clock.ms += 5000;
  await second.append([batchOf(eventWith())]);
  clock.ms += 30_000;
  await second.append([batchOf(eventWith(), eventWith())]);
  const { duplicates } = await first.repeats.ages({});
  const counted = duplicates.map((count, i) => [AGE_BOUNDS_MS[i], count]).filter(([, count]) => count !== 0);
  assert.deepEqual(counted, [
    [10_000, 1],
    [60_000, 2],
  ]);
});

test('sources beyond the bounds are counted together, those that had counts before go on by name [DUP-3]', async (t) => {
  const address = await newLog();
  const clock = new TestClock(10 * PERIOD_MS);
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true, now: clock.now });
  t.after(() => store.close());
  const repeated = async (...sources: string[]) =>
    store.append([batchOf(eventWith(), ...sources.map((source) => eventWith({ source })))]);
  const told = async (sinceMs: number | null) => {
    const { repeaters, unnamed } = await store.repeats.repeaters({ by: 'source', sinceMs, limit: 100 });
    const named = repeaters.filter(({ name }) => name !== 'filler');
    return [named.map(({ name, duplicates }) => `${name} ${duplicates}`).toSorted(), unnamed.duplicates];
  };
  await repeated();
  const client = await beside(t, address);
  await client.query('UPDATE repeats SET pairs = $1::bigint', [PAIRS_MAX - 2]);
  // Pairs of another topic, which nobody is told of here, since it has no name.
  await client.query(
    "INSERT INTO repeat_period SELECT $1::bigint, -topic_id, 'filler', 0, 0 FROM generate_series(1, $2::int) AS topic_id",
    [clock.ms, PERIOD_PAIRS_MAX - 3],
  );
  await repeated('a', 'b', 'a', 'b', 'a');
  // The stored event itself is repeated from then on.
  assert.deepEqual(await told(clock.ms), [['a 3', 'b 2', 'web 1'], 0]);
  const [names, unnamed] = await told(null);
  assert.deepEqual([(names as string[]).length, unnamed], [2, 1]);
  await repeated('c', 'a', 'b', 'd');
  assert.deepEqual(await told(clock.ms), [['a 4', 'b 3', 'web 2'], 2]);
  clock.ms += 2 * PERIOD_MS;
  await repeated('c', 'd');
  assert.deepEqual(await told(clock.ms), [['c 1', 'd 1', 'web 1'], 0]);
  const { rows } = await client.query<{ pairs: string }>('SELECT pairs FROM repeats');
  assert.equal(rows[0]!.pairs, String(PAIRS_MAX));
});

test('of an id that is forgotten no row tells any more [DUP-5]', async (t) => {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  const events = [eventWith(), eventWith({ event_id: 'e-2' })];
  await store.append([batchOf(...events, ...events, ...events.map((one) => ({ ...one, source: 'app' })))]);
  await store.repeats.ages({});
  await store.append([batchOf(...events)]);
  await store.retention.erase('orders', 'e-1', true);
  const client = await beside(t, address);
  const { rows } = await client.query('SELECT events FROM histories UNION ALL SELECT event_id FROM conflict');
  const told = (rows as { events: string }[]).map(({ events }) => events.replaceAll(/^\d+/gm, 'time'));
  assert.deepEqual(told, ['=2 3 1\ntime "web"\t\ntime!"app"\t\ntime "web"\t\n', 'e-2']);
});

test('many repeats that wait to be settled are settled in several steps [DUP-1]', async (t) => {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  const client = await beside(t, address);
  await client.query('BEGIN; SELECT FROM repeats FOR UPDATE');
  const repeats = Array.from({ length: 16_000 }, () => eventWith());
  await store.append([batchOf(eventWith())]);
  for (let i = 0; i < 6; i++) await store.append([batchOf(...repeats)]);
  await client.query('COMMIT');
  const { duplicates } = await store.repeats.ages({});
  assert.equal(
    duplicates.reduce((sum, count) => sum + count),
    6 * repeats.length,
  );
  const { rows } = await client.query<{ steps: string }>('SELECT steps FROM repeats');
  assert.ok(Number(rows[0]!.steps) > 1, 'one step took all of them');
});

test('conflicts with more text than a step takes are all told, in the order of their commits [DUP-4]', async (t) => {
  const { now } = new TestClock(1_000_000);
  const store = await PostgresStore.open(await newLog(), undefined, { allowsLoss: true, now });
  t.after(() => store.close());
  const text = 'x'.repeat(900_000);
  const commits = 3;
  for (let i = 0; i <= commits; i++) {
    await store.append([batchOf(...manyEvents(5, () => ({ payload: { i, text } })))]);
  }
  const { duplicates, conflicts } = await store.repeats.ages({});
  assert.deepEqual([duplicates[0], conflicts[0]], [commits * 5, commits * 5]);
  const page = await store.repeats.conflicts({ before: null, limit: 5 });
  assert.deepEqual(
    page.conflicts.map(({ number, eventId }) => [number, eventId]),
    [5, 4, 3, 2, 1].map((place) => [(commits - 1) * 5 + place, `e-${place}`]),
  );
  assert.equal((await store.repeats.history('orders', 'e-3'))?.conflicts, commits);
});
