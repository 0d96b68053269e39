import assert from 'node:assert/strict';
import type { AuditAction, AuditEntry, AuditQuery } from '../../src/store/audit-store.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { expireTo, policyWith } from '../support/letting-go.ts';
import { LEASE_MS, StoredGroup, leases } from '../support/stored-group.ts';
import { storeSuites } from '../support/store-suites.ts';
import type { TestClock } from '../support/stores.ts';

/** Tests a behaviour on every store, with a trail. */
function suites(behaviour: string, run: (store: EventStore, clock: TestClock) => Promise<void>): void {
  for (const suite of storeSuites()) {
    suite(behaviour, async (store, clock) => {
      await store.audit.begin();
      await run(store, clock);
    });
  }
}

const ALL = { topics: {}, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, before: null, limit: 100 } as const;

/** All entries of a query, read page by page, the oldest first. */
async function entriesOf(store: EventStore, query: Partial<AuditQuery> = {}): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for (let before: number | null = null; ;) {
    const page = await store.audit.page({ ...ALL, ...query, before });
    assert.ok(page.entries.length <= (query.limit ?? ALL.limit));
    entries.push(...page.entries);
    if (page.next === null) return entries.toReversed();
    before = page.next;
  }
}

/** What an entry says in a few words. */
function said({ action, topic, eventId, offset, key, group, delivery }: AuditEntry): string {
  const who = group ?? key;
  const event = offset === null ? [] : [`${topic}/${eventId}@${offset}`];
  return [
    action,
    ...event,
    ...(delivery === null ? [] : [`#${delivery}`]),
    ...(who === null ? [] : [who]),
  ].join(' ');
}

async function told(store: EventStore, query: Partial<AuditQuery> = {}): Promise<string[]> {
  return (await entriesOf(store, query)).map(said);
}

suites(
  'each event of a commit has an entry: its verdict, its offset, its key [AUD-2]',
  async (store, clock) => {
    await store.append([{ ...batchOf(...manyEvents(2)), publisher: 'till' }]);
    const firstMs = clock.ms;
    clock.ms += 1000;
    await store.append([
      { ...batchOf(eventWith(), eventWith({ event_id: 'e-3' })), publisher: 'phone' },
      batchOf(eventWith({ event_id: 'e-2', source: 'app' }), eventWith({ event_id: 'e-3', source: 'app' })),
      batchOf(eventWith({ topic: 'bills' })),
    ]);
    const entries = await entriesOf(store);
    assert.deepEqual(entries.map(said).toSorted(), [
      'accepted bills/e-1@4',
      'accepted orders/e-1@1 till',
      'accepted orders/e-2@2 till',
      'accepted orders/e-3@3 phone',
      'conflict orders/e-2@2',
      'conflict orders/e-3@3',
      'dropped orders/e-1@1 phone',
    ]);
    assert.deepEqual(
      entries.map(({ atMs }) => atMs - firstMs),
      [0, 0, 1000, 1000, 1000, 1000, 1000],
    );
    assert.equal(new Set(entries.map(({ number }) => number)).size, 7);
    assert.deepEqual(entries.map(({ count }) => count), entries.map(() => 1)); // prettier-ignore
  },
);

for (const suite of storeSuites()) {
  suite('a store without a trail writes nothing [AUD-1]', async (store, clock) => {
    await store.append([batchOf(...manyEvents(3))]);
    const group = await StoredGroup.make({ store, clock });
    await group.take(null, 2);
    await store.audit.note([{ action: 'started', key: null, count: 1, details: {} }], false);
    assert.deepEqual(await told(store), []);
    assert.deepEqual(await store.audit.extent(), { records: 0, oldestMs: null });
  });
}

