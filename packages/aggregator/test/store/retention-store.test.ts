import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCEPTED, CONFLICT, DUPLICATE, type EventStore, START } from '../../src/store/event-store.ts';
import type { DueQuery, Expiry, RetentionStore } from '../../src/store/retention-store.ts';
import { governedBy } from '../../src/store/policies.ts';
import type { TopicFilter } from '../../src/store/topic-filter.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { expireTo, policyWith } from '../support/letting-go.ts';
import { all, storeSuites } from '../support/store-suites.ts';
import type { TestClock } from '../support/stores.ts';

const DAY_MS = 86_400_000;

type Run = (store: EventStore, retention: RetentionStore, clock: TestClock) => Promise<void>;

/** Tests a behaviour on every store that lets go. */
function suites(behaviour: string, run: Run): void {
  for (const suite of storeSuites()) {
    suite(behaviour, async (store, clock) => {
      await run(store, store.retention, clock);
    });
  }
}

async function forgetBefore(retention: RetentionStore, committedBeforeMs: number): Promise<number> {
  for (let ids = 0; ;) {
    const some = await retention.forget({ committedBeforeMs });
    ids += some.ids;
    if (some.isDone) return ids;
  }
}

async function offsetsOf(store: EventStore, query: Parameters<typeof all>[1] = {}): Promise<number[]> {
  return (await all(store, query)).map(({ offset }) => offset);
}

/** What readers of the whole log pass over, page by page, and what a snapshot says of it. */
async function expiredIn(store: EventStore, query: { topic?: string; order?: 'asc' | 'desc' } = {}) {
  const { order = 'asc' } = query;
  let expired = 0;
  for (let after: number | null = START[order]; after !== null;) {
    const page = await store.read({ ...query, order, after, upTo: 1e9, eventsMax: 3, framing: 'array' });
    expired += page.expired;
    after = page.resumeAfter;
  }
  const snapshot = await store.snapshot({ ...query, order, after: START[order] });
  assert.equal(snapshot.expired, expired);
  return expired;
}

const NOTHING_DUE = {
  committedBeforeMs: null,
  eventsMax: null,
  bytesMax: null,
  upTo: 1e9,
} satisfies DueQuery;

test('this suite runs on a store', () => assert.ok(storeSuites().length > 0));

suites('policies are kept by name, and putting one again changes nothing [RET-1]', async (_, retention) => {
  const [b, a] = [
    policyWith({ name: 'b', topics: ['b.>'] }),
    policyWith({ name: 'a', topics: ['a.*', 'x'] }),
  ];
  assert.deepEqual(await retention.put(b), { kind: 'created' });
  assert.deepEqual(await retention.put(a), { kind: 'created' });
  assert.deepEqual(await retention.put(a), { kind: 'same' });
  const changed = { ...a, maxAgeMs: 30 * DAY_MS, idsMs: 60 * DAY_MS, pastGroups: true, heldMaxMs: DAY_MS };
  assert.deepEqual(await retention.put(changed), { kind: 'changed' });
  assert.deepEqual(await retention.policies(), [changed, b]);
  assert.equal(await retention.remove('a'), true);
  assert.equal(await retention.remove('a'), false);
  assert.deepEqual(await retention.policies(), [b]);
});

suites('a policy that overlaps another one is refused, and nothing changes [RET-2]', async (_, retention) => {
  await retention.put(policyWith({ name: 'orders', topics: ['orders.>', 'bills'] }));
  const overlapping = policyWith({ name: 'eu', topics: ['x', '*.eu'] });
  assert.deepEqual(await retention.put(overlapping), {
    kind: 'overlaps',
    name: 'orders',
    pattern: '*.eu',
    other: 'orders.>',
  });
  assert.equal((await retention.policies()).length, 1);
  assert.deepEqual(await retention.put({ ...overlapping, topics: ['x', '*.eu.*'] }), {
    kind: 'overlaps',
    name: 'orders',
    pattern: '*.eu.*',
    other: 'orders.>',
  });
  assert.deepEqual(await retention.put({ ...overlapping, topics: ['orders'] }), { kind: 'created' });
});

