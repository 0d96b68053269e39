import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { GroupGone } from '../../src/groups/dispatcher.ts';
import type { Delivered } from '../../src/groups/waiting-pulls.ts';
import { StoreError } from '../../src/store/event-store.ts';
import { ManyInstances } from '../../src/store/memory/many-instances.ts';
import { Desk, SOON_MS, WAIT_MS, asleep, makeGroup, offsetsOf } from '../support/desk.ts';

test('an event that falls due sooner than known goes to a waiting pull at once [GRP-9]', async () => {
  const desk = await Desk.open();
  await desk.publish(2);
  const held = await desk.pull(2);
  for (const delayMs of [50, 0]) {
    const waiting = desk.pull(1, SOON_MS);
    await asleep();
    await desk.giveBack(held.splice(0, 1), delayMs);
    assert.equal((await waiting).length, 1);
  }
  await desk.dispatcher.close();
});

test('room made while a step finds none is used at once [GRP-18]', async () => {
  const desk = await Desk.open({ outstandingMax: 1 });
  const { store, dispatcher } = desk;
  await desk.publish(2);
  const apply = store.groups.apply.bind(store.groups);
  const request = { demands: [1], bytesMax: 1000, readAhead: null, outstandingMax: 1 };
  // Another process holds the first event, and acknowledges it after our step has looked, while its outcome is under
  // way.
  const [other] = await apply([['take', dispatcher.id, request]]);
  let isLeft = true;
  store.groups.apply = async (steps) => {
    const outcomes = await apply(steps);
    if (isLeft && steps.some(([kind]) => kind === 'take')) {
      isLeft = false;
      const leases = { takes: Float64Array.of(other!.hands[0]!.take), offsets: Float64Array.of(1) };
      await apply([['acknowledge', dispatcher.id, leases]]);
    }
    return outcomes;
  };
  assert.deepEqual(offsetsOf(await desk.pull(1, SOON_MS)), [2]);
  await dispatcher.close();
});

test('a paused group is asked once, and again when it is resumed [HOOK-11]', async () => {
  const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
  const desk = await Desk.open({ definition: { push } });
  const { store, dispatcher, steps } = desk;
  await desk.publish(2);
  await steps.do('pause', dispatcher.id);
  const apply = store.groups.apply.bind(store.groups);
  let takes = 0;
  store.groups.apply = async (all) => {
    takes += all.filter(([kind]) => kind === 'take').length;
    return apply(all);
  };
  const waiting = desk.pull(1, WAIT_MS);
  await asleep();
  assert.equal(takes, 1);
  await steps.do('resume', dispatcher.id);
  assert.deepEqual(offsetsOf(await waiting), [1]);
  await dispatcher.close();
});

test('events that were due when a step failed are due for the next one [GRP-8]', async () => {
  const desk = await Desk.open();
  const { store } = desk;
  await desk.publish(1);
  await desk.giveBack(await desk.pull(1));
  const apply = store.groups.apply.bind(store.groups);
  store.groups.apply = () => {
    store.groups.apply = apply;
    return Promise.reject(new StoreError('blocked', 'not now'));
  };
  await assert.rejects(desk.pull(1, SOON_MS), StoreError);
  assert.deepEqual(offsetsOf(await desk.pull(1, SOON_MS)), [1]);
  await desk.dispatcher.close();
});

test('events read before a seek are not handed out after it [GRP-14]', async () => {
  const desk = await Desk.open();
  await desk.publish(5);
  const release = desk.holdReads();
  const pull = desk.pull(10, SOON_MS);
  await asleep();
  await desk.steps.do('seek', desk.dispatcher.id, { offset: 4 });
  release();
  assert.deepEqual(offsetsOf(await pull), [4, 5]);
  await desk.dispatcher.close();
});

test('events read ahead that found no room go to later pulls, and none is skipped [GRP-6]', async () => {
  const desk = await Desk.open({ outstandingMax: 2 });
  await desk.publish(6);
  const given: number[] = [];
  for (const eventsMax of [6, 1, 1, 6]) {
    const events = await desk.pull(eventsMax, SOON_MS);
    given.push(...offsetsOf(events));
    await desk.acknowledge(events);
  }
  assert.deepEqual(given, [1, 2, 3, 4, 5, 6]);
  await desk.dispatcher.close();
});