suites(
  'deliveries, acknowledgements and dead events are told, with group and delivery [AUD-3]',
  async (store, clock) => {
    await store.append([batchOf(...manyEvents(4))]);
    const group = await StoredGroup.make({ store, clock }, { deliveriesMax: 2 });
    const since = async () => {
      const entries = await told(store, { fromMs: clock.ms });
      return entries.filter((entry) => !entry.startsWith('accepted')).toSorted();
    };
    clock.ms += 1;
    const { hands } = await group.take(null, 2, 1);
    assert.deepEqual(await since(), [
      'delivered orders/e-1@1 #1 workers',
      'delivered orders/e-2@2 #1 workers',
      'delivered orders/e-3@3 #1 workers',
    ]);
    clock.ms += 1;
    const [first, second] = hands;
    await group.step('acknowledge', group.id, leases([first!.take, 1], [first!.take, 9]));
    assert.deepEqual(await since(), ['acknowledged orders/e-1@1 #1 workers']);
    clock.ms += 1;
    await group.step('untake', group.id, second!.take);
    assert.deepEqual(await since(), ['withdrawn orders/e-3@3 #1 workers']);
    clock.ms += LEASE_MS;
    await group.take(null, 2);
    assert.deepEqual(await since(), [
      'delivered orders/e-2@2 #2 workers',
      'delivered orders/e-3@3 #1 workers',
    ]);
    // A lease that runs out buries the event when the next step looks.
    clock.ms += LEASE_MS;
    await group.take(null, 1);
    assert.deepEqual(await since(), ['dead orders/e-2@2 #2 workers', 'delivered orders/e-3@3 #2 workers']);
  },
);

suites(
  'an entry shows the topic of its event for ever, and the id as long as the text is kept [AUD-5]',
  async (store) => {
    await store.append([batchOf(...['a', 'b', 'c', 'd'].map((topic) => eventWith({ topic })))]);
    await expireTo(store.retention, 4, 'a');
    await store.retention.erase('b', 'e-1', false);
    await store.retention.erase('c', 'e-1', true);
    assert.deepEqual((await told(store)).toSorted(), [
      'accepted a/null@1',
      'accepted b/null@2',
      'accepted c/null@3',
      'accepted d/e-1@4',
    ]);
    // Who knows the id finds the event, until the id is forgotten.
    const of = (topic: string) => told(store, { event: { topic, eventId: 'e-1' } });
    assert.deepEqual(await of('b'), ['accepted b/null@2']);
    assert.deepEqual(await of('c'), []);
    assert.deepEqual(await of('d'), ['accepted d/e-1@4']);
    await store.append([batchOf(eventWith({ topic: 'c' }), eventWith({ topic: 'c' }))]);
    assert.deepEqual((await of('c')).toSorted(), ['accepted c/e-1@5', 'dropped c/e-1@5']);
  },
);

suites('notes say what no commit knows, with what is known of it [AUD-4]', async (store, clock) => {
  await store.append([batchOf(eventWith())]);
  clock.ms += 1;
  await store.audit.note(
    [
      { action: 'refused', key: 'till', count: 3, details: { code: 'forbidden_topic', topic: 'bills' } },
      { action: 'refused', key: null, count: 1, details: { code: 'unauthorized' } },
    ],
    true,
  );
  await store.audit.note(
    [{ action: 'erased', key: 'ops', count: 1, details: { offset: 1, forgotten: false } }],
    false,
  );
  const notes = await entriesOf(store, { fromMs: clock.ms });
  const common = { atMs: clock.ms, group: null, delivery: null };
  assert.deepEqual(
    notes.map(({ number: _number, ...note }) => note),
    [
      { ...common, action: 'refused', offset: null, topic: 'bills', eventId: null, key: 'till', count: 3, details: { code: 'forbidden_topic' } },
      { ...common, action: 'refused', offset: null, topic: null, eventId: null, key: null, count: 1, details: { code: 'unauthorized' } },
      { ...common, action: 'erased', offset: 1, topic: 'orders', eventId: 'e-1', key: 'ops', count: 1, details: { forgotten: false } },
    ],
  ); // prettier-ignore
  assert.deepEqual(await told(store, { topics: { topicPatterns: [['bills']] } }), ['refused till']);
  assert.equal((await told(store, { event: { topic: 'orders', eventId: 'e-1' } })).length, 2);
});

