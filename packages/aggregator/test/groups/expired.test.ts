import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EventStore, StoreError } from '../../src/store/event-store.ts';
import type { GroupState } from '../../src/store/group-store.ts';
import { ManyInstances } from '../../src/store/memory/many-instances.ts';
import { SeededRandom } from '../../../../lab/random.ts';
import { leases } from '../support/stored-group.ts';
import { Desk, SOON_MS, WAIT_MS, asleep, makeGroup, offsetsOf } from '../support/desk.ts';

/** Lets go of those of the desk's events with these offsets; their ids are `e-0`, `e-1` and so on. */
async function erase(store: EventStore, offsets: Iterable<number>, topic = 'orders'): Promise<void> {
  for (const offset of offsets) {
    const erased = await store.retention.erase(topic, `e-${offset - 1}`, false);
    assert.equal(erased?.offset, offset);
  }
}

async function stateOf({ store, dispatcher }: Desk<EventStore>): Promise<GroupState> {
  const [state] = await store.groups.apply([['state', dispatcher.id]]);
  return state!;
}

test('pulls pass over expired events, which are counted once however few events each pull takes [RET-30]', async () => {
  const desk = await Desk.open();
  await desk.publish(12);
  const gone = [1, 2, 5, 8, 9, 12];
  await erase(desk.store, gone);
  const given: number[] = [];
  for (const eventsMax of [1, 1, 2, 1, 5]) {
    const events = await desk.pull(eventsMax);
    given.push(...offsetsOf(events));
    await desk.acknowledge(events);
    const { position, expired } = await stateOf(desk);
    assert.equal(expired, gone.filter((offset) => offset <= position).length, `up to ${position}`);
  }
  assert.deepEqual(given, [3, 4, 6, 7, 10, 11]);
  const { cursor, expired } = await stateOf(desk);
  assert.deepEqual({ cursor, expired }, { cursor: 12, expired: 6 });
  await desk.dispatcher.close();
});

test('a waiting pull lets the position pass over what has expired, and gets the next event [RET-30]', async () => {
  const desk = await Desk.open();
  assert.deepEqual(await desk.pull(1), [], 'after which nothing is due for a while');
  await desk.publish(3);
  await erase(desk.store, [1, 2, 3]);
  const waiting = desk.pull(1, WAIT_MS);
  await asleep();
  await asleep();
  const { expired, position } = await stateOf(desk);
  assert.deepEqual({ expired, position }, { expired: 3, position: 3 }, 'without an event');
  await desk.publish(1);
  assert.deepEqual(offsetsOf(await waiting), [4]);
  await desk.dispatcher.close();
});

test('what was read ahead is not counted twice when another process has passed over a part of it [RET-30]', async () => {
  const truth = new ManyInstances(() => 0);
  const state = await makeGroup(truth.open());
  const desk = new Desk(truth.open(), state, { outstandingMax: 1 });
  await desk.publish(8);
  await erase(desk.store, [3, 4, 5, 7]);
  // It has read all of them, and had room for one.
  const held = await desk.pull(8);
  assert.deepEqual(offsetsOf(held), [1]);
  // Another process takes the next one, and stops behind a stretch that has expired.
  const request = { demands: [1], bytesMax: 1000, readAhead: null, outstandingMax: 9 };
  const [taken] = await truth.open().groups.apply([['take', state.id, request]]);
  assert.deepEqual([[...taken!.hands[0]!.offsets], taken!.position], [[2], 5]);
  assert.equal((await stateOf(desk)).expired, 3);
  await desk.acknowledge(held);
  await desk.steps.do('acknowledge', state.id, leases([taken!.hands[0]!.take, 2]));
  for (const offset of [6, 8]) {
    const events = await desk.pull(5, SOON_MS);
    assert.deepEqual(offsetsOf(events), [offset]);
    await desk.acknowledge(events);
    assert.equal((await stateOf(desk)).expired, 4);
  }
  await desk.dispatcher.close();
});

