import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { EventStore } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import {
  type Definition,
  type LeaseStates,
  type Leases,
  type Step,
  type GroupState,
  type Taken,
} from '../../src/store/group-store.ts';
import { batchOf, manyEvents } from '../support/events.ts';
import { tempFolder } from '../support/temp-folder.ts';

const STORES: Record<string, (t: TestContext) => Promise<EventStore>> = {
  memory: async () => new MemoryStore(),
  sqlite: (t) => SqliteStore.open(join(tempFolder(t), 'events.db')),
};

const LEASE_MS = 1000;

/** A group to all, with time in the test's hand. */
class Group {
  nowMs = 1_000_000;
  readonly store: EventStore;
  id = 0;

  constructor(store: EventStore) {
    this.store = store;
  }

  static async make(store: EventStore, change: Partial<Definition> = {}): Promise<Group> {
    const group = new Group(store);
    const created = await group.step('create', definition(change));
    assert.ok(created.kind === 'created', JSON.stringify(created));
    group.id = created.state.id;
    return group;
  }

  async step<const S extends Step>(...step: S) {
    const [outcome] = await this.store.groups.apply(this.nowMs, [step]);
    return outcome;
  }

  /** Offers the offsets from the one behind `after`, one after the other, and takes. */
  async take(fresh: [after: number, upTo: number], ...demands: number[]): Promise<Taken> {
    const [after, upTo] = fresh;
    const offsets = Float64Array.from({ length: upTo - after }, (_, i) => after + 1 + i);
    const bytes = new Int32Array(offsets.length).fill(100);
    const taken = await this.step('take', this.id, {
      demands,
      bytesMax: 1000,
      fresh: { after, upTo, offsets, bytes },
      outstandingMax: 50,
    });
    return taken ?? assert.fail('there is no such group');
  }

  async state(): Promise<GroupState> {
    return (await this.step('state', this.id)) ?? assert.fail('there is no such group');
  }
}

function definition(change: Partial<Definition> = {}): Definition {
  return {
    name: 'workers',
    topics: ['>'],
    start: 'earliest',
    leaseMs: LEASE_MS,
    deliveriesMax: 3,
    push: null,
    ...change,
  };
}

/** What each hand holds, as [offset, delivery] pairs. */
function handsOf({ hands }: Taken): [number, number][][] {
  return hands.map(({ offsets, deliveries }) => Array.from(offsets, (offset, i) => [offset, deliveries[i]!]));
}

function leases(...pairs: [take: number, offset: number][]): Leases {
  return {
    takes: Float64Array.from(pairs, ([take]) => take),
    offsets: Float64Array.from(pairs, ([, offset]) => offset),
  };
}

function said(states: LeaseStates | null): string[] {
  return Array.from(states ?? [], (state) => ['done', 'settled', 'expired', 'unknown'][state]!);
}

