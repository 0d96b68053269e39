import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Client } from 'pg';
import type { EventStore } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { beside, exchangeWaits, newLog } from '../../support/postgres-server.ts';
import { all } from '../../support/store-suites.ts';

/** Small enough that a dozen events are merged, passed as too large, and left to wait. */
const SMALL = { eventsMax: 8, largeEvents: 6, waitingMax: 8 };

async function opened(address: string, merging = SMALL, now?: () => number): Promise<PostgresStore> {
  return PostgresStore.open(address, undefined, { allowsLoss: true, merging, now });
}

async function rowsOf(client: Client): Promise<{ blocks: number; merged: number; to: number }> {
  const { rows } = await client.query<{ blocks: number; merged: number; to: number }>(`
    SELECT (SELECT count(*)::int FROM block) AS blocks, (SELECT count(*)::int FROM merged_block) AS merged,
      (SELECT last_offset::int FROM merging) AS to`);
  return rows[0]!;
}

const anEvent = fc
  .record({
    event_id: fc.integer({ min: 0, max: 400 }).map(String),
    topic: fc.constantFrom('t', 'u', 'v.w', 'é'),
    source: fc.constantFrom('web', 'app'),
    payload: fc.constantFrom({}, { message: 'x'.repeat(200) }, { n: 1 }),
  })
  .map(eventWith);
const aStep = fc.oneof(
  { weight: 6, arbitrary: fc.array(anEvent, { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(anEvent, { minLength: 5, maxLength: 12 }) },
  { weight: 2, arbitrary: fc.constant('merge' as const) },
);

/** What readers see, in many ways. */
async function seenOf(store: EventStore): Promise<unknown> {
  const { storedBytes: _, firstOffset: __, ...stats } = await store.stats();
  const { lastOffset } = stats;
  const every2nd = Float64Array.from({ length: Math.floor(lastOffset / 2) }, (_, i) => 2 * i + 1);
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  return {
    stats,
    topics: (await store.topics()).map(({ topic, events, lastOffset }) => ({ topic, events, lastOffset })),
    up: await all(store, { eventsMax: 7 }),
    down: await all(store, { order: 'desc', eventsMax: 5 }),
    middle: await all(store, { after: Math.floor(lastOffset / 3), upTo: Math.ceil(lastOffset / 2) }),
    topic: await all(store, { topic: 'u' }),
    pattern: await all(store, { topicPatterns: [['v.*']], order: 'desc' }),
    source: await all(store, { source: 'app' }),
    placed: text((await store.readAt(every2nd)).bytes),
    snapshot: await store.snapshot({ order: 'asc', after: 0, topic: 't' }),
    found: await store.find('u', '7'),
  };
}

test('whatever is appended and merged, on whichever instance, all read what the reference holds, with its times [P-2, P-4, P-5]', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  let merged = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(aStep, fc.nat(2)), { minLength: 15, maxLength: 50 }),
      async (steps) => {
        const place = await newLog();
        let ms = Date.parse('2026-01-01');
        const now = (): number => ms;
        const reference = new MemoryStore(now);
        const stores = await Promise.all([0, 1, 2].map(() => opened(place, SMALL, now)));
        try {
          for (const [step, which] of steps) {
            ms += 1 + which;
            if (step === 'merge') {
              await stores[which]!.merge();
              continue;
            }
            const [told] = await stores[which]!.append([batchOf(...step)]);
            const [expected] = await reference.append([batchOf(...step)]);
            assert.deepEqual({ ...told, syncMs: 0 }, { ...expected, syncMs: 0 });
            if (which === 0) assert.deepEqual(await all(stores[1]!), await all(reference));
          }
          const expected = await seenOf(reference);
          for (const store of stores) assert.deepEqual(await seenOf(store), expected);
          await client.query(`SET search_path = ${new URL(place).searchParams.get('schema')!}`);
          merged += (await rowsOf(client)).merged;
        } finally {
          await Promise.all(stores.map((store) => store.close()));
        }
      },
    ),
    // Each run costs too much to look for a shorter one.
    { numRuns: 8, endOnFailure: true },
  );
  assert.ok(merged > 5, `${merged} merged blocks`);
});

