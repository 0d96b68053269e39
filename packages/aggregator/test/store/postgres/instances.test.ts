import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Client } from 'pg';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { ACCEPTED } from '../../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { newLog, sharedServer } from '../../support/postgres-server.ts';
import { all } from '../../support/store-suites.ts';
import { until } from '../../support/until.ts';

const INSTANCES = 4;

async function instances(t: TestContext): Promise<PostgresStore[]> {
  const address = await newLog();
  const stores = await Promise.all(
    Array.from({ length: INSTANCES }, () => PostgresStore.open(address, undefined, { allowsLoss: true })),
  );
  t.after(() => Promise.all(stores.map((store) => store.close())));
  return stores;
}

test('instances that append the same events at once, in different orders, store each once and agree on its offset [P-2, P-4, P-5]', async (t) => {
  const stores = await instances(t);
  const EVENTS = 60;
  const ROUNDS = 8;
  const told = new Map<string, Set<number>>();
  let accepted = 0;
  let received = 0;
  await Promise.all(
    stores.map(async (store, place) => {
      for (let round = 0; round < ROUNDS; round++) {
        const events = manyEvents(EVENTS, (i) => ({
          event_id: `${round}-${i}`,
          topic: `t-${round}-${i % 3}`,
        }));
        const mine = place % 2 === 0 ? events : events.toReversed();
        const [result] = await store.append([batchOf(...mine)]);
        received += mine.length;
        for (const [i, { event_id: id }] of mine.entries()) {
          if (result!.verdicts[i] === ACCEPTED) accepted += 1;
          told.set(id, (told.get(id) ?? new Set()).add(result!.offsets[i]!));
        }
      }
    }),
  );
  assert.equal(accepted, EVENTS * ROUNDS);
  for (const [id, offsets] of told) assert.equal(offsets.size, 1, id);
  const logs = await Promise.all(stores.map((store) => all(store)));
  for (const log of logs) assert.deepEqual(log, logs[0]);
  assert.deepEqual(
    logs[0]!.map(({ offset }) => offset),
    Array.from({ length: EVENTS * ROUNDS }, (_, i) => i + 1),
  );
  for (const { event_id: id, offset } of logs[0]!) assert.ok(told.get(id)!.has(offset), id);
  const stats = await stores[0]!.stats();
  assert.deepEqual({ received: stats.received, accepted: stats.accepted }, { received, accepted });
  const topics = await stores[1]!.topics();
  assert.equal(topics.reduce((sum, { events }) => sum + events, 0), accepted); // prettier-ignore
});

test('a watcher on any instance hears of all commits, and a reader that sees an end sees everything below it [P-4]', async (t) => {
  const stores = await instances(t);
  const ends = stores.map(() => 0);
  for (const [i, store] of stores.entries()) {
    t.after(store.watch(0, (news) => (ends[i] = Math.max(ends[i]!, news.lastOffset))));
  }
  const appended = new AbortController();
  const reading = (async () => {
    while (!appended.signal.aborted) {
      const { lastOffset } = await stores[3]!.snapshot({ order: 'asc', after: 0 });
      const seen = await all(stores[2]!, { upTo: lastOffset });
      assert.deepEqual(
        seen.map(({ offset }) => offset),
        Array.from({ length: lastOffset }, (_, i) => i + 1),
      );
    }
  })();
  await Promise.all(
    stores.map(async (store, place) => {
      for (let i = 0; i < 30; i++) await store.append([batchOf(eventWith({ event_id: `${place}-${i}` }))]);
    }),
  );
  appended.abort();
  await reading;
  await until(
    () => `ends ${ends.join()}`,
    () => ends.every((end) => end === INSTANCES * 30),
  );
});

test('counts of topics are brought up to date in the meantime, by whichever instance, and stay true [READ-9]', async (t) => {
  const stores = await instances(t);
  const expected = new Map<string, { events: number; lastOffset: number }>();
  await Promise.all(
    stores.map(async (store, place) => {
      for (let i = 0; i < 280; i++) {
        const topic = `t-${(i * 7 + place) % 5}`;
        const [result] = await store.append([batchOf(eventWith({ topic, event_id: `${place}-${i}` }))]);
        const { events, lastOffset } = expected.get(topic) ?? { events: 0, lastOffset: 0 };
        expected.set(topic, { events: events + 1, lastOffset: Math.max(lastOffset, result!.offsets[0]!) });
      }
    }),
  );
  const told = [...expected].map(([topic, count]) => ({ topic, ...count }));
  for (const store of stores) {
    const counts = await store.topics();
    assert.deepEqual(
      counts.map(({ topic, events, lastOffset }) => ({ topic, events, lastOffset })),
      told.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)),
    );
  }
  await until(
    () => 'counts are settled',
    async () => (await settledTo(stores[0]!)) > 0,
  );
});

/** The end of what the topics' rows tell. */
async function settledTo(store: PostgresStore): Promise<number> {
  const url = new URL(store.about['database']!);
  const { folder } = await sharedServer();
  const client = new Client(`postgres://localhost/postgres?host=${folder}&user=postgres`);
  await client.connect();
  const { rows } = await client.query<{ last_offset: string }>(
    `SELECT last_offset FROM ${url.searchParams.get('schema')}.settled`,
  );
  await client.end();
  return Number(rows[0]!.last_offset);
}
