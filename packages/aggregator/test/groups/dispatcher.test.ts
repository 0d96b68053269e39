import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import type { GroupState } from '../../src/store/group-store.ts';
import { Commits } from '../../src/commits/commits.ts';
import { type Delivered, Dispatcher, GroupGone } from '../../src/groups/dispatcher.ts';
import { leasesOf } from '../../src/groups/lease-id.ts';
import { SharedSteps } from '../../src/groups/shared-steps.ts';
import { batchOf, manyEvents } from '../support/events.ts';

const STAYS = new AbortController().signal;
const WAIT_MS = 20_000;

/** A dispatcher on the reference store. */
class Desk {
  readonly store: MemoryStore;
  readonly dispatcher: Dispatcher;
  readonly steps: SharedSteps;
  readonly #commits: Commits;
  readonly #secret: Uint8Array;
  #published = 0;

  private constructor(store: MemoryStore, state: GroupState, outstandingMax: number) {
    this.store = store;
    this.#commits = new Commits(store, 0);
    this.steps = new SharedSteps(store.groups);
    this.dispatcher = new Dispatcher(
      { store, commits: this.#commits, steps: this.steps },
      state,
      outstandingMax,
    );
    this.#commits.listen((commit) => this.dispatcher.committed(commit));
    this.#secret = state.secret;
  }

  static async open(deliveriesMax = 5, outstandingMax = 1000): Promise<Desk> {
    const store = new MemoryStore();
    const definition = {
      name: 'w',
      topics: ['>'],
      start: 'earliest',
      leaseMs: 60_000,
      deliveriesMax,
      push: null,
    } as const;
    const [created] = await store.groups.apply(Date.now(), [['create', definition]]);
    assert.ok(created.kind === 'created');
    return new Desk(store, created.state, outstandingMax);
  }

  async publish(count: number): Promise<void> {
    const from = this.#published;
    this.#published += count;
    await this.store.append([batchOf(...manyEvents(count, (i) => ({ event_id: `e-${from + i}` })))]);
  }

  pull(eventsMax: number, waitMs = 0, signal: AbortSignal = STAYS): Promise<Delivered[]> {
    return this.dispatcher.pull(eventsMax, waitMs, signal);
  }

  async acknowledge(events: readonly Delivered[]): Promise<void> {
    const leases = leasesOf(this.#secret, events.map(({ leaseId }) => leaseId)); // prettier-ignore
    await this.steps.do('acknowledge', this.dispatcher.id, leases);
    this.dispatcher.settled();
  }

  async giveBack(events: readonly Delivered[]): Promise<void> {
    const leases = leasesOf(this.#secret, events.map(({ leaseId }) => leaseId)); // prettier-ignore
    await this.steps.do('giveBack', this.dispatcher.id, leases, 0);
    this.dispatcher.settled(Date.now());
  }
}

function offsetsOf(events: readonly Delivered[]): number[] {
  return events.map(({ offset }) => offset);
}

test('while as many are in flight as may be, pulls wait until some are acknowledged [GRP-18]', async () => {
  const desk = await Desk.open(5, 10);
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
  const desk = await Desk.open(1);
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

test('workers that acknowledge, give back and come again get each event, and none after it was acknowledged', async () => {
  const desk = await Desk.open(1000, 60);
  const acknowledged = new Set<number>();
  const EVENTS = 2000;
  const worker = async (place: number): Promise<void> => {
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
    for (let from = 0; from < EVENTS; from += 50) {
      await desk.publish(50);
      await new Promise(setImmediate);
    }
  };
  await Promise.all([publisher(), ...[0, 1, 2, 3, 4, 5].map(worker)]);
  assert.equal(acknowledged.size, EVENTS);
  const [state] = await desk.store.groups.apply(Date.now(), [['state', desk.dispatcher.id]]);
  assert.deepEqual([state!.cursor, state!.leased, state!.returned, state!.dead], [EVENTS, 0, 0, 0]);
  await desk.dispatcher.close();
});

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
  await closed.dispatcher.close();
  assert.deepEqual(await waiting, []);
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