for (const [name, open] of Object.entries(STORES)) {
  const suite = (behaviour: string, run: (store: EventStore) => Promise<void>): void => {
    test(`${name}: ${behaviour}`, async (t) => {
      let store: EventStore | undefined;
      t.after(() => store?.close());
      store = await open(t);
      await store.append([batchOf(...manyEvents(10))]);
      await run(store);
    });
  };

  suite('a group is made once, and another definition of its name differs in a field', async (store) => {
    const group = await Group.make(store, { topics: ['a', 'b.>'], start: { offset: 4 } });
    const same = await group.step('create', definition({ topics: ['b.>', 'a'], start: { offset: 4 } }));
    assert.ok(same.kind === 'same');
    assert.deepEqual(same.state, await group.state());
    assert.equal(same.state.position, 3);
    assert.equal(same.state.secret.length, 16);
    for (const change of [
      { topics: ['a'] },
      { start: 'latest' },
      { leaseMs: 5 },
      { deliveriesMax: 9 },
    ] as const) {
      const made = definition({ topics: ['a', 'b.>'], start: { offset: 4 }, ...change });
      assert.deepEqual(await group.step('create', made), {
        kind: 'differs',
        field: Object.keys(change)[0],
      });
    }
  });

  suite('a group begins where it is asked to, and not beyond the end', async (store) => {
    const group = new Group(store);
    group.nowMs = Date.now() + 60_000;
    const places = [
      ['earliest', 0],
      ['latest', 10],
      [{ offset: 0 }, 0],
      [{ offset: 1 }, 0],
      [{ offset: 11 }, 10],
      [{ timeMs: 0 }, 0],
      [{ timeMs: group.nowMs }, 10],
    ] as const;
    for (const [start, position] of places) {
      const created = await group.step('create', definition({ name: JSON.stringify(start), start }));
      assert.ok(created.kind === 'created');
      assert.equal(created.state.position, position, JSON.stringify(start));
      assert.equal(created.state.cursor, position);
    }
    for (const start of [{ offset: 12 }, { timeMs: group.nowMs + 1 }]) {
      const created = await group.step('create', definition({ name: 'beyond', start }));
      assert.deepEqual(created, { kind: 'beyond_end', lastOffset: 10 });
    }
    assert.equal((await group.step('list')).length, places.length);
  });

  suite('fresh events are leased in order, each to one', async (store) => {
    const group = await Group.make(store);
    const taken = await group.take([0, 9], 2, 3, 0, 10);
    assert.deepEqual(handsOf(taken), [
      [[1, 1], [2, 1]],
      [[3, 1], [4, 1], [5, 1]],
      [],
      [[6, 1], [7, 1], [8, 1], [9, 1]],
    ]); // prettier-ignore
    assert.deepEqual([taken.hands[0]!.take, taken.hands[1]!.take, taken.hands[3]!.take], [1, 2, 3]);
    assert.equal(taken.position, 9);
    assert.equal(taken.outstanding, 9);
    assert.equal(taken.nextDueMs, group.nowMs + LEASE_MS);
    const { leased, returned, cursor, position, deliveries, redeliveries } = await group.state();
    assert.deepEqual(
      { leased, returned, cursor, position, deliveries, redeliveries },
      { leased: 9, returned: 0, cursor: 0, position: 9, deliveries: 9, redeliveries: 0 },
    );
  });

  suite('what is offered from another place than the position is not taken', async (store) => {
    const group = await Group.make(store);
    await group.take([0, 4], 4);
    assert.deepEqual(handsOf(await group.take([0, 4], 4)), [[]]);
    assert.deepEqual(handsOf(await group.take([5, 9], 4)), [[]]);
    assert.equal((await group.state()).position, 4);
    assert.deepEqual(handsOf(await group.take([4, 5], 4)), [[[5, 1]]]);
  });

  suite('no more is leased than its bounds in events, bytes and what is outstanding allow', async (store) => {
    const group = await Group.make(store);
    assert.deepEqual(
      handsOf(await group.take([0, 40], 20, 30)).map((hand) => hand.length),
      [10, 10],
      'of 1000 bytes each',
    );
    await group.take([20, 40], 10, 10);
    assert.deepEqual(
      handsOf(await group.take([40, 60], 8, 8)).map((hand) => hand.length),
      [8, 2],
      '50 may be outstanding',
    );
    const full = await group.take([50, 60], 5);
    assert.deepEqual(handsOf(full), [[]]);
    assert.equal(full.outstanding, 50);
    await group.step('acknowledge', group.id, leases([1, 1], [1, 2]));
    assert.deepEqual(handsOf(await group.take([50, 60], 5)), [[[51, 1], [52, 1]]]); // prettier-ignore
  });

  suite('an event larger than the bound in bytes is leased alone', async (store) => {
    const group = await Group.make(store);
    const taken = await group.step('take', group.id, {
      demands: [5],
      bytesMax: 10,
      fresh: { after: 0, upTo: 2, offsets: Float64Array.of(1, 2), bytes: Int32Array.of(11, 1) },
      outstandingMax: 50,
    });
    assert.deepEqual(handsOf(taken!), [[[1, 1]]]);
    assert.equal(taken!.position, 1);
  });

  suite('a scan that found nothing moves the position', async (store) => {
    const group = await Group.make(store);
    const fresh = { after: 0, upTo: 7, offsets: new Float64Array(0), bytes: new Int32Array(0) };
    const taken = await group.step('take', group.id, {
      demands: [5],
      bytesMax: 10,
      fresh,
      outstandingMax: 50,
    });
    assert.equal(taken!.position, 7);
    assert.equal((await group.state()).cursor, 7);
  });

  suite(
    'an acknowledged event is not delivered again, and moves the cursor with its neighbours',
    async (store) => {
      const group = await Group.make(store);
      await group.take([0, 4], 4);
      assert.deepEqual(said(await group.step('acknowledge', group.id, leases([1, 2]))), ['done']);
      assert.equal((await group.state()).cursor, 0);
      const states = await group.step('acknowledge', group.id, leases([1, 1], [1, 4]));
      assert.deepEqual(said(states), ['done', 'done']);
      const { cursor, acknowledged, leased } = await group.state();
      assert.deepEqual({ cursor, acknowledged, leased }, { cursor: 2, acknowledged: 3, leased: 1 });
      group.nowMs += LEASE_MS;
      assert.deepEqual(handsOf(await group.take([4, 4], 4)), [[[3, 2]]]);
      assert.deepEqual(said(await group.step('acknowledge', group.id, leases([2, 3]))), ['done']);
      assert.equal((await group.state()).cursor, 4);
    },
  );

  suite('what a lease is good for is said of each', async (store) => {
    const group = await Group.make(store);
    await group.take([0, 5], 2, 3);
    const acknowledge = async (...pairs: [number, number][]): Promise<string[]> =>
      said(await group.step('acknowledge', group.id, leases(...pairs)));
    assert.deepEqual(await acknowledge([1, 1], [1, 1], [2, 2], [1, 3]), [
      'done',
      'settled',
      'expired',
      'expired',
    ]);
    assert.deepEqual(await acknowledge([3, 4], [0, 4], [2, 6]), ['unknown', 'unknown', 'unknown']);
    const giveBack = await group.step('giveBack', group.id, leases([1, 1], [2, 4], [2, 4]), 0);
    assert.deepEqual(said(giveBack), ['settled', 'done', 'expired']);
    group.nowMs += LEASE_MS;
    assert.deepEqual(await acknowledge([2, 3]), ['expired'], 'although nobody else was given it');
    const extend = await group.step('extend', group.id, leases([2, 3], [1, 1]), LEASE_MS);
    assert.deepEqual(said(extend), ['expired', 'settled']);
    await group.take([5, 5], 9);
    assert.deepEqual(await acknowledge([2, 3], [3, 3]), ['settled', 'done']);
  });

  suite(
    'what runs out or is given back is delivered again when it is due, longest due first',
    async (store) => {
      const group = await Group.make(store);
      await group.take([0, 6], 6);
      await group.step('giveBack', group.id, leases([1, 5], [1, 6]), 300);
      await group.step('giveBack', group.id, leases([1, 4]), 0);
      assert.deepEqual(handsOf(await group.take([6, 7], 2)), [[[4, 2], [7, 1]]]); // prettier-ignore
      const waiting = await group.take([7, 7], 2);
      assert.deepEqual(handsOf(waiting), [[]]);
      assert.equal(waiting.nextDueMs, group.nowMs + 300);
      const { leased, returned } = await group.state();
      assert.deepEqual({ leased, returned }, { leased: 5, returned: 2 });
      group.nowMs += LEASE_MS;
      assert.deepEqual(handsOf(await group.take([7, 8], 3, 9)), [
      [[5, 2], [6, 2], [1, 2]],
      [[2, 2], [3, 2], [4, 3], [7, 2], [8, 1]],
    ]); // prettier-ignore
      const { deliveries, redeliveries } = await group.state();
      assert.deepEqual({ deliveries, redeliveries }, { deliveries: 16, redeliveries: 8 });
    },
  );

  suite('a lease that is extended ends later', async (store) => {
    const group = await Group.make(store);
    await group.take([0, 2], 2);
    group.nowMs += LEASE_MS - 1;
    const extended = await group.step('extend', group.id, leases([1, 1]), 5000);
    assert.deepEqual(said(extended), ['done']);
    group.nowMs += 1;
    assert.deepEqual(handsOf(await group.take([2, 2], 9)), [[[2, 2]]]);
    group.nowMs += 4998;
    assert.equal((await group.state()).leased, 1);
    group.nowMs += 1;
    assert.equal((await group.state()).leased, 0);
  });

  suite(
    'an event is dead after its last delivery, whether its lease ran out or it was given back',
    async (store) => {
      const group = await Group.make(store, { deliveriesMax: 2 });
      await group.take([0, 4], 4);
      await group.step('giveBack', group.id, leases([1, 1], [1, 2], [1, 3], [1, 4]), 0);
      assert.equal((await group.state()).dead, 0);
      await group.take([4, 4], 4);
      const states = await group.step('giveBack', group.id, leases([2, 1], [2, 1], [2, 3]), 60_000);
      assert.deepEqual(said(states), ['done', 'expired', 'done']);
      const givenBackMs = group.nowMs;
      assert.equal((await group.state()).dead, 2);
      await group.step('acknowledge', group.id, leases([2, 4]));
      group.nowMs += LEASE_MS + 5;
      const { dead, leased, returned, cursor } = await group.state();
      assert.deepEqual({ dead, leased, returned, cursor }, { dead: 3, leased: 0, returned: 0, cursor: 4 });
      const letters = [
        { offset: 1, bytes: 100, deliveries: 2, deadMs: givenBackMs, reason: 'given_back' },
        { offset: 2, bytes: 100, deliveries: 2, deadMs: givenBackMs + LEASE_MS, reason: 'lease_expired' },
        { offset: 3, bytes: 100, deliveries: 2, deadMs: givenBackMs, reason: 'given_back' },
      ];
      assert.deepEqual(await group.step('dead', group.id, 0, 9), letters);
      assert.deepEqual(await group.step('dead', group.id, 1, 1), [letters[1]]);
      assert.deepEqual(handsOf(await group.take([4, 4], 4)), [[]]);
    },
  );

  suite('a dead event that is replayed is delivered as often as a new one', async (store) => {
    const group = await Group.make(store, { deliveriesMax: 1 });
    await group.take([0, 4], 4);
    group.nowMs += LEASE_MS;
    assert.equal(await group.step('replay', group.id, [2, 4, 9], 100), 2);
    assert.equal(await group.step('replay', group.id, [2], 100), 0);
    assert.deepEqual(handsOf(await group.take([4, 4], 9)), [[[2, 1], [4, 1]]]); // prettier-ignore
    assert.equal(await group.step('replay', group.id, null, 1), 1);
    assert.deepEqual(handsOf(await group.take([4, 4], 9)), [[[1, 1]]]);
    assert.equal((await group.state()).dead, 1);
  });

  suite('a take that is undone does not count and is due at once', async (store) => {
    const group = await Group.make(store, { deliveriesMax: 1 });
    await group.take([0, 3], 2, 1);
    await group.step('untake', group.id, 1);
    const { deliveries, redeliveries, returned } = await group.state();
    assert.deepEqual({ deliveries, redeliveries, returned }, { deliveries: 1, redeliveries: 0, returned: 2 });
    assert.deepEqual(handsOf(await group.take([3, 3], 9)), [[[1, 1], [2, 1]]]); // prettier-ignore
    assert.equal((await group.state()).redeliveries, 0);
  });

  suite('all takes can be undone at once, but for what is not held', async (store) => {
    const group = await Group.make(store, { deliveriesMax: 2 });
    await group.take([0, 6], 2, 2, 2);
    await group.step('acknowledge', group.id, leases([1, 1]));
    await group.step('giveBack', group.id, leases([2, 3]), 60_000);
    await group.step('untake', group.id, null);
    assert.deepEqual(handsOf(await group.take([6, 6], 9)), [[[2, 1], [4, 1], [5, 1], [6, 1]]]); // prettier-ignore
    group.nowMs += 60_000;
    await group.step('untake', group.id, null);
    assert.deepEqual(handsOf(await group.take([6, 6], 1)), [[[2, 2]]], 'that lease had run out');
  });

  suite('a seek goes on from another place and ends what was before', async (store) => {
    const group = await Group.make(store, { deliveriesMax: 1 });
    await group.take([0, 6], 3, 3);
    await group.step('giveBack', group.id, leases([1, 1], [1, 3]), 0);
    assert.deepEqual(await group.step('seek', group.id, { offset: 3 }), {
      kind: 'sought',
      position: 2,
    });
    const acknowledged = await group.step('acknowledge', group.id, leases([2, 4], [1, 1]));
    assert.deepEqual(said(acknowledged), ['expired', 'expired']);
    const { cursor, leased, returned, dead } = await group.state();
    assert.deepEqual({ cursor, leased, returned, dead }, { cursor: 2, leased: 0, returned: 0, dead: 1 });
    assert.deepEqual(handsOf(await group.take([2, 4], 9)), [[[3, 1], [4, 1]]]); // prettier-ignore
    assert.deepEqual(await group.step('seek', group.id, { offset: 12 }), {
      kind: 'beyond_end',
      lastOffset: 10,
    });
    assert.equal((await group.state()).leased, 2, 'a seek that is refused changes nothing');
    assert.deepEqual(await group.step('seek', group.id, 'latest'), {
      kind: 'sought',
      position: 10,
    });
  });

  suite('a push fails for so long before it is paused, and goes on where it is resumed', async (store) => {
    const push = { url: 'https://example.org/hook', secret: 'whsec_AAAA' };
    const group = await Group.make(store, { push });
    const { definition: made } = await group.state();
    assert.deepEqual(made.push, push);
    const well = { isPaused: false, failingSinceMs: null, lastFailure: null };
    assert.deepEqual((await group.state()).push, well);
    const note = (failure: string | null) => group.step('notePush', group.id, failure, 1000);

    const failingSinceMs = group.nowMs;
    assert.deepEqual(await note('HTTP 500'), { isPaused: false, failingSinceMs, lastFailure: 'HTTP 500' });
    group.nowMs += 999;
    assert.deepEqual(await note('timeout'), { isPaused: false, failingSinceMs, lastFailure: 'timeout' });
    assert.deepEqual(await note(null), well);
    group.nowMs += 1;
    const againMs = group.nowMs;
    assert.deepEqual(await note('a'), { isPaused: false, failingSinceMs: againMs, lastFailure: 'a' });
    group.nowMs += 1000;
    const paused = { isPaused: true, failingSinceMs: againMs, lastFailure: 'b' };
    assert.deepEqual(await note('b'), paused);
    assert.deepEqual((await group.state()).push, paused);
    await group.take([0, 3], 3);
    await group.step('giveBack', group.id, leases([1, 1], [1, 3]), 60_000);
    assert.deepEqual(await group.step('resume', group.id), well);
    assert.deepEqual(handsOf(await group.take([3, 3], 9)), [[[1, 2], [3, 2]]]); // prettier-ignore
    assert.deepEqual((await group.state()).push, well);
    const [immediate] = await store.groups.apply(1, [['notePush', group.id, 'gone', 0]]);
    assert.equal(immediate!.isPaused, true);
    for (const change of [
      null,
      { ...push, url: 'https://example.org/' },
      { ...push, secret: 'whsec_BBBB' },
    ]) {
      const other = await group.step('create', definition({ push: change }));
      assert.deepEqual(other, { kind: 'differs', field: 'push' });
    }
  });

  suite('a group that is removed is gone with all it held', async (store) => {
    const group = await Group.make(store);
    await group.take([0, 3], 3);
    assert.equal(await group.step('remove', group.id), true);
    assert.equal(await group.step('remove', group.id), false);
    const { id } = group;
    const fresh = { after: 0, upTo: 0, offsets: new Float64Array(0), bytes: new Int32Array(0) };
    const gone = await store.groups.apply(group.nowMs, [
      ['take', id, { demands: [1], bytesMax: 1, fresh, outstandingMax: 1 }],
      ['untake', id, 1],
      ['acknowledge', id, leases([1, 1])],
      ['giveBack', id, leases([1, 1]), 0],
      ['extend', id, leases([1, 1]), 9],
      ['seek', id, 'earliest'],
      ['replay', id, null, 9],
      ['notePush', id, null, 9],
      ['resume', id],
      ['state', id],
      ['dead', id, 0, 9],
    ]);
    assert.deepEqual(gone, Array(11).fill(null));
    const again = await Group.make(store);
    assert.notEqual(again.id, id, 'what is late for the old one must not hit the new one');
    assert.equal((await again.state()).leased, 0);
  });

  suite('groups are listed in the order of the bytes of their names', async (store) => {
    for (const name of ['b', 'a.1', 'Z', 'a-1']) await Group.make(store, { name });
    const [states] = await store.groups.apply(0, [['list']]);
    assert.deepEqual(
      states.map((state) => state.definition.name),
      ['Z', 'a-1', 'a.1', 'b'],
    );
  });
}
