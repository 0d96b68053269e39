import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyFigures } from '../../src/retention/rounds.ts';
import { RETENTION_TIMING } from '../../src/retention/timing.ts';
import { ACCEPTED, DUPLICATE } from '../../src/store/event-store.ts';
import { batchOf, eventWith } from '../support/events.ts';
import { RoundsTested } from '../support/rounds.ts';
import { StoredGroup, leases } from '../support/stored-group.ts';

const HOUR_MS = 3_600_000;

/** A group on the store of the rounds, with everything up to `upTo` acknowledged. */
async function groupOn(tested: RoundsTested, name: string, topics: string[], upTo = 0): Promise<StoredGroup> {
  const group = await StoredGroup.make(tested, { name, topics });
  if (upTo > 0) await group.step('seek', group.id, { offset: upTo + 1 });
  return group;
}

test('events go when they pass a bound of their policy, and the log says what went [RET-5, RET-13]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'b', 'a', 'a', 'b');
  await tested.put({ name: 'a', topics: ['a'], maxEvents: 2 });
  await tested.put({ name: 'b', topics: ['b'], maxAgeMs: HOUR_MS });
  assert.deepEqual(await tested.kept(), [2, 3, 4, 5]);
  await tested.commit('a');
  assert.deepEqual(await tested.kept(), [2, 4, 5, 6]);
  tested.clock.ms += HOUR_MS - 3000;
  assert.deepEqual(await tested.kept(), [4, 5, 6]);
  tested.clock.ms += 3000;
  assert.deepEqual(await tested.kept(), [4, 6]);
  const told = tested.told('events have expired');
  assert.deepEqual(told.map(({ policy, events, upTo }) => [policy, events, upTo]), [['a', 1, 1], ['a', 1, 3], ['b', 1, 2], ['b', 1, 5]]); // prettier-ignore
  assert.ok(told.every(({ bytes }) => Number(bytes) > 0));
  assert.equal(tested.rounds.lastRun('b')!.events, 1);
});

test('a clock that is set back keeps no policy from being obeyed [RET-13]', async (t) => {
  const tested = new RoundsTested(t, { now: RETENTION_TIMING.now });
  await tested.put({ name: 'a', topics: ['a'], maxEvents: 1 });
  await tested.commit('a', 'a');
  assert.deepEqual(await tested.kept(), [2]);
  t.mock.method(Date, 'now', () => 0);
  await tested.commit('a');
  assert.deepEqual(await tested.kept(), [3]);
});

