import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom, withSeedOf } from '../../../../../lab/random.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { verifyDatabase } from '../../../src/store/postgres/verify.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { TO_FORMAT_9 } from '../../support/older-schema.ts';
import { beside, newLog } from '../../support/postgres-server.ts';
import { TestClock } from '../../support/stores.ts';

const LOSSY = { allowsLoss: true };

/** One stretch and a bit. */
const EVENTS = 1200;
/** Rows of stretches that are hit by each step are merged to the third level. */
const STEPS = 300;

const idOf = (i: number): string => `e-${i}`;

test('what is told of an event is what happened, however often its history was merged [DUP-2, DUP-5]', async (t) => {
  await withSeedOf('HISTORIES_SEED', async ({ seed }) => {
    const random = new SeededRandom(seed);
    const address = await newLog();
    const clock = new TestClock(1_000_000);
    const store = await PostgresStore.open(address, undefined, { ...LOSSY, now: clock.now });
    t.after(() => store.close());
    const model = new MemoryStore(clock.now);
    const both = [store, model];
    const append = async (...events: Parameters<typeof batchOf>) => {
      for (const each of both) await each.append([batchOf(...events)]);
    };
    const forgetOne = async () => {
      const id = idOf(random.whole(1, EVENTS - 1));
      for (const each of both) await each.retention.erase('orders', id, true);
    };
    const compareSome = async () => {
      for (let i = 0; i < EVENTS; i += 3) {
        const told = both.map(({ repeats }) => repeats.history('orders', idOf(i)));
        assert.deepEqual(await told[0], await told[1]);
      }
    };
    await append(...Array.from({ length: EVENTS }, (_, i) => eventWith({ event_id: idOf(i) })));
    for (let step = 0; step < STEPS; step++) {
      clock.ms += random.whole(0, 5000);
      // The first one is hit by each step, and often.
      const others = Array.from({ length: 4 }, () => random.whole(0, EVENTS - 1));
      const hit = [0, 0, ...others].map((i) =>
        eventWith({ event_id: idOf(i), source: random.whole(0, 3) > 0 ? 'web' : 'a "b"\t\u2028\n=1 1 1' }),
      );
      await append(...hit);
      if (step === 20) await forgetOne();
      await store.repeats.ages({});
    }
    await compareSome();
    const client = await beside(t, address);
    const { rows } = await client.query<{ stretch: string; rows: number; level: number }>(
      'SELECT stretch, count(*)::int AS rows, max(level) FILTER (WHERE level < 30) AS level FROM histories GROUP BY stretch',
    );
    assert.ok(rows.every((row) => row.rows < 48) && rows.some(({ level }) => level === 2), JSON.stringify(rows)); // prettier-ignore
    for (let i = 0; i < 3; i++) await forgetOne();
    await compareSome();
    assert.deepEqual((await verifyDatabase(address)).problems, []);
  });
});

test('a stretch whose sources are long is merged before it has many rows, into one that tells fewer of the last repeats', async (t) => {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, LOSSY);
  t.after(() => store.close());
  const source = '\u0001'.repeat(256);
  const events = Array.from({ length: 100 }, (_, i) => eventWith({ event_id: idOf(i), source }));
  await store.append([batchOf(...events)]);
  for (let step = 0; step < 2; step++) {
    for (let i = 0; i < 32; i++) await store.append([batchOf(...events)]);
    await store.repeats.ages({});
  }
  const client = await beside(t, address);
  const { rows } = await client.query(
    'SELECT level, octet_length(events) < 4194304 AS is_bounded FROM histories',
  );
  assert.deepEqual(rows, [{ level: 1, is_bounded: true }]);
  const history = await store.repeats.history('orders', idOf(99));
  assert.deepEqual([history?.duplicates, history?.repeats.length], [64, 16]);
  assert.equal(history?.repeats[0]!.source, source);
});

test('histories that an older format has kept are told by the next one, and go on', async (t) => {
  const address = await newLog();
  const clock = new TestClock(1_000_000);
  const old = await PostgresStore.open(address, undefined, { ...LOSSY, now: clock.now });
  await old.append([batchOf(...Array.from({ length: 300 }, (_, i) => eventWith({ event_id: idOf(i) })))]);
  await old.close();
  const client = await beside(t, address);
  await client.query(TO_FORMAT_9);
  await client.query(`
    INSERT INTO history VALUES (300, 3, 1, E'1000002!"app"\\tkey\\n1000001 "web"\\t\\n1000000 "web"\\t\\n'),
      (2, 1, 0, E'1000000 "web"\\t\\n');
    INSERT INTO repeat_age VALUES (1, 'web', 0, 4, 1); UPDATE repeats SET conflicts = 1;
    UPDATE head SET received = received + 4, conflicts = 1`);
  const store = await PostgresStore.open(address, undefined, { ...LOSSY, now: clock.now });
  t.after(() => store.close());
  clock.ms += 10;
  await store.append([batchOf(eventWith({ event_id: idOf(299) }))]);
  const web = { isConflict: false, source: 'web', publisher: null };
  assert.deepEqual(await store.repeats.history('orders', idOf(299)), {
    offset: 300,
    receivedMs: 1_000_000,
    source: 'web',
    duplicates: 4,
    conflicts: 1,
    repeats: [
      { ...web, receivedMs: 1_000_010 },
      { receivedMs: 1_000_002, isConflict: true, source: 'app', publisher: 'key' },
      { ...web, receivedMs: 1_000_001 },
      { ...web, receivedMs: 1_000_000 },
    ],
  });
  assert.equal((await store.repeats.history('orders', idOf(1)))?.duplicates, 1);
  assert.deepEqual((await verifyDatabase(address)).problems, []);
});