test('what expired at the end of one read is counted with the first event of the next [RET-30]', async () => {
  const desk = await Desk.open({ outstandingMax: 1 });
  await desk.publish(6);
  await erase(desk.store, [3, 5, 6]);
  const counts: number[][] = [];
  for (const published of [0, 3, 0, 0]) {
    // The first time there is room for one of those that are read, so the others stay in memory.
    if (published > 0) await desk.publish(published);
    if (published > 0) await erase(desk.store, [8]);
    const events = await desk.pull(9);
    counts.push([...offsetsOf(events), (await stateOf(desk)).expired]);
    await desk.acknowledge(events);
  }
  assert.deepEqual(counts, [
    [1, 0],
    [2, 0],
    [4, 1],
    [7, 3],
  ]);
  await desk.dispatcher.close();
});

test('every event is acknowledged or counted as expired, exactly once, by workers of two processes [RET-30]', async () => {
  const random = new SeededRandom(1);
  const truth = new ManyInstances(() => random.between(0, 1));
  const state = await makeGroup(truth.open());
  const desks = [0, 1].map(() => new Desk(truth.open(), state, { outstandingMax: 40 }));
  const [first] = desks as [Desk<EventStore>];
  const EVENTS = 600;
  await first.publish(EVENTS);
  const gone = new Set<number>();
  for (let offset = 1; offset <= EVENTS; offset++) if (random.whole(1, 10) <= 4) gone.add(offset);
  await erase(first.store, gone);
  const acknowledged = new Set<number>();
  const worker = async (place: number): Promise<void> => {
    const desk = desks[place % 2]!;
    while (acknowledged.size < EVENTS - gone.size) {
      const events = await desk.pull(random.whole(1, 13), 5);
      for (const { offset } of events) acknowledged.add(offset);
      await desk.acknowledge(events);
    }
  };
  await Promise.all([0, 1, 2, 3].map(worker));
  // Behind the last kept event some may be left to be passed over.
  await first.pull(1, 0);
  const end = await stateOf(first);
  assert.deepEqual([end.position, end.acknowledged, end.expired], [EVENTS, EVENTS - gone.size, gone.size]);
  for (const { dispatcher } of desks) await dispatcher.close();
});

test('events that expire while they wait to be delivered again are counted, and the pull goes on to the next ones [RET-31]', async () => {
  const desk = await Desk.open();
  await desk.publish(6);
  await desk.giveBack(await desk.pull(4));
  await erase(desk.store, [1, 2, 4]);
  const events = await desk.pull(2);
  assert.deepEqual(
    events.map(({ offset, delivery }) => [offset, delivery]),
    [[3, 2]],
    'of those that were due first',
  );
  await desk.acknowledge(events);
  await desk.acknowledge(await desk.pull(9));
  const { cursor, leased, returned, acknowledged, expired, deliveries, redeliveries } = await stateOf(desk);
  assert.deepEqual([cursor, leased, returned, acknowledged, expired], [6, 0, 0, 3, 3]);
  assert.deepEqual([deliveries, redeliveries], [7, 1]);
  await desk.dispatcher.close();
});

test('a pull of which nothing is left keeps its turn, and is answered when its time is up [RET-31]', async () => {
  const desk = await Desk.open();
  await desk.publish(3);
  await desk.giveBack(await desk.pull(3));
  await erase(desk.store, [1, 2, 3]);
  assert.deepEqual(await desk.pull(2), []);
  assert.equal((await stateOf(desk)).expired, 3, 'all that were due');
  await desk.publish(1);
  await desk.giveBack(await desk.pull(1));
  await erase(desk.store, [4]);
  const waiting = [desk.pull(1, SOON_MS), desk.pull(1, SOON_MS)];
  await asleep();
  await asleep();
  await desk.publish(2);
  assert.deepEqual((await Promise.all(waiting)).map(offsetsOf), [[5], [6]]);
  await desk.dispatcher.close();
});