test('the bounds of a policy hold over the topics that it governs, without those of its exceptions [RET-2, RET-5]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'orders.eu', 'orders.us', 'orders.eu', 'orders.us', 'a', 'orders.eu');
  await groupOn(tested, 'slow', ['orders.eu']);
  // Exceptions first: the rule would let go of their events.
  await tested.put({ name: 'eu', topics: ['orders.eu'], maxAgeMs: 100 * HOUR_MS });
  await tested.put({ name: 'orders', topics: ['orders.*'], maxEvents: 1 });
  await tested.put({ name: 'rest', topics: ['>'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [2, 4, 5, 6, 7]);
  assert.deepEqual(tested.told('a group holds up events that are due'), [], 'none of its events is due');
  // Without its exception the policy above it governs these topics.
  await tested.seen.remove('eu');
  await tested.rounds.changed();
  assert.deepEqual(await tested.kept(), [2, 4, 5, 6, 7]);
  const told = tested.told('a group holds up events that are due');
  assert.deepEqual(told.map(({ policy, group, events }) => [policy, group, events]), [['orders', 'slow', 2]]); // prettier-ignore
  await tested.seen.remove('orders');
  await tested.rounds.changed();
  assert.deepEqual(await tested.kept(), [2, 4, 5, 6, 7]);
});

test('what a group has not finished stays, and the log says once who holds it up and since when [RET-14]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a', 'b', 'a', 'a');
  const group = await groupOn(tested, 'slow', ['a', 'b'], 1);
  await groupOn(tested, 'other', ['c']);
  await groupOn(tested, 'done', ['a'], 5);
  await tested.put({ topics: ['a'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [2, 3, 4, 5]);
  assert.deepEqual(tested.told('a group holds up events that are due'), [
    { policy: 'all', group: 'slow', since: '2026-01-01T00:00:04.000Z', events: 2 },
  ]);
  await group.step('seek', group.id, { offset: 4 });
  assert.deepEqual(await tested.kept(), [3, 4, 5]);
  await group.step('remove', group.id);
  assert.deepEqual(await tested.kept(), [3, 5]);
  assert.equal(tested.told('a group holds up events that are due').length, 1);
});

test('looks through much that a group holds up take a tenth of the time at most [RET-14]', async (t) => {
  const { restsAfterLook } = RETENTION_TIMING;
  const tested = new RoundsTested(t, { restsAfterLook });
  const { seen, clock } = tested;
  const { retention } = tested.store;
  await tested.commit('a', 'a', 'a');
  const group = await groupOn(tested, 'slow', ['a']);
  let startMs = 0;
  let endMs = 0;
  seen.due = async (query) => {
    startMs ||= clock.ms;
    endMs = clock.ms += 500;
    return retention.due(query);
  };
  await tested.put({ name: 'all', topics: ['a'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [1, 2, 3]);
  const [firstMs, tookMs] = [endMs, endMs - startMs];
  assert.ok(tookMs >= 1000);
  // Meanwhile the group finishes.
  await group.step('seek', group.id, { offset: 4 });
  clock.ms = firstMs + 8 * tookMs;
  assert.deepEqual(await tested.kept(), [1, 2, 3]);
  assert.equal(endMs, firstMs);
  clock.ms = firstMs + 10 * tookMs;
  assert.deepEqual(await tested.kept(), [3]);
});

test('a group that has nothing of what is due holds nothing up, however far behind it is [RET-14]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a.x', 'a.x', 'a.y');
  await groupOn(tested, 'behind', ['a.y']);
  await tested.put({ topics: ['a.*'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [3]);
  assert.deepEqual(tested.told('a group holds up events that are due'), []);
});

test('what a group has finished goes, though it waits for an event of another topic below it [RET-14]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('b', 'a', 'b', 'a', 'a', 'a');
  const group = await groupOn(tested, 'stuck', ['a', 'b']);
  await group.take([0, 5], 5);
  await group.step('acknowledge', group.id, leases([1, 2], [1, 4]));
  await tested.put({ topics: ['a'], maxEvents: 0 });
  assert.deepEqual(await tested.kept(), [1, 3, 5, 6]);
  await group.step('acknowledge', group.id, leases([1, 5]));
  assert.deepEqual(await tested.kept(), [1, 3, 6], 'the last one is ahead');
});

test('a hold counts what its group has not finished, leased or not, and nothing that it has [RET-14]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'b', 'a', 'a', 'a', 'a', 'a');
  const group = await groupOn(tested, 'slow', ['a', 'b']);
  await group.take([0, 6], 3, 3);
  await group.step('acknowledge', group.id, leases([1, 3], [2, 5], [2, 6]));
  await tested.seen.erase('a', '4', false);
  await tested.put({ topics: ['a'], maxEvents: 0 });
  assert.deepEqual(await tested.kept(), [1, 2, 3, 5, 6, 7], 'with what follows a held event');
  // The first of those given out and one that is ahead; the second is of no topic of the policy, the fourth is gone.
  assert.deepEqual(
    tested.told('a group holds up events that are due').map(({ group, events }) => [group, events]),
    [['slow', 2]],
  );
});

for (const [what, offMs] of [
  ['ahead', 10 * 24 * HOUR_MS],
  ['behind', -10 * 24 * HOUR_MS],
] as const) {
  // prettier-ignore
  test(`policies are judged by the store's clock, by an instance whose own is ${what} [RET-5, RET-8, RET-14]`, async (t) => {
    const clock = { ms: 0 };
    const tested = new RoundsTested(t, { now: () => clock.ms });
    clock.ms = tested.clock.ms + offMs;
    await tested.commit('a', 'a', 'a');
    await groupOn(tested, 'slow', ['a'], 1);
    await tested.put({ topics: ['a'], maxAgeMs: HOUR_MS, heldMaxMs: HOUR_MS, idsMs: 3 * HOUR_MS });
    const pass = async (ms: number): Promise<number[]> => {
      clock.ms += ms;
      tested.clock.ms += ms;
      return tested.kept();
    };
    assert.deepEqual(await tested.kept(), [1, 2, 3]);
    assert.deepEqual(await pass(HOUR_MS), [2, 3], 'the group holds the others');
    assert.equal(tested.rounds.lastRun('all')!.atMs, tested.clock.ms);
    assert.deepEqual(await pass(HOUR_MS + 1), []);
    assert.equal((await tested.store.stats()).forgotten, 0);
    await pass(HOUR_MS);
    assert.equal((await tested.store.stats()).forgotten, 3);
  });
}

test('an instance whose clock is set back looks again within a minute by it [RET-13]', async (t) => {
  const clock = { ms: 1e12 };
  const tested = new RoundsTested(t, { now: () => clock.ms });
  await tested.commit('a');
  await tested.put({ topics: ['a'], maxAgeMs: HOUR_MS });
  assert.deepEqual(await tested.kept(), [1]);
  tested.clock.ms += 2 * HOUR_MS;
  clock.ms += 59_999;
  assert.deepEqual(await tested.kept(), [1]);
  clock.ms += 1;
  assert.deepEqual(await tested.kept(), []);
});

test('an instance that has lost the claim tells of no holds any more [MET-8]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a', 'a');
  await groupOn(tested, 'slow', ['a'], 1);
  await tested.put({ topics: ['a'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [2, 3]);
  const hold = { group: 'slow', sinceMs: Date.parse('2026-01-01T00:00:03Z'), events: 1 };
  const gone = { policy: 'all', expiredEvents: 1, forgottenIds: 0 };
  const figures = () => {
    const [{ expiredBytes, ...one }] = [...tested.rounds.figures()] as [PolicyFigures];
    assert.ok(expiredBytes > 0);
    return one;
  };
  assert.deepEqual(figures(), { ...gone, dueEvents: 1, holds: [hold] });
  tested.seen.claim = async () => false;
  await tested.kept();
  assert.deepEqual(figures(), { ...gone, dueEvents: 0, holds: [] });
});

test('a policy with past_groups waits for no group [RET-14]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a');
  await groupOn(tested, 'slow', ['a']);
  await tested.put({ topics: ['a'], maxEvents: 1, pastGroups: true });
  assert.deepEqual(await tested.kept(), [2]);
});