test('small blocks become few large ones, and large ones stay where they are', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const store = await opened(address);
  t.after(() => store.close());
  for (let i = 0; i < 16; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
  await store.append([batchOf(...manyEvents(20, (i) => ({ event_id: `large-${i}` })))]);
  await store.append([batchOf(eventWith({ event_id: 'last' }))]);
  await store.merge();
  assert.deepEqual(await rowsOf(client), { blocks: 2, merged: 3, to: 36 });
  assert.equal((await all(store)).length, 37);
  const { rows } = await client.query('SELECT events FROM merged_block ORDER BY first_offset');
  assert.deepEqual(rows, [{ events: 8 }, { events: 8 }, { events: 20 }]);
});

test('a reader never misses or repeats an event while blocks are merged under it', async (t) => {
  const address = await newLog();
  const [store, other] = await Promise.all([opened(address), opened(address)]);
  t.after(() => Promise.all([store.close(), other.close()]));
  const EVENTS = 400;
  const done = new AbortController();
  const reading = (async () => {
    while (!done.signal.aborted) {
      const { lastOffset } = await other.snapshot({ order: 'asc', after: 0 });
      const expected = Array.from({ length: lastOffset }, (_, i) => i + 1);
      const up = await all(other, { upTo: lastOffset });
      assert.deepEqual(up.map(({ offset }) => offset), expected); // prettier-ignore
      const down = await all(other, { upTo: lastOffset, order: 'desc' });
      assert.deepEqual(down.map(({ offset }) => offset).toReversed(), expected); // prettier-ignore
    }
  })();
  for (let i = 0; i < EVENTS; i++) {
    await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
    if (i % 9 === 0) await store.merge();
  }
  done.abort();
  await reading;
});

test('one instance at a time merges, and the next one when its lease has run out', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const store = await opened(address);
  t.after(() => store.close());
  for (let i = 0; i < 10; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
  await client.query("UPDATE merging SET holder = 'another', until = clock_timestamp() + interval '1 hour'");
  await store.merge();
  assert.equal((await rowsOf(client)).merged, 0);
  await client.query('UPDATE merging SET until = clock_timestamp()');
  await store.merge();
  assert.equal((await rowsOf(client)).merged, 1);
});

for (const [what, change] of [
  ['has lost the lease', "holder = 'another', until = clock_timestamp() + interval '1 hour'"],
  ['has slept until the lease ran out', 'until = clock_timestamp()'],
  ['finds that others have merged meanwhile', 'last_offset = 4'],
] as const) {
  test(`an instance that ${what} changes nothing any more`, async (t) => {
    const address = await newLog();
    const client = await beside(t, address);
    const store = await opened(address);
    t.after(() => store.close());
    for (let i = 0; i < 10; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
    // Holds up the exchange, when all is packed.
    await client.query('BEGIN; LOCK TABLE merged_block IN ACCESS EXCLUSIVE MODE');
    const merging = store.merge();
    await exchangeWaits(client);
    await client.query(`UPDATE merging SET ${change}; COMMIT`);
    await merging;
    const { blocks, merged } = await rowsOf(client);
    assert.deepEqual({ blocks, merged }, { blocks: 10, merged: 0 });
  });
}

test('a merge takes no lock that a commit waits for', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const store = await opened(address);
  t.after(() => store.close());
  for (let i = 0; i < 10; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
  // As a merge that stands still in its transaction.
  await client.query(
    'BEGIN; UPDATE merging SET last_offset = last_offset; DELETE FROM block WHERE place = 0',
  );
  const [result] = await store.append([batchOf(eventWith({ event_id: 'new' }))]);
  assert.equal(result!.accepted, 1);
  // And the other way round: a commit that stands still holds up no merge.
  await client.query('ROLLBACK; BEGIN; UPDATE head SET last_offset = last_offset');
  await store.merge();
  await client.query('ROLLBACK');
  assert.equal((await rowsOf(client)).merged, 1);
});

test('a hole in the log is told to a reader, and stops the merging', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const messages: string[] = [];
  const store = await PostgresStore.open(address, ({ message }) => messages.push(message), {
    allowsLoss: true,
    merging: SMALL,
  });
  t.after(() => store.close());
  for (let i = 0; i < 10; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
  await client.query(
    'DELETE FROM block WHERE append_id = (SELECT append_id FROM log WHERE first_offset = 3)',
  );
  await assert.rejects(all(store), /there is no block with offset 3/);
  await assert.rejects(store.merge(), /at offset 3 are not complete/);
});