test('while the maximum is in flight, pulls wait until some events are acknowledged [GRP-18]', async () => {
  const desk = await Desk.open({ outstandingMax: 10 });
  await desk.publish(25);
  const held = await desk.pull(100);
  assert.equal(held.length, 10);
  assert.deepEqual(await desk.pull(100), []);
  const waiting = desk.pull(100, WAIT_MS);
  await desk.acknowledge(held.slice(0, 4));
  assert.deepEqual(offsetsOf(await waiting), [11, 12, 13, 14]);
  const again = desk.pull(100, WAIT_MS);
  await desk.giveBack(held.slice(4, 6));
  assert.deepEqual(offsetsOf(await again), [5, 6], 'events given back need no room');
  await desk.dispatcher.close();
});

test('first come, first served', async () => {
  const desk = await Desk.open();
  const waiting = [desk.pull(2, WAIT_MS), desk.pull(1, WAIT_MS), desk.pull(5, WAIT_MS)];
  await desk.publish(6);
  assert.deepEqual((await Promise.all(waiting)).map(offsetsOf), [[1, 2], [3], [4, 5, 6]]);
  await desk.dispatcher.close();
});

test('a pull that left gets no events, and those leased for it meanwhile go to another pull without counting', async () => {
  const desk = await Desk.open({ definition: { deliveriesMax: 1 } });
  const left = new AbortController();
  const leaving = desk.pull(5, WAIT_MS, left.signal);
  await desk.publish(3);
  // Its step is under way or about to be.
  left.abort();
  assert.deepEqual(await leaving, []);
  const events = await desk.pull(5, WAIT_MS);
  assert.deepEqual(
    events.map(({ offset, delivery }) => [offset, delivery]),
    [[1, 1], [2, 1], [3, 1]], // prettier-ignore
  );
  await desk.dispatcher.close();
});

test('an event is delivered although an unrelated commit lands while it is being read [GRP-4]', async () => {
  const desk = await Desk.open({ definition: { topics: ['orders'] } });
  const release = desk.holdReads();
  await desk.publish(2);
  const pull = desk.pull(5, SOON_MS);
  await new Promise(setImmediate);
  await desk.publish(1, 'other');
  release();
  assert.deepEqual(offsetsOf(await pull), [1, 2]);
  await desk.publish(1, 'other');
  const next = desk.pull(5, SOON_MS);
  await desk.publish(1);
  assert.deepEqual(offsetsOf(await next), [5]);
  await desk.dispatcher.close();
});

test("another process's changes to the group are found without news [GRP-8]", async () => {
  const desk = await Desk.open({ definition: { leaseMs: 1000 }, believedMs: 20 });
  const { store, dispatcher } = desk;
  await desk.publish(3);
  await desk.acknowledge(await desk.pull(1));
  desk.isDeaf = true;
  const [taken] = await store.groups.apply([
    ['take', dispatcher.id, { demands: [1], bytesMax: 1000, readAhead: null, outstandingMax: 9 }],
  ]);
  assert.deepEqual([...taken!.hands[0]!.offsets], [2]);
  assert.deepEqual(offsetsOf(await desk.pull(1)), [3], 'and not the one read ahead');
  assert.deepEqual(offsetsOf(await desk.pull(1, WAIT_MS)), [2], "once the other process's lease has run out");
  await dispatcher.close();
});

for (const instances of [1, 2]) {
  test(`workers of ${instances} processes get each event, and none after it was acknowledged [GRP-5, GRP-7]`, async () => {
    const truth = new ManyInstances();
    const state = await makeGroup(truth.open(), { deliveriesMax: 1000 });
    const desks = Array.from(
      { length: instances },
      () => new Desk(truth.open(), state, { outstandingMax: 60 }),
    );
    const acknowledged = new Set<number>();
    const EVENTS = 1500;
    const worker = async (place: number): Promise<void> => {
      const desk = desks[place % instances]!;
      for (let turn = 0; acknowledged.size < EVENTS; turn++) {
        const events = await desk.pull(1 + ((place * 7 + turn) % 23), 5);
        for (const { offset } of events) assert.ok(!acknowledged.has(offset), `${offset} came again`);
        const done = events.filter(({ offset, delivery }) => (offset + place) % 3 !== 0 || delivery > 2);
        for (const { offset } of done) acknowledged.add(offset);
        await desk.acknowledge(done);
        await desk.giveBack(events.filter((event) => !done.includes(event)));
      }
    };
    const publisher = async (): Promise<void> => {
      for (let from = 0; from < EVENTS; from += 50) await desks[0]!.publish(50);
    };
    await Promise.all([publisher(), ...[0, 1, 2, 3, 4, 5].map(worker)]);
    assert.equal(acknowledged.size, EVENTS);
    const [end] = await desks[0]!.store.groups.apply([['state', state.id]]);
    assert.deepEqual([end!.cursor, end!.leased, end!.returned, end!.dead], [EVENTS, 0, 0, 0]);
    for (const { dispatcher } of desks) await dispatcher.close();
  });
}

