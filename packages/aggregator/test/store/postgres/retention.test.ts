import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ACCEPTED, DUPLICATE, type EventStore } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { verifyDatabase } from '../../../src/store/postgres/verify.ts';
import type { Expiry, ForgetQuery, RetentionStore } from '../../../src/store/retention-store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { expireTo, policyWith } from '../../support/letting-go.ts';
import { TO_FORMAT_1 } from '../../support/older-schema.ts';
import { beginReaders, beside, exchangeWaits, newLog } from '../../support/postgres-server.ts';
import { all } from '../../support/store-suites.ts';
import type { Scope } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

/** Small enough that a dozen events are merged, passed as too large, and left to wait. */
const SMALL = { eventsMax: 8, largeEvents: 6, waitingMax: 8 };

async function opened(t: Scope, address: string, now?: () => number): Promise<PostgresStore> {
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true, merging: SMALL, now });
  t.after(() => store.close());
  return store;
}

/** Ten single events, ready to be merged. */
async function filled(store: EventStore): Promise<void> {
  for (let i = 1; i <= 10; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
}

async function offsetsOf(store: EventStore): Promise<number[]> {
  return (await all(store)).map(({ offset }) => offset);
}

async function forgotten(retention: RetentionStore, query: ForgetQuery): Promise<number> {
  for (let ids = 0; ;) {
    const some = await retention.forget(query);
    ids += some.ids;
    if (some.isDone) return ids;
  }
}

test('a merge that has read blocks whose texts are let go of meanwhile brings none back', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const [store, other] = [await opened(t, address), await opened(t, address)];
  for (const large of [1, 12]) {
    for (let i = 0; i < 10; i++) {
      await store.append([
        batchOf(...manyEvents(large, (place) => ({ event_id: `${large}-${i}-${place}` }))),
      ]);
    }
    const { lastOffset } = await store.snapshot({ order: 'asc', after: 0 });
    // Holds up the exchange, when all is packed, or the passing.
    await client.query('BEGIN; LOCK TABLE merged_block IN SHARE MODE');
    const merging = store.merge();
    await exchangeWaits(client);
    await expireTo(other.retention, lastOffset - 1);
    await client.query('COMMIT');
    await merging;
    const { rows } = await client.query('SELECT FROM merged_block WHERE first_offset > $1', [lastOffset - 10 * large]); // prettier-ignore
    assert.equal(rows.length, 0, 'it changes nothing');
    await store.merge();
    for (const one of [store, other]) assert.deepEqual(await offsetsOf(one), [lastOffset]);
    assert.deepEqual((await verifyDatabase(address)).problems, []);
  }
});

test('every instance notices at once that a block was rewritten, whatever it has kept of it', async (t) => {
  const address = await newLog();
  const [store, other] = [await opened(t, address), await opened(t, address)];
  await filled(store);
  await store.merge();
  assert.equal((await offsetsOf(other)).length, 10);
  assert.equal((await other.topics())[0]!.firstOffset, 1);
  for (let upTo = 1; upTo <= 10; upTo++) {
    assert.equal(await expireTo(store.retention, upTo), 1);
    assert.equal((await offsetsOf(other)).length, 10 - upTo);
    assert.equal((await other.topics())[0]!.firstOffset, upTo === 10 ? 0 : upTo + 1);
  }
  assert.deepEqual((await verifyDatabase(address)).problems, []);
});

test('a policy is in force on every instance once it was answered', async (t) => {
  const address = await newLog();
  const [store, other] = [await opened(t, address), await opened(t, address)];
  await other.append([batchOf(eventWith({ topic: 'seen', event_id: 'before' }))]);
  for (let i = 0; i < 3; i++) {
    await store.retention.put(policyWith({ name: 'seen', topics: ['seen'], keep: 'ids' }));
    const [bare] = await other.append([batchOf(eventWith({ topic: 'seen', event_id: `bare-${i}` }))]);
    assert.deepEqual(bare!.bare, Uint8Array.of(1));
    await other.retention.remove('seen');
    const [kept] = await store.append([batchOf(eventWith({ topic: 'seen', event_id: `kept-${i}` }))]);
    assert.equal(kept!.bare, null);
  }
  assert.deepEqual(await offsetsOf(store), [1, 3, 5, 7]);
});

test('an id that was forgotten on one instance is known on no other', async (t) => {
  const address = await newLog();
  const [store, other] = [await opened(t, address), await opened(t, address)];
  const publish = async (one: EventStore) =>
    (await one.append([batchOf(eventWith({ event_id: 'e' }))]))[0]!.verdicts[0];
  assert.equal(await publish(store), ACCEPTED);
  assert.equal(await publish(other), DUPLICATE);
  await store.retention.erase('orders', 'e', true);
  assert.equal(await publish(other), ACCEPTED);
  assert.equal(await publish(store), DUPLICATE);
  assert.deepEqual((await verifyDatabase(address)).problems, []);
});