suites(
  'a policy whose patterns lie within those of another is an exception, and what each governs can be asked for alone [RET-2, RET-6]',
  async (store, retention) => {
    const rule = policyWith({ name: 'rule', topics: ['>'], keep: 'ids' });
    const orders = policyWith({ name: 'orders', topics: ['orders.>'] });
    const inner = policyWith({ name: 'inner', topics: ['orders.eu', 'bills'], keep: 'ids' });
    const policies = [rule, orders, inner];
    for (const policy of policies) assert.deepEqual(await retention.put(policy), { kind: 'created' });
    const topics = ['a', 'orders.eu', 'orders.us', 'orders.us.x', 'bills', 'orders'];
    const publish = async (name: string) =>
      store.append([batchOf(...topics.map((topic) => eventWith({ topic, event_id: name })))]);
    const [first] = await publish('1');
    assert.deepEqual([...first!.bare!], [1, 1, 0, 0, 1, 1]);
    await retention.remove('rule');
    await retention.remove('inner');
    await publish('2');
    assert.deepEqual(await offsetsOf(store), [3, 4, 7, 8, 9, 10, 11, 12]);

    const [ofRule, ofOrders, ofInner] = policies.map((policy) => governedBy(policies, policy)) as [TopicFilter, TopicFilter, TopicFilter]; // prettier-ignore
    for (const [filter, offsets, count] of [
      [ofRule, [7, 12], 2],
      [ofOrders, [3, 4, 9, 10], 4],
      [ofInner, [8, 11], 2],
    ] as const) {
      assert.deepEqual(await offsetsOf(store, filter), offsets);
      assert.equal((await store.snapshot({ ...filter, order: 'asc', after: 0 })).count, count);
      assert.equal((await store.topics(filter)).length, 2);
      assert.equal(
        await store.countAt(
          Float64Array.from({ length: 12 }, (_, i) => i + 1),
          filter,
        ),
        count,
      );
      const { events, upTo } = await retention.due({ ...NOTHING_DUE, ...filter, eventsMax: 1 });
      assert.deepEqual([events, upTo], [count - 1, offsets.at(-2)]);
    }
    for (let isDone = false; !isDone;) ({ isDone } = await retention.expire({ ...ofOrders, upTo: 9 }));
    assert.deepEqual(await offsetsOf(store), [7, 8, 10, 11, 12]);
    let ids = 0;
    for (let isDone = false; !isDone;) {
      const some = await retention.forget({ ...ofRule, committedBeforeMs: Number.MAX_SAFE_INTEGER });
      ids += some.ids;
      ({ isDone } = some);
    }
    assert.equal(ids, 2);
    const [again] = await publish('1');
    assert.deepEqual(
      [...again!.verdicts],
      topics.map((topic) => (topic === 'a' || topic === 'orders' ? ACCEPTED : DUPLICATE)),
    );
  },
);

suites(
  'what comes to topics that had nothing to let go of expires all the same [RET-3]',
  async (store, retention) => {
    assert.equal(await expireTo(retention, 0, 't'), 0);
    await store.append([
      batchOf(eventWith({ topic: 't', event_id: '1' }), eventWith({ topic: 'u', event_id: '1' })),
    ]);
    assert.equal(await expireTo(retention, 2, 't'), 1);
    assert.equal(await expireTo(retention, 2, 't'), 0);
    await store.append([batchOf(eventWith({ topic: 't', event_id: '2' }))]);
    assert.equal(await expireTo(retention, 3, 't'), 1);
  },
);

suites(
  'what has expired in a block stays gone when the block changes once more [RET-3]',
  async (store, retention) => {
    // More than once, because a step lets go of one block or of both, as time allows.
    for (let end = 4; end <= 24; end += 4) {
      for (const name of ['a', 'b']) {
        const pair = manyEvents(2, (i) => ({ topic: i === 0 ? 'even' : 'odd', event_id: `${end}-${name}` }));
        await store.append([batchOf(...pair)]);
      }
      assert.equal(await expireTo(retention, end, 'odd'), 2);
      assert.equal((await retention.erase('even', `${end}-b`, false))?.offset, end - 1);
    }
    assert.deepEqual(await offsetsOf(store), [1, 5, 9, 13, 17, 21]);
    const counts = (await store.topics()).map(({ topic, events, expired }) => ({ topic, events, expired }));
    assert.deepEqual(counts, [
      { topic: 'even', events: 6, expired: 6 },
      { topic: 'odd', events: 0, expired: 12 },
    ]);
  },
);