for (const [bound, policy] of [
  ['age', { maxAgeMs: HOUR_MS }],
  ['number', { maxEvents: 2 }],
  ['bytes', { maxBytes: 300 }],
] as const) {
  test(`by ${bound}, a group holds an event for no longer than held_max after it was due, whatever restarts [RET-14]`, async (t) => {
    const tested = new RoundsTested(t);
    // Two of them are less than 300 bytes, three are more.
    await tested.commit('a', 'a');
    tested.clock.ms += HOUR_MS;
    await tested.commit('a');
    tested.clock.ms += HOUR_MS;
    await tested.commit('a');
    await groupOn(tested, 'slow', ['a']);
    await tested.put({ topics: ['a'], ...policy, heldMaxMs: 2 * HOUR_MS });
    // By age they are due after 1 h, by number and bytes when the second one after them is committed, at 1 h and at 2 h.
    assert.deepEqual(await tested.kept(), [1, 2, 3, 4]);
    await tested.restart();
    tested.clock.ms += HOUR_MS - 2000;
    assert.deepEqual(await tested.kept(), bound === 'age' ? [2, 3, 4] : [1, 2, 3, 4]);
    tested.clock.ms += 3000;
    assert.deepEqual(await tested.kept(), bound === 'age' ? [3, 4] : [2, 3, 4]);
    tested.clock.ms += HOUR_MS;
    assert.deepEqual(await tested.kept(), bound === 'age' ? [4] : [3, 4]);
    tested.clock.ms += 100 * HOUR_MS;
    assert.deepEqual(await tested.kept(), bound === 'age' ? [] : [3, 4]);
  });
}