test("a pull is refused with the store's error, and a later one is served when the store works again", async () => {
  const desk = await Desk.open();
  await desk.publish(3);
  desk.store.read = () => Promise.reject(new StoreError('blocked', 'not now'));
  await assert.rejects(desk.pull(5, WAIT_MS), StoreError);
  Reflect.deleteProperty(desk.store, 'read');
  const held = await desk.pull(2);
  await desk.giveBack(held);

  desk.store.readAt = () => Promise.reject(new StoreError('blocked', 'not now'));
  await assert.rejects(desk.pull(2, WAIT_MS), StoreError);
  Reflect.deleteProperty(desk.store, 'readAt');
  const again = await desk.pull(3, WAIT_MS);
  assert.deepEqual(offsetsOf(again), [1, 2, 3]);
  assert.deepEqual(again.map(({ delivery }) => delivery), [2, 2, 1], 'a delivery that failed is not counted'); // prettier-ignore
  await desk.dispatcher.close();
});

test('a dispatcher that is closed or whose group is gone answers all waiting and later pulls', async () => {
  const closed = await Desk.open();
  const waiting = closed.pull(1, WAIT_MS);
  await asleep();
  let answered: readonly Delivered[] | undefined;
  const answering = waiting.then((events) => (answered = events));
  await closed.dispatcher.close();
  await asleep();
  assert.deepEqual(answered, [], 'at once');
  await answering;
  assert.deepEqual(await closed.pull(1, WAIT_MS), []);

  const gone = await Desk.open();
  const refused = gone.pull(1, WAIT_MS);
  gone.dispatcher.gone();
  await assert.rejects(refused, GroupGone);
  await assert.rejects(gone.pull(1), GroupGone);

  const deleted = await Desk.open();
  await deleted.publish(1);
  await deleted.steps.do('remove', deleted.dispatcher.id);
  await assert.rejects(deleted.pull(1, WAIT_MS), GroupGone, 'even if nobody told it');
});

test('a seek in the transaction of a take is not undone by the outcome of the take [GRP-14]', async () => {
  const desk = await Desk.open();
  await desk.publish(3);
  const { groups } = desk.store;
  const apply = groups.apply.bind(groups);
  const { id } = desk.dispatcher;
  let hasSought = false;
  // Both are steps of one transaction, and the seek comes after the take.
  groups.apply = async (steps) => {
    if (hasSought || steps[0]?.[0] !== 'take') return apply(steps);
    hasSought = true;
    const outcomes = await apply([...steps, ['seek', id, 'earliest'] as const]);
    return outcomes.slice(0, -1) as never;
  };
  assert.deepEqual(offsetsOf(await desk.pull(5, SOON_MS)), [1, 2, 3]);
  assert.deepEqual(offsetsOf(await desk.pull(5, SOON_MS)), [1, 2, 3]);
  assert.equal(desk.dispatcher.looked(99).upTo, 99, 'nothing is known of another place');
  await desk.dispatcher.close();
});

test('a pull is answered when its time is up, even if commits arrive faster than they are searched [GRP-4]', async () => {
  const desk = await Desk.open({ definition: { topics: ['rare'] } });
  await desk.publish(1, 'other');
  const read = desk.store.read.bind(desk.store);
  let isBusy = true;
  desk.store.read = async (query) => {
    if (isBusy) await desk.publish(1, 'other');
    await sleep(5);
    return read(query);
  };
  const startMs = performance.now();
  const stop = setTimeout(() => (isBusy = false), SOON_MS);
  assert.deepEqual(await desk.pull(1), []);
  clearTimeout(stop);
  assert.ok(performance.now() - startMs < SOON_MS, 'only after the last commit');
  isBusy = false;
  await desk.publish(1, 'rare');
  assert.equal((await desk.pull(1, SOON_MS)).length, 1);
  await desk.dispatcher.close();
});

test('a pull that was answered listens to its signal no more: that of a webhook outlives them all', async () => {
  const desk = await Desk.open();
  await desk.publish(1);
  const { signal } = new AbortController();
  assert.deepEqual(offsetsOf(await desk.pull(1, 0, signal)), [1]);
  assert.deepEqual(await desk.pull(1, 0, signal), []);
  desk.dispatcher.gone();
  await assert.rejects(desk.pull(1, 0, signal), GroupGone);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  await desk.dispatcher.close();
});
