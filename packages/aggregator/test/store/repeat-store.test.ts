import assert from 'node:assert/strict';
import type { EventBatch } from '../../src/event/event-batch.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import {
  AGE_BOUNDS_MS,
  CONFLICTS_KEPT_MAX,
  type ConflictQuery,
  PERIOD_MS,
  REPEATS_KEPT_MAX,
  type RepeatFilter,
  type RepeatStore,
} from '../../src/store/repeat-store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { expireTo, policyWith } from '../support/letting-go.ts';
import { storeSuites } from '../support/store-suites.ts';
import type { TestClock } from '../support/stores.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;

/** Tests a behaviour on every store. */
function suites(
  behaviour: string,
  run: (store: EventStore, repeats: RepeatStore, clock: TestClock) => Promise<void>,
): void {
  for (const suite of storeSuites()) {
    suite(behaviour, async (store, clock) => {
      await run(store, store.repeats, clock);
    });
  }
}

/** The counts of the buckets that are not empty, by the bucket's bound in milliseconds. */
async function agesOf(repeats: RepeatStore, filter: RepeatFilter = {}) {
  const { duplicates, conflicts } = await repeats.ages(filter);
  assert.equal(duplicates.length, AGE_BOUNDS_MS.length + 1);
  const counts: Record<string, [duplicates: number, conflicts: number]> = {};
  for (const [i, count] of duplicates.entries()) {
    if (count > 0) counts[AGE_BOUNDS_MS[i] ?? 'more'] = [count, conflicts[i]!];
  }
  return counts;
}

async function conflictsOf(repeats: RepeatStore, query: Partial<ConflictQuery> = {}) {
  const found = [];
  for (let before: number | null = null; ;) {
    const page = await repeats.conflicts({ limit: 2, ...query, before });
    found.push(...page.conflicts);
    if (page.next === null) return found;
    before = page.next;
  }
}

function publishedBy(publisher: string, batch: EventBatch): EventBatch {
  return { ...batch, publisher };
}

const payload = (text: string) => ({ payload: { text } });

suites('each repeat is counted by its age, in one bucket [DUP-1]', async (store, repeats, clock) => {
  const sinceMs = await repeats.sinceMs();
  assert.ok(Math.abs(sinceMs - clock.ms) < 600_000);
  await store.append([batchOf(eventWith(), eventWith())]);
  assert.deepEqual(await agesOf(repeats), { 1000: [1, 0] });
  const startMs = clock.ms;
  const expected: Record<string, [number, number]> = { 1000: [1, 0] };
  for (const boundMs of AGE_BOUNDS_MS) {
    clock.ms = startMs + boundMs * 0.98;
    await store.append([batchOf(eventWith(), eventWith(payload('other')))]);
    const [duplicates, conflicts] = expected[boundMs] ?? [0, 0];
    expected[boundMs] = [duplicates + 2, conflicts + 1];
    assert.deepEqual(await agesOf(repeats), expected);
  }
  clock.ms = startMs + AGE_BOUNDS_MS.at(-1)! * 1.02;
  await store.append([batchOf(eventWith())]);
  assert.deepEqual(await agesOf(repeats), { ...expected, more: [1, 0] });
  assert.equal(await repeats.sinceMs(), sinceMs);
  const total = (await repeats.ages({})).duplicates.reduce((sum, count) => sum + count, 0);
  assert.equal(total, (await store.stats()).duplicates);
});

suites('ages are told of topics by pattern, and of a source [DUP-1]', async (store, repeats, clock) => {
  const events = ['orders.eu', 'orders.us', 'bills'].map((topic) => eventWith({ topic }));
  await store.append([batchOf(...events)]);
  clock.ms += 5 * SECOND_MS;
  // Of another source, so they are conflicts.
  await store.append([batchOf(...events), batchOf(...events.map((event) => ({ ...event, source: 'app' })))]);
  assert.deepEqual(await agesOf(repeats), { 10000: [6, 3] });
  assert.deepEqual(await agesOf(repeats, { source: 'app' }), { 10000: [3, 3] });
  assert.deepEqual(await agesOf(repeats, { topic: 'bills' }), { 10000: [2, 1] });
  assert.deepEqual(await agesOf(repeats, { topicPatterns: [['orders.*']] }), { 10000: [4, 2] });
  assert.deepEqual(await agesOf(repeats, { topicPatterns: [['orders.*']], source: 'web' }), {
    10000: [2, 0],
  });
  assert.deepEqual(await agesOf(repeats, { topic: 'unknown' }), {});
});