test('a few events wait for others, many go at once, and after a change nothing waits [RET-13]', async (t) => {
  const tested = new RoundsTested(t, { gatherMs: 60_000, gatherEventsMax: 3 });
  await tested.commit('a', 'a', 'a');
  await tested.put({ topics: ['a'], maxEvents: 2 });
  assert.deepEqual(await tested.kept(), [2, 3]);
  await tested.commit('a');
  assert.deepEqual(await tested.kept(), [2, 3, 4]);
  tested.clock.ms += 59_999;
  assert.deepEqual(await tested.kept(), [2, 3, 4]);
  tested.clock.ms += 1;
  assert.deepEqual(await tested.kept(), [3, 4]);
  await tested.commit('a', 'a');
  assert.deepEqual(await tested.kept(), [3, 4, 5, 6]);
  await tested.commit('a');
  assert.deepEqual(await tested.kept(), [6, 7]);
});

test('nothing goes that an answer under way still needs [RET-22]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a', 'a', 'a');
  const answer = tested.readers.begin(2);
  await tested.put({ topics: ['a'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [2, 3, 4]);
  answer.end();
  assert.deepEqual(await tested.kept(), [4]);
});

test('once a policy is changed or removed, nothing more goes by the old one [RET-10]', async (t) => {
  const tested = new RoundsTested(t, { tickMs: 1000 });
  for (let i = 0; i < 500; i++) await tested.commit('a');
  const step = tested.seen.expire.bind(tested.seen);
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: removed, resolve: goOn } = Promise.withResolvers<void>();
  tested.seen.expire = async (query) => {
    begin();
    await removed;
    return step(query);
  };
  await tested.put({ topics: ['a'], maxEvents: 1 });
  await begun;
  await tested.seen.remove('all');
  const settled = tested.rounds.changed();
  goOn();
  await settled;
  // The step of the reference, which had begun.
  assert.equal((await tested.store.stats()).expired, 100);
  await tested.someTicks();
  assert.equal((await tested.store.stats()).expired, 100);
});

test('a policy that cannot be obeyed is tried again, and does not hold up the others [RET-13]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a', 'b', 'b');
  const due = tested.seen.due.bind(tested.seen);
  let failures = 0;
  tested.seen.due = async (query) => {
    if (query.topicPatterns?.[0]?.[0] === 'a' && failures++ < 3) throw new Error('broken');
    return due(query);
  };
  await tested.put({ name: '1', topics: ['a'], maxEvents: 1 });
  await tested.put({ name: '2', topics: ['b'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [1, 2, 4]);
  for (let i = 0; i < 4; i++) {
    tested.clock.ms += 60_000;
    await tested.kept();
  }
  assert.deepEqual(await tested.kept(), [2, 4]);
  const told = tested.told('a policy could not be obeyed');
  assert.deepEqual(told.map(({ policy, retryMs }) => [policy, retryMs]), [['1', 2], ['1', 4], ['1', 8]]); // prettier-ignore
});

test('ids are forgotten once they are older than the policy says [RET-8]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a');
  await tested.put({ topics: ['a'], maxAgeMs: HOUR_MS, idsMs: 2 * HOUR_MS });
  const publish = async (): Promise<number[]> => {
    const batch = batchOf(eventWith({ topic: 'a', event_id: '1' }), eventWith({ topic: 'a', event_id: '2' }));
    const [result] = await tested.store.append([batch]);
    return [...result!.verdicts];
  };
  tested.clock.ms += 2 * HOUR_MS - 1000;
  assert.deepEqual(await tested.kept(), []);
  assert.deepEqual(await publish(), [DUPLICATE, DUPLICATE]);
  tested.clock.ms += 1;
  await tested.kept();
  assert.deepEqual(await publish(), [ACCEPTED, DUPLICATE]);
  assert.deepEqual(tested.told('ids were forgotten'), [{ policy: 'all', ids: 1 }]);
});

test('an instance obeys the policies only while it has the claim to do so [RET-13]', async (t) => {
  const tested = new RoundsTested(t);
  await tested.commit('a', 'a');
  let isOurs = false;
  tested.seen.claim = async () => isOurs;
  await tested.put({ topics: ['a'], maxEvents: 1 });
  assert.deepEqual(await tested.kept(), [1, 2]);
  isOurs = true;
  assert.deepEqual(await tested.kept(), [2]);
});
