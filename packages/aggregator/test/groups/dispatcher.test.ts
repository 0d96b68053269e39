import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EventStore, StoreError } from '../../src/store/event-store.ts';
import type { Definition, GroupState } from '../../src/store/group-store.ts';
import { ManyInstances } from '../../src/store/memory/many-instances.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { Commits } from '../../src/commits/commits.ts';
import { Dispatcher, GroupGone } from '../../src/groups/dispatcher.ts';
import type { Delivered } from '../../src/groups/waiting-pulls.ts';
import { leasesOf } from '../../src/groups/lease-id.ts';
import { SharedSteps } from '../../src/groups/shared-steps.ts';
import { batchOf, manyEvents } from '../support/events.ts';

const STAYS = new AbortController().signal;
const WAIT_MS = 20_000;
/** For what comes at once, and must not come by looking again some seconds later. */
const SOON_MS = 3000;

interface DeskOptions {
  /** How deliveries may go, and of what. */
  readonly definition?: Partial<Definition>;
  readonly outstandingMax?: number;
  readonly believedMs?: number;
}

/** A dispatcher on a store, that hears what the store tells. */
class Desk<S extends EventStore = MemoryStore> {
  readonly store: S;
  readonly dispatcher: Dispatcher;
  readonly steps: SharedSteps;
  /** Word of what is done to the group is lost. */
  isDeaf = false;
  readonly #secret: Uint8Array;
  #published = 0;

  constructor(store: S, state: GroupState, { outstandingMax = 1000, believedMs }: DeskOptions = {}) {
    this.store = store;
    const commits = new Commits(store, 0);
    this.steps = new SharedSteps(store.groups);
    this.dispatcher = new Dispatcher(
      { store, commits, steps: this.steps, ...(believedMs !== undefined && { believedMs }) },
      state,
      outstandingMax,
    );
    commits.listen((commit) => this.dispatcher.committed(commit));
    store.groups.watch((news) => {
      if (this.isDeaf) return;
      if (news.kind === 'moved') this.dispatcher.moved(news.hasRoom, news.dueInMs);
      else if (news.kind === 'sought') this.dispatcher.sought(news.position);
      else if (news.kind === 'removed') this.dispatcher.gone();
    });
    this.#secret = state.secret;
  }

  static async open(options: DeskOptions = {}): Promise<Desk> {
    const store = new MemoryStore();
    return new Desk(store, await makeGroup(store, options.definition), options);
  }

  async publish(count: number, topic = 'orders'): Promise<void> {
    const from = this.#published;
    this.#published += count;
    await this.store.append([batchOf(...manyEvents(count, (i) => ({ topic, event_id: `e-${from + i}` })))]);
  }

  pull(eventsMax: number, waitMs = 0, signal: AbortSignal = STAYS): Promise<Delivered[]> {
    return this.dispatcher.pull(eventsMax, waitMs, signal);
  }

  /** Has reads answer only when the returned function is called. */
  holdReads(): () => void {
    let letGo = (): void => {};
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const read = this.store.read.bind(this.store);
    this.store.read = async (query) => {
      const page = await read(query);
      await held;
      return page;
    };
    return letGo;
  }