suites('an event tells its story: the first one, and each repeat [DUP-2]', async (store, repeats, clock) => {
  const firstMs = clock.ms;
  assert.equal(await repeats.history('orders', 'e-1'), undefined);
  await store.append([publishedBy('till', batchOf(eventWith(), eventWith({ event_id: 'e-2' })))]);
  const first = { offset: 1, receivedMs: firstMs, source: 'web' };
  assert.deepEqual(await repeats.history('orders', 'e-1'), {
    ...first,
    duplicates: 0,
    conflicts: 0,
    repeats: [],
  });
  clock.ms += SECOND_MS;
  await store.append([
    publishedBy('till', batchOf(eventWith())),
    batchOf(eventWith({ source: 'app' })),
    publishedBy('phone', batchOf(eventWith({ event_id: 'e-2' }), eventWith())),
  ]);
  const at = { receivedMs: firstMs + SECOND_MS };
  assert.deepEqual(await repeats.history('orders', 'e-1'), {
    ...first,
    duplicates: 3,
    conflicts: 1,
    repeats: [
      { ...at, isConflict: false, source: 'web', publisher: 'phone' },
      { ...at, isConflict: true, source: 'app', publisher: null },
      { ...at, isConflict: false, source: 'web', publisher: 'till' },
    ],
  });
});

suites(
  'of many repeats the last ones are told, and all are counted [DUP-2]',
  async (store, repeats, clock) => {
    await store.append([batchOf(eventWith())]);
    for (let i = 1; i <= 20; i++) {
      clock.ms += SECOND_MS;
      await store.append([batchOf(eventWith(), eventWith({ source: `s${i}` }))]);
    }
    const history = (await repeats.history('orders', 'e-1'))!;
    assert.deepEqual([history.duplicates, history.conflicts], [40, 20]);
    assert.equal(history.repeats.length, REPEATS_KEPT_MAX);
    assert.deepEqual(history.repeats[0], {
      receivedMs: clock.ms,
      isConflict: true,
      source: 's20',
      publisher: null,
    });
    assert.equal(history.repeats.at(-1)!.receivedMs, clock.ms - 15 * SECOND_MS);
  },
);

suites('topics and sources are told by how much they repeat [DUP-3]', async (store, repeats, clock) => {
  clock.ms = Math.ceil(clock.ms / PERIOD_MS) * PERIOD_MS;
  const startMs = clock.ms;
  await store.append([batchOf(...['a', 'b', 'c'].map((topic) => eventWith({ topic })))]);
  const repeat = (topic: string, source: string, times: number) =>
    batchOf(...Array.from({ length: times }, () => eventWith({ topic, source })));
  await store.append([repeat('a', 'web', 3), repeat('b', 'app', 1)]);
  clock.ms += 2 * HOUR_MS;
  await store.append([repeat('b', 'web', 1), repeat('c', 'app', 1)]);
  const told = async (by: 'topic' | 'source', sinceMs: number | null, limit = 10) => {
    const { repeaters, unnamed } = await repeats.repeaters({ by, sinceMs, limit });
    assert.deepEqual(unnamed, { duplicates: 0, conflicts: 0 });
    return repeaters.map(({ name, duplicates, conflicts }) => [name, duplicates, conflicts]);
  };
  assert.deepEqual(await told('topic', null), [
    ['a', 3, 0],
    ['b', 2, 1],
    ['c', 1, 1],
  ]);
  assert.deepEqual(await told('source', null), [
    ['web', 4, 0],
    ['app', 2, 2],
  ]);
  assert.deepEqual(await told('topic', null, 1), [['a', 3, 0]]);
  assert.deepEqual(await told('topic', startMs + HOUR_MS), [
    ['b', 1, 0],
    ['c', 1, 1],
  ]);
  assert.deepEqual(await told('source', startMs - HOUR_MS), await told('source', null));
});

suites(
  'conflicts keep the text that lost, and are told page by page [DUP-4]',
  async (store, repeats, clock) => {
    await store.append([batchOf(...manyEvents(5, (i) => ({ topic: i < 3 ? 'orders' : 'bills' })))]);
    clock.ms += SECOND_MS;
    const losers = manyEvents(5, (i) => ({ topic: i < 3 ? 'orders' : 'bills', ...payload(`"ü ${i}"`) }));
    await store.append([publishedBy('till', batchOf(...losers.slice(0, 4)))]);
    await store.append([batchOf({ ...losers[4]!, source: 'app' })]);
    const conflicts = await conflictsOf(repeats);
    assert.deepEqual(
      conflicts.map(({ number }) => number),
      [5, 4, 3, 2, 1],
    );
    const { text, ...last } = conflicts[4]!;
    assert.deepEqual(last, {
      number: 1,
      topic: 'orders',
      eventId: 'e-1',
      source: 'web',
      offset: 1,
      receivedMs: clock.ms,
      publisher: 'till',
    });
    assert.deepEqual(JSON.parse(text!), losers[0]);
    const numbers = async (query: Partial<ConflictQuery>) =>
      (await conflictsOf(repeats, query)).map(({ number }) => number);
    assert.deepEqual(await numbers({ topic: 'bills' }), [5, 4]);
    assert.deepEqual(await numbers({ topicPatterns: [['>']], limit: 3 }), [5, 4, 3, 2, 1]);
    assert.deepEqual(await numbers({ source: 'app' }), [5]);
    assert.deepEqual(await numbers({ topic: 'bills', source: 'web' }), [4]);
  },
);