test('a worker that left while its events turned out to be gone holds no lease [RET-31, GRP-17]', async () => {
  const desk = await Desk.open();
  await desk.publish(3);
  await desk.giveBack(await desk.pull(3));
  await erase(desk.store, [1]);
  const left = new AbortController();
  const readAt = desk.store.readAt.bind(desk.store);
  desk.store.readAt = (offsets) => {
    left.abort();
    return readAt(offsets);
  };
  assert.deepEqual(await desk.pull(3, WAIT_MS, left.signal), []);
  desk.store.readAt = readAt;
  const events = await desk.pull(3);
  assert.deepEqual(
    events.map(({ offset, delivery }) => [offset, delivery]),
    [[2, 2], [3, 2]], // prettier-ignore
  );
  assert.equal((await stateOf(desk)).expired, 1);
  await desk.dispatcher.close();
});

test('an event that was read ahead is not handed out once its text is told to be gone [RET-33]', async () => {
  const desk = await Desk.open({ outstandingMax: 1 });
  await desk.publish(4);
  const first = await desk.pull(9);
  await erase(desk.store, [2, 4]);
  await desk.acknowledge(first);
  const second = await desk.pull(9);
  assert.deepEqual(offsetsOf(second), [3]);
  await desk.acknowledge(second);
  assert.deepEqual(await desk.pull(9), []);
  const { acknowledged, expired } = await stateOf(desk);
  assert.deepEqual({ acknowledged, expired }, { acknowledged: 2, expired: 2 });
  await desk.dispatcher.close();
});

for (const where of ['read', 'apply', 'readAt'] as const) {
  test(`an event whose text goes while it is on its way to a worker (${where}) is not handed out [RET-33]`, async () => {
    const desk = await Desk.open();
    const { store } = desk;
    await desk.publish(3);
    if (where === 'readAt') await desk.giveBack(await desk.pull(3));
    // The text goes when the answer of this call is on its way.
    const holder = where === 'apply' ? store.groups : store;
    const call = Reflect.get(holder, where).bind(holder) as (...args: unknown[]) => Promise<unknown>;
    Reflect.set(holder, where, async (...args: unknown[]) => {
      const answer = await call(...args);
      Reflect.set(holder, where, call);
      await erase(store, [2]);
      return answer;
    });
    const events = await desk.pull(3, SOON_MS);
    assert.deepEqual(offsetsOf(events), [1, 3]);
    await desk.acknowledge(events);
    const { acknowledged, expired, leased } = await stateOf(desk);
    assert.deepEqual({ acknowledged, expired, leased }, { acknowledged: 2, expired: 1, leased: 0 });
    await desk.dispatcher.close();
  });
}

test('if the step that settles what is gone fails, the next take does it [RET-31]', async () => {
  const desk = await Desk.open({ definition: { leaseMs: 1000 }, believedMs: 20 });
  await desk.publish(2);
  await desk.giveBack(await desk.pull(2));
  await erase(desk.store, [1]);
  const { groups } = desk.store;
  const apply = groups.apply.bind(groups);
  let failed = 0;
  groups.apply = async (steps) => {
    if (failed === 0 && steps[0]?.[0] === 'expire') throw new StoreError('blocked', String((failed += 1)));
    return apply(steps);
  };
  assert.deepEqual(offsetsOf(await desk.pull(2)), [2]);
  await asleep();
  assert.deepEqual([failed, (await stateOf(desk)).expired], [1, 0]);
  await desk.publish(1);
  await desk.acknowledge(await desk.pull(1));
  assert.deepEqual(offsetsOf(await desk.pull(1, SOON_MS)), [2], 'when the leases had run out');
  assert.equal((await stateOf(desk)).expired, 1);
  await desk.dispatcher.close();
});