  async acknowledge(events: readonly Delivered[]): Promise<void> {
    const leases = leasesOf(this.#secret, events.map(({ leaseId }) => leaseId)); // prettier-ignore
    await this.steps.do('acknowledge', this.dispatcher.id, leases);
  }

  async giveBack(events: readonly Delivered[], delayMs = 0): Promise<void> {
    const leases = leasesOf(this.#secret, events.map(({ leaseId }) => leaseId)); // prettier-ignore
    await this.steps.do('giveBack', this.dispatcher.id, leases, delayMs);
  }
}

async function makeGroup(store: EventStore, change: Partial<Definition> = {}): Promise<GroupState> {
  const definition: Definition = {
    name: 'w',
    topics: ['>'],
    start: 'earliest',
    leaseMs: 60_000,
    deliveriesMax: 5,
    push: null,
    ...change,
  };
  const [created] = await store.groups.apply([['create', definition]]);
  assert.ok(created.kind === 'created');
  return created.state;
}

/** Resolves when a pull that was made has found nothing to do. */
async function asleep(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}

function offsetsOf(events: readonly Delivered[]): number[] {
  return events.map(({ offset }) => offset);
}

test('an event that is due sooner than was known comes to who waits, and no later [GRP-9]', async () => {
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

test('room that is made while a step finds none is used at once [GRP-18]', async () => {
  const desk = await Desk.open({ outstandingMax: 1 });
  const { store, dispatcher } = desk;
  await desk.publish(2);
  const apply = store.groups.apply.bind(store.groups);
  const request = { demands: [1], bytesMax: 1000, readAhead: null, outstandingMax: 1 };
  // Another process has the first event, and is done with it when our step has looked and its outcome is on the way.
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

test('what was due when a step failed is due for the next one [GRP-8]', async () => {
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

test('what was read before a seek is not handed out behind it [GRP-14]', async () => {
  const desk = await Desk.open();
  await desk.publish(5);
  const letGo = desk.holdReads();
  const pull = desk.pull(10, SOON_MS);
  await asleep();
  await desk.steps.do('seek', desk.dispatcher.id, { offset: 4 });
  letGo();
  assert.deepEqual(offsetsOf(await pull), [4, 5]);
  await desk.dispatcher.close();
});

test('what was read ahead and found no room comes to who asks for less, none of it passed over [GRP-6]', async () => {
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

test('while as many are in flight as may be, pulls wait until some are acknowledged [GRP-18]', async () => {
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
  assert.deepEqual(offsetsOf(await again), [5, 6], 'what was given back needs no room');
  await desk.dispatcher.close();
});

test('who came first is served first', async () => {
  const desk = await Desk.open();
  const waiting = [desk.pull(2, WAIT_MS), desk.pull(1, WAIT_MS), desk.pull(5, WAIT_MS)];
  await desk.publish(6);
  assert.deepEqual((await Promise.all(waiting)).map(offsetsOf), [[1, 2], [3], [4, 5, 6]]);
  await desk.dispatcher.close();
});

test('a pull that left is not given what comes, and what was leased for it meanwhile comes to another uncounted', async () => {
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

test('an event is given though an unrelated commit lands while it is being read [GRP-4]', async () => {
  const desk = await Desk.open({ definition: { topics: ['orders'] } });
  const letGo = desk.holdReads();
  await desk.publish(2);
  const pull = desk.pull(5, SOON_MS);
  await new Promise(setImmediate);
  await desk.publish(1, 'other');
  letGo();
  assert.deepEqual(offsetsOf(await pull), [1, 2]);
  await desk.publish(1, 'other');
  const next = desk.pull(5, SOON_MS);
  await desk.publish(1);
  assert.deepEqual(offsetsOf(await next), [5]);
  await desk.dispatcher.close();
});

test('what another process did to the group is found, though nobody tells [GRP-8]', async () => {
  const desk = await Desk.open({ definition: { leaseMs: 100 }, believedMs: 20 });
  const { store, dispatcher } = desk;
  await desk.publish(3);
  await desk.acknowledge(await desk.pull(1));
  desk.isDeaf = true;
  const [taken] = await store.groups.apply([
    ['take', dispatcher.id, { demands: [1], bytesMax: 1000, readAhead: null, outstandingMax: 9 }],
  ]);
  assert.deepEqual([...taken!.hands[0]!.offsets], [2]);
  assert.deepEqual(offsetsOf(await desk.pull(1)), [3], 'not the one that it had read ahead');
  assert.deepEqual(offsetsOf(await desk.pull(1, WAIT_MS)), [2], 'when the lease of the other has run out');
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

test('a pull is refused with the fault of the store, and the next one is served when that has passed', async () => {
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

test('a dispatcher that is closed or whose group is gone answers all who wait and come', async () => {
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
  await assert.rejects(deleted.pull(1, WAIT_MS), GroupGone, 'also where nobody told it');
});