suites(
  'what changes a source or a policy is noted by the same step, and what changes none is not [AUD-9]',
  async (store) => {
    const { sources } = store;
    const shop = { name: 'shop', definition: '{"secret":"s"}' };
    await sources.put(shop, 'ops');
    await sources.put(shop, 'other');
    await sources.put({ ...shop, definition: '{}' }, null);
    await sources.remove('none', 'ops');
    await sources.remove('shop', 'ops');
    await sources.remove('shop', 'ops');
    const { retention } = store;
    await retention.put(policyWith({ name: 'p', topics: ['a'] }), 'ops');
    await retention.put(policyWith({ name: 'p', topics: ['a'] }), 'other');
    await retention.put(policyWith({ name: 'q', topics: ['a'] }), 'other');
    await retention.put(policyWith({ name: 'p', topics: ['b'] }), null);
    await retention.remove('none', 'ops');
    await retention.remove('p', 'ops');
    const notes = await entriesOf(store);
    assert.deepEqual(
      notes.map(({ action, key, count, details }) => ({ action, key, count, details })),
      [
        { action: 'source_set', key: 'ops', count: 1, details: { source: 'shop' } },
        { action: 'source_set', key: null, count: 1, details: { source: 'shop' } },
        { action: 'source_deleted', key: 'ops', count: 1, details: { source: 'shop' } },
        { action: 'policy_set', key: 'ops', count: 1, details: { policy: 'p' } },
        { action: 'policy_set', key: null, count: 1, details: { policy: 'p' } },
        { action: 'policy_deleted', key: 'ops', count: 1, details: { policy: 'p' } },
      ],
    );
  },
);

suites('entries are selected by action, topic and time [AUD-6]', async (store, clock) => {
  const topics = ['orders.eu', 'bills', 'orders.us'];
  const startMs = clock.ms;
  for (let i = 0; i < 6; i++) {
    await store.append([batchOf(eventWith({ topic: topics[i % 3]! }))]);
    clock.ms += 1000;
  }
  const offsets = async (query: Partial<AuditQuery>) =>
    (await entriesOf(store, { limit: 2, ...query })).map(({ action, offset }) => `${action[0]}${offset}`);
  assert.deepEqual(await offsets({}), ['a1', 'a2', 'a3', 'd1', 'd2', 'd3']);
  assert.deepEqual(await offsets({ actions: new Set<AuditAction>(['dropped', 'dead']) }), ['d1', 'd2', 'd3']);
  assert.deepEqual(await offsets({ topics: { topicPatterns: [['orders.*']] } }), ['a1', 'a3', 'd1', 'd3']);
  assert.deepEqual(await offsets({ topics: { topicPatterns: [['unknown']] } }), []);
  assert.deepEqual(await offsets({ fromMs: startMs + 1000, toMs: startMs + 4000 }), ['a2', 'a3', 'd1']);
  assert.deepEqual(await offsets({ fromMs: startMs + 1001, toMs: startMs + 4001 }), ['a3', 'd1', 'd2']);
  assert.deepEqual(await offsets({ event: { topic: 'bills', eventId: 'e-1' }, limit: 1 }), ['a2', 'd2']);
  assert.deepEqual(await offsets({ event: { topic: 'bills', eventId: 'e-2' } }), []);
  assert.deepEqual(await offsets({ event: { topic: 'bills', eventId: 'e-1' }, toMs: startMs + 3000 }), [
    'a2',
  ]);
});