suites('expired events are passed over, counted, and still known [RET-3]', async (store, retention) => {
  await store.append([batchOf(...manyEvents(10, (i) => ({ topic: i % 2 === 0 ? 'even' : 'odd' })))]);
  assert.equal(await expireTo(retention, 5, 'odd'), 2);
  assert.deepEqual(await offsetsOf(store), [1, 3, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(await offsetsOf(store, { order: 'desc' }), [10, 9, 8, 7, 6, 5, 3, 1]);
  assert.deepEqual(await offsetsOf(store, { topic: 'odd' }), [6, 8, 10]);
  assert.equal(await expiredIn(store), 2);
  assert.equal(await expiredIn(store, { order: 'desc' }), 2);
  assert.equal(await expiredIn(store, { topic: 'odd' }), 2);
  assert.equal(await expiredIn(store, { topic: 'even' }), 0);
  const found = await store.find('odd', 'e-2');
  assert.ok(typeof found === 'object');
  assert.equal(found.offset, 2);
  const [again] = await store.append([
    batchOf(
      eventWith({ topic: 'odd', event_id: 'e-2' }),
      eventWith({ topic: 'odd', event_id: 'e-2', source: 'other' }),
    ),
  ]);
  assert.deepEqual(
    [[...again!.verdicts], [...again!.offsets]],
    [
      [DUPLICATE, CONFLICT],
      [2, 2],
    ],
  );
  assert.deepEqual(await offsetsOf(store, { after: 2 }), [3, 5, 6, 7, 8, 9, 10]);
});

suites('topics and books tell what is kept and what is not [RET-4]', async (store, retention) => {
  await store.append([batchOf(...manyEvents(6, (i) => ({ topic: i < 4 ? 'a' : 'b' })))]);
  const [a] = await store.topics();
  await expireTo(retention, 5);
  const topics = await store.topics();
  const bytes = a!.bytes / 4;
  assert.deepEqual(topics, [
    { topic: 'a', events: 0, bytes: 0, expired: 4, bare: 0, firstOffset: 0, lastOffset: 4 },
    { topic: 'b', events: 1, bytes, expired: 1, bare: 0, firstOffset: 6, lastOffset: 6 },
  ]);
  const { accepted, expired, bare, firstOffset } = await store.stats();
  assert.deepEqual(
    { accepted, expired, bare, firstOffset },
    { accepted: 6, expired: 5, bare: 0, firstOffset: 6 },
  );
  assert.deepEqual(await store.snapshot({ order: 'asc', after: 0 }), { lastOffset: 6, count: 1, expired: 5 });
  await store.append([batchOf(eventWith({ topic: 'a', event_id: 'new' }))]);
  assert.equal((await store.topics())[0]!.firstOffset, 7);
});

suites(
  'what is due goes by age, by number and by bytes, the oldest first [RET-5]',
  async (store, retention, clock) => {
    for (let i = 1; i <= 6; i++) {
      await store.append([batchOf(eventWith({ event_id: `${i}`, topic: i === 3 ? 'u' : 't' }))]);
      clock.ms += 1000;
    }
    const bytes = (await store.topics({ topic: 'u' }))[0]!.bytes;
    const due = async (change: Partial<DueQuery>) => {
      const {
        events,
        bytes: dueBytes,
        upTo,
        oldestKept,
      } = await retention.due({ ...NOTHING_DUE, ...change });
      assert.equal(dueBytes, events * bytes);
      return [events, upTo, oldestKept?.offset ?? null];
    };
    assert.deepEqual(await due({}), [0, 0, 1]);
    assert.deepEqual(await due({ committedBeforeMs: clock.ms - 4000 }), [2, 2, 3]);
    assert.deepEqual(await due({ committedBeforeMs: clock.ms - 4000, topic: 't' }), [2, 2, 4]);
    assert.deepEqual(await due({ eventsMax: 2 }), [4, 4, 5]);
    assert.deepEqual(await due({ eventsMax: 2, topic: 't' }), [3, 4, 5]);
    assert.deepEqual(await due({ bytesMax: 3 * bytes }), [3, 3, 4]);
    assert.deepEqual(await due({ bytesMax: 3 * bytes - 1 }), [4, 4, 5]);
    assert.deepEqual(
      await due({ eventsMax: 5, bytesMax: 5 * bytes, committedBeforeMs: clock.ms - 3000 }),
      [3, 3, 4],
    );
    assert.deepEqual(await due({ eventsMax: 2, upTo: 2 }), [2, 2, 3]);
    assert.deepEqual(await due({ eventsMax: 1, topic: 'u' }), [0, 0, 3]);
    await expireTo(retention, 4);
    assert.deepEqual(await due({ eventsMax: 1 }), [1, 5, 6]);
    assert.deepEqual(await due({ committedBeforeMs: clock.ms }), [2, 6, null]);
  },
);

suites('bare events are judged like others, and nobody sees them [RET-6]', async (store, retention) => {
  await retention.put(policyWith({ name: 'seen', topics: ['seen.>'], keep: 'ids' }));
  const heard: number[] = [];
  const stop = store.watch(0, ({ events }) =>
    events?.each(0, () => true, (_, __, offset) => heard.push(offset)),
  ); // prettier-ignore
  const seen = () => eventWith({ topic: 'seen.hooks', event_id: 'e-1' });
  const [first] = await store.append([batchOf(seen(), eventWith(), seen())]);
  assert.deepEqual(
    [[...first!.verdicts], [...first!.offsets]],
    [
      [ACCEPTED, ACCEPTED, DUPLICATE],
      [1, 2, 1],
    ],
  );
  assert.deepEqual(first!.bare, Uint8Array.of(1, 0, 0));
  const [again] = await store.append([batchOf(seen())]);
  assert.deepEqual([again!.verdicts[0], again!.bare], [DUPLICATE, null]);
  stop();
  assert.ok(heard.every((offset) => offset === 2));
  assert.deepEqual(await offsetsOf(store), [2]);
  assert.equal(await expiredIn(store), 0);
  assert.equal(typeof (await store.find('seen.hooks', 'e-1')), 'object');
  const [, topic] = await store.topics();
  assert.deepEqual(topic, {
    topic: 'seen.hooks',
    events: 0,
    bytes: 0,
    expired: 0,
    bare: 1,
    firstOffset: 0,
    lastOffset: 1,
  });
  const { accepted, expired, bare } = await store.stats();
  assert.deepEqual({ accepted, expired, bare }, { accepted: 2, expired: 0, bare: 1 });
  await retention.remove('seen');
  const [kept] = await store.append([batchOf(eventWith({ topic: 'seen.hooks', event_id: 'e-2' }))]);
  assert.equal(kept!.bare, null);
  assert.deepEqual(await offsetsOf(store), [2, 3]);
});

suites(
  'one event is erased; its id stays, unless it is to be forgotten [RET-7]',
  async (store, retention) => {
    await store.append([batchOf(...manyEvents(3))]);
    const erased = await retention.erase('orders', 'e-2', false);
    assert.deepEqual({ ...erased, receivedMs: 0 }, { offset: 2, receivedMs: 0, wasKept: true });
    assert.equal((await retention.erase('orders', 'e-2', false))!.wasKept, false);
    assert.deepEqual(await offsetsOf(store), [1, 3]);
    assert.equal((await store.append([batchOf(eventWith({ event_id: 'e-2' }))]))[0]!.verdicts[0], DUPLICATE);
    assert.equal((await retention.erase('orders', 'e-2', true))!.wasKept, false);
    assert.equal((await retention.erase('orders', 'e-3', true))!.wasKept, true);
    assert.equal(await store.find('orders', 'e-3'), undefined);
    assert.equal(await retention.erase('orders', 'e-3', false), null);
    assert.equal(await retention.erase('orders', 'never', true), null);
    const [again] = await store.append([
      batchOf(eventWith({ event_id: 'e-3' }), eventWith({ event_id: 'e-2' })),
    ]);
    assert.deepEqual(
      [[...again!.verdicts], [...again!.offsets]],
      [
        [ACCEPTED, ACCEPTED],
        [4, 5],
      ],
    );
    assert.deepEqual(await offsetsOf(store), [1, 4, 5]);
    const { accepted, expired } = await store.stats();
    assert.deepEqual({ accepted, expired }, { accepted: 5, expired: 2 });
    assert.equal((await store.topics())[0]!.firstOffset, 1);
  },
);

suites(
  'ids of expired and bare events are forgotten by age, never those of kept ones [RET-8]',
  async (store, retention, clock) => {
    await retention.put(policyWith({ name: 'seen', topics: ['seen'], keep: 'ids' }));
    await store.append([batchOf(...manyEvents(4), eventWith({ topic: 'seen' }))]);
    clock.ms += 1000;
    await store.append([batchOf(eventWith({ event_id: 'later' }))]);
    await expireTo(retention, 2, 'orders');
    assert.equal(await forgetBefore(retention, clock.ms - 1000), 0);
    assert.equal(await forgetBefore(retention, clock.ms), 3);
    assert.equal(await forgetBefore(retention, clock.ms), 0);
    const [again] = await store.append([batchOf(...manyEvents(4), eventWith({ topic: 'seen' }))]);
    assert.deepEqual([...again!.verdicts], [ACCEPTED, ACCEPTED, DUPLICATE, DUPLICATE, ACCEPTED]);
    assert.deepEqual([...again!.offsets], [7, 8, 3, 4, 9]);
    assert.deepEqual(await offsetsOf(store), [3, 4, 6, 7, 8]);
  },
);

suites('expiry is told once it is durable, with the offsets it is about', async (store, retention) => {
  await store.append([batchOf(...manyEvents(5))]);
  const told: Expiry[] = [];
  const stop = retention.watch((expiry) => told.push(expiry));
  await expireTo(retention, 2);
  await retention.erase('orders', 'e-4', false);
  await retention.erase('orders', 'e-4', true);
  stop();
  await expireTo(retention, 5);
  assert.ok(told.some(({ from, upTo }) => from <= 1 && upTo >= 2));
  assert.ok(told.some(({ from, upTo }) => from <= 4 && upTo >= 4));
  assert.ok(told.every(({ upTo }) => upTo <= 4));
});

suites('of events by offset those are counted that are kept and on the topics', async (store, retention) => {
  await retention.put(policyWith({ name: 'seen', topics: ['c'], keep: 'ids' }));
  await store.append([batchOf(...manyEvents(9, (i) => ({ topic: ['a', 'b', 'c'][i % 3]! })))]);
  await store.append([batchOf(eventWith({ topic: 'a', event_id: 'last' }))]);
  await expireTo(retention, 5, 'a', 'b');
  const some = Float64Array.of(1, 5, 6, 7, 8, 10);
  for (const [patterns, count] of [
    [['>'], 3],
    [['a'], 2],
    [['b', 'c'], 1],
    [['none'], 0],
  ] as const) {
    assert.equal(await store.countAt(some, { topicPatterns: [patterns] }), count, patterns.join());
  }
  assert.equal(await store.countAt(new Float64Array(), {}), 0);
});

suites('stats tell how many ids are forgotten', async (store, retention, clock) => {
  await store.append([batchOf(...manyEvents(4))]);
  clock.ms += 1000;
  await expireTo(retention, 2);
  assert.equal((await store.stats()).forgotten, 0);
  await forgetBefore(retention, clock.ms);
  await retention.erase('orders', 'e-4', true);
  assert.equal((await store.stats()).forgotten, 3);
});

suites("the store's clock sets the times of commits, and tells its own", async (store, retention, clock) => {
  clock.ms = Date.parse('2031-01-01T00:00:00Z');
  const [result] = await store.append([batchOf(eventWith())]);
  assert.equal(result!.receivedMs, clock.ms);
  assert.equal(await retention.now(), clock.ms);
});

suites('events by offset are those that are kept', async (store, retention) => {
  await store.append([batchOf(...manyEvents(4))]);
  await expireTo(retention, 2);
  const page = await store.readAt(Float64Array.of(1, 2, 4));
  assert.deepEqual([page.count, [...page.offsets], page.ends.length], [1, [4], 1]);
  assert.equal((await store.readAt(Float64Array.of(1))).count, 0);
});