suites('the oldest conflicts give way to newer ones [DUP-4]', async (store, repeats) => {
  await store.append([batchOf(eventWith())]);
  const per = 2500;
  for (let i = 0; i < CONFLICTS_KEPT_MAX + per; i += per) {
    await store.append([batchOf(...Array.from({ length: per }, (_, k) => eventWith(payload(`${i + k}`))))]);
    // As they come, and not only in the end.
    assert.equal((await repeats.conflicts({ before: null, limit: 1 })).conflicts[0]!.number, i + per);
  }
  const page = await repeats.conflicts({ before: per + 3, limit: 1000 });
  assert.deepEqual(page.next, null);
  assert.deepEqual(
    page.conflicts.map(({ number }) => number),
    [per + 2, per + 1],
  );
});

suites(
  'of more conflicts in one commit than are kept the last ones are told [DUP-4]',
  async (store, repeats) => {
    await store.append([batchOf(eventWith())]);
    const count = CONFLICTS_KEPT_MAX + 5;
    const losers = Array.from({ length: count }, (_, i) => eventWith(payload(`${i}`)));
    await store.append([batchOf(...losers)]);
    const { conflicts, next } = await repeats.conflicts({ before: 9, limit: 1000 });
    assert.deepEqual(
      conflicts.map(({ number, text }) => [number, JSON.parse(text!)]),
      [8, 7, 6].map((number) => [number, losers[number - 1]]),
    );
    assert.equal(next, null);
    const [last] = (await repeats.conflicts({ before: null, limit: 1 })).conflicts;
    assert.deepEqual([last!.number, JSON.parse(last!.text!)], [count, losers.at(-1)]);
    assert.deepEqual(await agesOf(repeats), { 1000: [count, count] });
  },
);

suites(
  "a conflict's text goes with the text it lost to, and all of it with the id [DUP-5]",
  async (store, repeats) => {
    const { retention } = store;
    const events = ['a', 'b', 'c', 'd'].map((topic) => eventWith({ topic }));
    await store.append([batchOf(...events)]);
    await store.append([batchOf(...events.map((event) => ({ ...event, source: 'app' })))]);
    const texts = async () =>
      (await conflictsOf(repeats)).map(({ topic, text }) => `${topic}${text === null ? '' : '+'}`);
    assert.deepEqual(await texts(), ['d+', 'c+', 'b+', 'a+']);
    assert.equal(await expireTo(retention, 4, 'a'), 1);
    await retention.erase('b', 'e-1', false);
    await retention.erase('c', 'e-1', true);
    assert.deepEqual(await texts(), ['d+', 'b', 'a']);
    assert.deepEqual(
      await repeats.history('a', 'e-1').then((history) => [history?.source, history?.duplicates]),
      [null, 1],
    );
    assert.equal(await repeats.history('c', 'e-1'), undefined);
    // A new event under the id begins a story of its own.
    await store.append([batchOf(eventWith({ topic: 'c' }))]);
    const again = await repeats.history('c', 'e-1');
    assert.deepEqual([again?.offset, again?.duplicates, again?.repeats], [5, 0, []]);
    // What was counted stays counted.
    assert.deepEqual(await agesOf(repeats), { 1000: [4, 4] });
  },
);

suites('of a topic that keeps only ids no text of a conflict is kept [DUP-5]', async (store, repeats) => {
  await store.retention.put(policyWith({ topics: ['t'], keep: 'ids' }));
  await store.append([batchOf(eventWith({ topic: 't' }), eventWith({ topic: 't', source: 'app' }))]);
  const [conflict] = await conflictsOf(repeats);
  assert.deepEqual([conflict?.source, conflict?.text], ['app', null]);
  const history = await repeats.history('t', 'e-1');
  assert.deepEqual([history?.source, history?.conflicts], [null, 1]);
});