suites('many entries are read page by page, each once, the newest first [AUD-6]', async (store, clock) => {
  const events = manyEvents(5000, (i) => ({ topic: i % 2 === 0 ? 'even' : 'odd', payload: {} }));
  await store.append([batchOf(...events)]);
  clock.ms += 1;
  // In no order, so that they do not follow one another.
  await store.append([batchOf(...events.toReversed().filter((_, i) => i % 3 !== 0))]);
  const seen: number[] = [];
  const offsets = new Set<number>();
  for (let before: number | null = null; ;) {
    const page = await store.audit.page({ ...ALL, before, limit: 1000 });
    for (const { number, action, offset } of page.entries) {
      seen.push(number);
      if (action === 'accepted') offsets.add(offset!);
    }
    if (page.next === null) break;
    before = page.next;
  }
  assert.equal(seen.length, 5000 + 3333);
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => b - a),
  );
  assert.equal(new Set(seen).size, seen.length);
  assert.equal(offsets.size, 5000);
  const odd = await entriesOf(store, { topics: { topic: 'odd' }, limit: 700 });
  assert.equal(odd.filter(({ action }) => action === 'accepted').length, 2500);
  assert.ok(odd.every(({ topic }) => topic === 'odd'));
});

suites('a summary counts entries by action, all in all or by period [AUD-7]', async (store, clock) => {
  const periodMs = 3_600_000;
  clock.ms = Math.ceil(clock.ms / periodMs) * periodMs;
  const startMs = clock.ms;
  await store.append([batchOf(...manyEvents(3))]);
  // Not when the period begins, but in it.
  clock.ms += 1.5 * periodMs;
  await store.append([batchOf(eventWith(), eventWith({ source: 'app' }))]);
  await store.audit.note([{ action: 'refused', key: null, count: 7, details: { code: 'queue_full' } }], true);
  const range = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, recordsMax: 100 };
  const all = { dropped: 1, conflict: 1, refused: 7, accepted: 3 };
  const counts = async (query: { periodMs: number | null; fromMs?: number; toMs?: number }) => {
    const summary = await store.audit.summary({ ...range, ...query });
    assert.ok(summary.kind === 'counted');
    return Object.fromEntries(
      summary.counts.map((one) => [
        `${one.periodMs === 0 ? '' : one.periodMs - startMs}${one.action}`,
        one.entries,
      ]),
    );
  };
  assert.deepEqual(await counts({ periodMs: null }), all);
  assert.deepEqual(await counts({ periodMs }), {
    '0accepted': 3,
    [`${periodMs}dropped`]: 1,
    [`${periodMs}conflict`]: 1,
    [`${periodMs}refused`]: 7,
  });
  assert.deepEqual(await counts({ periodMs: null, toMs: startMs + periodMs }), { accepted: 3 });
  assert.deepEqual(await counts({ periodMs: null, fromMs: startMs + 1, toMs: startMs + periodMs }), {});
  const tooMany = await store.audit.summary({ ...range, periodMs: null, recordsMax: 3 });
  assert.equal(tooMany.kind, 'too_many');
});

suites('the trail lets go of what is too old, and numbers nothing twice [AUD-8]', async (store, clock) => {
  const startMs = clock.ms;
  for (let i = 0; i < 10; i++) {
    await store.append([batchOf(eventWith({ event_id: `e-${i}` }))]);
    clock.ms += 1000;
  }
  const trim = async (beforeMs: number) => {
    while (!(await store.audit.trim(beforeMs))) continue;
  };
  await trim(startMs);
  assert.deepEqual(await store.audit.extent(), { records: 10, oldestMs: startMs });
  await trim(startMs + 4001);
  assert.deepEqual(await store.audit.extent(), { records: 5, oldestMs: startMs + 5000 });
  const kept = await entriesOf(store, { limit: 2 });
  assert.deepEqual(
    kept.map(({ offset }) => offset),
    [6, 7, 8, 9, 10],
  );
  const newest = kept.at(-1)!.number;
  await trim(clock.ms);
  await store.append([batchOf(eventWith({ event_id: 'last' }))]);
  const entries = await entriesOf(store);
  assert.equal(entries.at(-1)!.offset, 11);
  assert.ok(entries.at(-1)!.number > newest);
  // A cursor into what is gone finds nothing more.
  assert.deepEqual((await store.audit.page({ ...ALL, before: kept[0]!.number })).entries, []);
});