test('two policies that overlap are never both put, whichever instances are asked', async (t) => {
  const address = await newLog();
  const stores = [await opened(t, address), await opened(t, address)];
  // Else the first might be done before the others have a session.
  await Promise.all(stores.map(beginReaders));
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, (_, i) => stores[i % 2]!.retention.put(policyWith({ name: `p-${i}` }))),
  );
  assert.equal(outcomes.filter(({ kind }) => kind === 'created').length, 1);
  assert.equal((await stores[0]!.retention.policies()).length, 1);
});

test('one instance does the work of the policies, and another one when it has gone', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const [store, other] = [await opened(t, address), await opened(t, address)];
  assert.equal(await store.retention.claim(), true);
  assert.equal(await other.retention.claim(), false);
  assert.equal(await store.retention.claim(), true);
  await client.query('UPDATE retention SET until = clock_timestamp()');
  assert.equal(await other.retention.claim(), true);
  assert.equal(await store.retention.claim(), false);
  await other.close();
  assert.equal(await store.retention.claim(), true);
});

test('other instances hear of what expires, and of what nobody could notify', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const [store, other] = [await opened(t, address), await opened(t, address)];
  await filled(store);
  const told: Expiry[] = [];
  t.after(other.retention.watch((expiry) => told.push(expiry)));
  await expireTo(store.retention, 3);
  await until(
    () => JSON.stringify(told),
    () => told.some(({ from, upTo }) => from === 1 && upTo === 3),
  );
  told.length = 0;
  await client.query('UPDATE retention SET expiries = expiries + 1');
  await until(
    () => JSON.stringify(told),
    () => told.some(({ from, upTo }) => from === 1 && upTo === 10),
  );
});

test('an append waits for nothing that lets go, and lets go of nothing that waits', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const store = await opened(t, address);
  await filled(store);
  // As an instance that stands still in its transaction.
  await client.query(
    'BEGIN; SELECT FROM merging, settled FOR UPDATE; UPDATE block SET version = version + 1',
  );
  await client.query('UPDATE topic SET expired = expired; UPDATE retention SET expiries = expiries');
  const [result] = await store.append([batchOf(eventWith({ event_id: 'new' }))]);
  assert.equal(result!.accepted, 1);
  await client.query('ROLLBACK; BEGIN; UPDATE head SET last_offset = last_offset');
  assert.equal(await expireTo(store.retention, 3), 3);
  await client.query('ROLLBACK');
});

test('instances that let go of the same events at once let go of each once', async (t) => {
  const address = await newLog();
  const stores = [await opened(t, address), await opened(t, address), await opened(t, address)];
  await stores[0]!.append([batchOf(...manyEvents(200, (i) => ({ topic: `t-${i % 3}` })))]);
  await filled(stores[0]!);
  const gone = await Promise.all(stores.map((store) => expireTo(store.retention, 150)));
  assert.equal(gone.reduce((sum, events) => sum + events, 0), 150); // prettier-ignore
  const committedBeforeMs = Date.now() + 1e6;
  const ids = await Promise.all(stores.map((store) => forgotten(store.retention, { committedBeforeMs })));
  assert.equal(ids.reduce((sum, some) => sum + some, 0), 150); // prettier-ignore
  assert.deepEqual((await verifyDatabase(address)).problems, []);
});

test('ids are forgotten although more events than one step looks at are kept before them', async (t) => {
  const store = await opened(t, await newLog());
  for (let i = 0; i < 5; i++) {
    await store.append([batchOf(...manyEvents(2000, (place) => ({ event_id: `${i}-${place}` })))]);
  }
  await store.append([batchOf(eventWith({ topic: 'gone' }))]);
  await expireTo(store.retention, 1e9, 'gone');
  assert.equal(await forgotten(store.retention, { committedBeforeMs: Date.now() + 1e6 }), 1);
  assert.equal(await forgotten(store.retention, { committedBeforeMs: Date.now() + 1e6 }), 0);
});

test('a log of the version before is brought up to date, and knows how many bytes its texts have', async (t) => {
  const address = await newLog();
  const client = await beside(t, address);
  const before = await opened(t, address);
  await filled(before);
  await before.append([batchOf(...manyEvents(20, (i) => ({ topic: `t-${i % 2}` })))]);
  await before.merge();
  await before.append([batchOf(eventWith({ event_id: 'last' }))]);
  const topics = await before.topics();
  await before.close();
  await client.query(TO_FORMAT_1);
  const store = await opened(t, address);
  assert.deepEqual(await store.topics(), topics);
  assert.equal(await expireTo(store.retention, 31), 31);
  assert.deepEqual(await offsetsOf(store), []);
  assert.deepEqual((await verifyDatabase(address)).problems, []);
});

const TOPICS = ['t', 'u', 'v.w', 'é'];
const anEvent = fc
  .record({
    event_id: fc.integer({ min: 0, max: 60 }).map(String),
    topic: fc.constantFrom(...TOPICS),
    source: fc.constantFrom('web', 'app'),
    payload: fc.constantFrom({}, { message: 'x'.repeat(200) }, { n: 1 }),
  })
  .map(eventWith);
const aTopic = fc.constantFrom(...TOPICS);
const aStep = fc.oneof(
  { weight: 6, arbitrary: fc.record({ append: fc.array(anEvent, { minLength: 1, maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ append: fc.array(anEvent, { minLength: 5, maxLength: 12 }) }) },
  { weight: 2, arbitrary: fc.constant('merge' as const) },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
  { weight: 2, arbitrary: fc.record({ expire: fc.option(aTopic), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  { weight: 2, arbitrary: fc.record({ erase: fc.tuple(aTopic, fc.integer({ min: 0, max: 60 }).map(String), fc.boolean()) }) },
  { weight: 1, arbitrary: fc.record({ forget: fc.option(aTopic), agoMs: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ bare: aTopic, isPut: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ dueEvents: fc.nat(20), dueBytes: fc.nat(4000) }) },
); // prettier-ignore
type Step = typeof aStep extends fc.Arbitrary<infer T> ? T : never;

/** Does a step, and returns what is told of it. */
async function told(store: EventStore, step: Step, nowMs: number): Promise<unknown> {
  const retention = store.retention;
  if (typeof step === 'string') return null;
  if ('append' in step) {
    const [result] = await store.append([batchOf(...step.append)]);
    return { ...result, syncMs: 0 };
  }
  if ('expire' in step) {
    const { lastOffset } = await store.snapshot({ order: 'asc', after: 0 });
    return expireTo(retention, Math.ceil(lastOffset * step.share), step.expire ?? '>');
  }
  if ('erase' in step) return retention.erase(...step.erase);
  if ('forget' in step) {
    const filter = step.forget === null ? {} : { topic: step.forget };
    return forgotten(retention, { ...filter, committedBeforeMs: nowMs - step.agoMs });
  }
  if ('bare' in step) {
    const policy = policyWith({ name: step.bare, topics: [step.bare], keep: 'ids' });
    return step.isPut ? retention.put(policy) : retention.remove(step.bare);
  }
  const { dueEvents: eventsMax, dueBytes: bytesMax } = step;
  return retention.due({ committedBeforeMs: nowMs - 30, eventsMax, bytesMax, upTo: 1e9 });
}

async function seenOf(store: EventStore): Promise<unknown> {
  const { storedBytes: _, ...stats } = await store.stats();
  const found = [];
  for (const topic of TOPICS) for (let i = 0; i < 60; i += 7) found.push(await store.find(topic, `${i}`));
  return {
    stats,
    topics: await store.topics(),
    up: await all(store, { eventsMax: 7 }),
    down: await all(store, { order: 'desc', eventsMax: 5 }),
    topic: await all(store, { topic: 'u' }),
    source: await all(store, { source: 'app' }),
    snapshots: [
      await store.snapshot({ order: 'asc', after: 0 }),
      await store.snapshot({ order: 'asc', after: 0, topic: 't' }),
      await store.snapshot({ order: 'asc', after: 3, source: 'web' }),
    ],
    found,
  };
}

test('whatever is appended, merged and let go of, on whichever instance, all tell what the reference tells [RET-3, RET-4, RET-5, RET-6, RET-7, RET-8]', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(aStep, fc.nat(2)), { minLength: 20, maxLength: 60 }),
      async (steps) => {
        const place = await newLog();
        let ms = Date.parse('2026-01-01');
        const now = (): number => ms;
        const open = () => PostgresStore.open(place, undefined, { allowsLoss: true, merging: SMALL, now });
        const reference = new MemoryStore(now);
        const stores = await Promise.all([open(), open(), open()]);
        try {
          for (const [step, which] of steps) {
            ms += 1 + which;
            if (step === 'merge') await stores[which]!.merge();
            else if (step === 'restart') {
              await stores[which]!.close();
              stores[which] = await open();
            } else {
              assert.deepEqual(await told(stores[which]!, step, ms), await told(reference, step, ms));
            }
          }
          const expected = await seenOf(reference);
          for (const store of stores) assert.deepEqual(await seenOf(store), expected);
          assert.deepEqual((await verifyDatabase(place)).problems, []);
        } finally {
          await Promise.all(stores.map((store) => store.close()));
        }
      },
    ),
    // Each run costs too much to look for a shorter one.
    { numRuns: 10, endOnFailure: true },
  );
});
