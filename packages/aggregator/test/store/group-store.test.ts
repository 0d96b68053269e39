import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import type { EventStore } from '../../src/store/event-store.ts';
import type { GroupNews } from '../../src/store/group-news.ts';
import {
  type Definition,
  type LeaseStates,
  type Leases,
  type Step,
  type GroupState,
  type Taken,
} from '../../src/store/group-store.ts';
import { batchOf, manyEvents } from '../support/events.ts';
import { STORES, TestClock } from '../support/stores.ts';

const LEASE_MS = 1000;

interface Setting {
  readonly store: EventStore;
  readonly clock: TestClock;
}

/** A group to all, with time in the test's hand. */
class Group {
  readonly store: EventStore;
  readonly clock: TestClock;
  id = 0;

  constructor({ store, clock }: Setting) {
    this.store = store;
    this.clock = clock;
  }

  static async make(setting: Setting, change: Partial<Definition> = {}): Promise<Group> {
    const group = new Group(setting);
    const created = await group.step('create', definition(change));
    assert.ok(created.kind === 'created', JSON.stringify(created));
    group.id = created.state.id;
    return group;
  }

  async step<const S extends Step>(...step: S) {
    const [outcome] = await this.store.groups.apply([step]);
    return outcome;
  }

  /** Takes, offering the offsets above `after` up to `upTo` as read ahead; null offers nothing. */
  async take(ahead: [after: number, upTo: number] | null, ...demands: number[]): Promise<Taken> {
    const [after, upTo] = ahead ?? [0, 0];
    const offsets = Float64Array.from({ length: upTo - after }, (_, i) => after + 1 + i);
    const bytes = new Int32Array(offsets.length).fill(100);
    const taken = await this.step('take', this.id, {
      demands,
      bytesMax: 1000,
      readAhead: ahead && { after, upTo, offsets, bytes },
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
  const suite = (behaviour: string, run: (setting: Setting) => Promise<void>): void => {
    test(`${name}: ${behaviour}`, async (t) => {
      const clock = new TestClock(1_000_000);
      let store: EventStore | undefined;
      t.after(() => store?.close());
      store = await open(t, clock);
      await store.append([batchOf(...manyEvents(10))]);
      await run({ store, clock });
    });
  };

  suite('a group is made once, and another definition of its name differs in a field', async (setting) => {
    const group = await Group.make(setting, { topics: ['a', 'b.>'], start: { offset: 4 } });
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

  suite('a group begins where it is asked to, and not beyond the end', async (setting) => {
    const group = new Group(setting);
    group.clock.ms += 60_000;
    const places = [
      ['earliest', 0],
      ['latest', 10],
      [{ offset: 0 }, 0],
      [{ offset: 1 }, 0],
      [{ offset: 11 }, 10],
      [{ timeMs: 0 }, 0],
      [{ timeMs: group.clock.ms }, 10],
    ] as const;
    for (const [start, position] of places) {
      const created = await group.step('create', definition({ name: JSON.stringify(start), start }));
      assert.ok(created.kind === 'created');
      assert.equal(created.state.position, position, JSON.stringify(start));
      assert.equal(created.state.cursor, position);
    }
    for (const start of [{ offset: 12 }, { timeMs: group.clock.ms + 1 }]) {
      const created = await group.step('create', definition({ name: 'beyond', start }));
      assert.deepEqual(created, { kind: 'beyond_end', lastOffset: 10 });
    }
    assert.equal((await group.step('list')).length, places.length);
  });

  suite('fresh events are leased in order, each to one', async (setting) => {
    const group = await Group.make(setting);
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
    assert.equal(taken.nextDueInMs, LEASE_MS);
    const { leased, returned, cursor, position, deliveries, redeliveries } = await group.state();
    assert.deepEqual(
      { leased, returned, cursor, position, deliveries, redeliveries },
      { leased: 9, returned: 0, cursor: 0, position: 9, deliveries: 9, redeliveries: 0 },
    );
  });

  suite(
    'what was read ahead from another place is passed over, and the next events are found',
    async (setting) => {
      const group = await Group.make(setting);
      await group.take([0, 4], 4);
      assert.deepEqual(handsOf(await group.take([0, 4], 1, 1)), [[[5, 1]], [[6, 1]]]);
      assert.deepEqual(handsOf(await group.take([8, 9], 1)), [[[7, 1]]]);
      assert.deepEqual(handsOf(await group.take(null, 5)), [[[8, 1], [9, 1], [10, 1]]]); // prettier-ignore
      const { position, outstanding } = await group.take(null, 5);
      assert.deepEqual({ position, outstanding }, { position: 10, outstanding: 10 });
    },
  );

  suite('the events that are found are those of its topics, within the same bounds', async (setting) => {
    const topics = ['a', 'other', 'b.x', 'a', 'other'];
    await setting.store.append([
      batchOf(...manyEvents(20, (i) => ({ topic: topics[i % 5]!, event_id: `t-${i}`, payload: { i } }))),
    ]);
    const group = await Group.make(setting, { topics: ['a', 'b.*'] });
    assert.deepEqual(handsOf(await group.take(null, 0)), [[]]);
    assert.equal((await group.state()).position, 0, 'nothing was asked for');
    const one = await group.take(null, 1);
    assert.deepEqual(handsOf(one), [[[11, 1]]]);
    assert.equal(one.position, 11);
    // 1000 bytes are some six of these events, as GET /events gives them.
    const page = await setting.store.readAt(Float64Array.of(13, 14, 16, 18, 19, 21, 23, 24, 26));
    const bytes = Array.from(page.ends, (end, i) => end - (page.ends[i - 1] ?? 0) - 1);
    let sum = 0;
    const fitting = bytes.findIndex((length) => (sum += length) > 1000);
    const [hand] = handsOf(await group.take(null, 50));
    assert.equal(hand!.length, fitting);
    assert.deepEqual(hand!.map(([offset]) => offset), [13, 14, 16, 18, 19, 21, 23, 24, 26].slice(0, fitting)); // prettier-ignore
    for (let i = 0; i < 5; i++) await group.take(null, 50);
    assert.equal((await group.state()).position, 30, 'all of the log was looked at');
    assert.equal((await group.state()).leased, 12);
    const { offsets } = (await group.take(null, 50)).hands[0]!;
    assert.equal(offsets.length, 0);
  });

  suite(
    'no more is leased than its bounds in events, bytes and what is outstanding allow',
    async (setting) => {
      const group = await Group.make(setting);
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
    },
  );

  suite('an event larger than the bound in bytes is leased alone', async (setting) => {
    const group = await Group.make(setting);
    const taken = await group.step('take', group.id, {
      demands: [5],
      bytesMax: 10,
      readAhead: { after: 0, upTo: 2, offsets: Float64Array.of(1, 2), bytes: Int32Array.of(11, 1) },
      outstandingMax: 50,
    });
    assert.deepEqual(handsOf(taken!), [[[1, 1]]]);
    assert.equal(taken!.position, 1);
  });

  suite('a scan that found nothing moves the position', async (setting) => {
    const group = await Group.make(setting);
    const fresh = { after: 0, upTo: 7, offsets: new Float64Array(0), bytes: new Int32Array(0) };
    const taken = await group.step('take', group.id, {
      demands: [5],
      bytesMax: 10,
      readAhead: fresh,
      outstandingMax: 50,
    });
    assert.equal(taken!.position, 7);
    assert.equal((await group.state()).cursor, 7);
  });

  suite(
    'an acknowledged event is not delivered again, and moves the cursor with its neighbours',
    async (setting) => {
      const group = await Group.make(setting);
      await group.take([0, 4], 4);
      assert.deepEqual(said(await group.step('acknowledge', group.id, leases([1, 2]))), ['done']);
      assert.equal((await group.state()).cursor, 0);
      const states = await group.step('acknowledge', group.id, leases([1, 1], [1, 4]));
      assert.deepEqual(said(states), ['done', 'done']);
      const { cursor, acknowledged, leased } = await group.state();
      assert.deepEqual({ cursor, acknowledged, leased }, { cursor: 2, acknowledged: 3, leased: 1 });
      group.clock.ms += LEASE_MS;
      assert.deepEqual(handsOf(await group.take([4, 4], 4)), [[[3, 2]]]);
      assert.deepEqual(said(await group.step('acknowledge', group.id, leases([2, 3]))), ['done']);
      assert.equal((await group.state()).cursor, 4);
    },
  );

  suite('what a lease is good for is said of each', async (setting) => {
    const group = await Group.make(setting);
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
    group.clock.ms += LEASE_MS;
    assert.deepEqual(await acknowledge([2, 3]), ['expired'], 'although nobody else was given it');
    const extend = await group.step('extend', group.id, leases([2, 3], [1, 1]), LEASE_MS);
    assert.deepEqual(said(extend), ['expired', 'settled']);
    await group.take([5, 5], 9);
    assert.deepEqual(await acknowledge([2, 3], [3, 3]), ['settled', 'done']);
  });

  suite(
    'what runs out or is given back is delivered again when it is due, longest due first',
    async (setting) => {
      const group = await Group.make(setting);
      await group.take([0, 6], 6);
      await group.step('giveBack', group.id, leases([1, 5], [1, 6]), 300);
      await group.step('giveBack', group.id, leases([1, 4]), 0);
      assert.deepEqual(handsOf(await group.take([6, 7], 2)), [[[4, 2], [7, 1]]]); // prettier-ignore
      const waiting = await group.take([7, 7], 2);
      assert.deepEqual(handsOf(waiting), [[]]);
      assert.equal(waiting.nextDueInMs, 300);
      const { leased, returned } = await group.state();
      assert.deepEqual({ leased, returned }, { leased: 5, returned: 2 });
      group.clock.ms += LEASE_MS;
      assert.deepEqual(handsOf(await group.take([7, 8], 3, 9)), [
      [[5, 2], [6, 2], [1, 2]],
      [[2, 2], [3, 2], [4, 3], [7, 2], [8, 1]],
    ]); // prettier-ignore
      const { deliveries, redeliveries } = await group.state();
      assert.deepEqual({ deliveries, redeliveries }, { deliveries: 16, redeliveries: 8 });
    },
  );

  suite('a lease that is extended ends later', async (setting) => {
    const group = await Group.make(setting);
    await group.take([0, 2], 2);
    group.clock.ms += LEASE_MS - 1;
    const extended = await group.step('extend', group.id, leases([1, 1]), 5000);
    assert.deepEqual(said(extended), ['done']);
    group.clock.ms += 1;
    assert.deepEqual(handsOf(await group.take([2, 2], 9)), [[[2, 2]]]);
    group.clock.ms += 4998;
    assert.equal((await group.state()).leased, 1);
    group.clock.ms += 1;
    assert.equal((await group.state()).leased, 0);
  });

  suite(
    'an event is dead after its last delivery, whether its lease ran out or it was given back',
    async (setting) => {
      const group = await Group.make(setting, { deliveriesMax: 2 });
      await group.take([0, 4], 4);
      await group.step('giveBack', group.id, leases([1, 1], [1, 2], [1, 3], [1, 4]), 0);
      assert.equal((await group.state()).dead, 0);
      await group.take([4, 4], 4);
      const states = await group.step('giveBack', group.id, leases([2, 1], [2, 1], [2, 3]), 60_000);
      assert.deepEqual(said(states), ['done', 'expired', 'done']);
      const givenBackMs = group.clock.ms;
      assert.equal((await group.state()).dead, 2);
      await group.step('acknowledge', group.id, leases([2, 4]));
      group.clock.ms += LEASE_MS + 5;
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

  suite('a dead event that is replayed is delivered as often as a new one', async (setting) => {
    const group = await Group.make(setting, { deliveriesMax: 1 });
    await group.take([0, 4], 4);
    group.clock.ms += LEASE_MS;
    assert.equal(await group.step('replay', group.id, [2, 4, 9], 100), 2);
    assert.equal(await group.step('replay', group.id, [2], 100), 0);
    assert.deepEqual(handsOf(await group.take([4, 4], 9)), [[[2, 1], [4, 1]]]); // prettier-ignore
    assert.equal(await group.step('replay', group.id, null, 1), 1);
    assert.deepEqual(handsOf(await group.take([4, 4], 9)), [[[1, 1]]]);
    assert.equal((await group.state()).dead, 1);
  });

  suite('a take that is undone does not count and is due at once', async (setting) => {
    const group = await Group.make(setting, { deliveriesMax: 1 });
    await group.take([0, 3], 2, 1);
    await group.step('untake', group.id, 1);
    const { deliveries, redeliveries, returned } = await group.state();
    assert.deepEqual({ deliveries, redeliveries, returned }, { deliveries: 1, redeliveries: 0, returned: 2 });
    assert.deepEqual(handsOf(await group.take([3, 3], 9)), [[[1, 1], [2, 1]]]); // prettier-ignore
    assert.equal((await group.state()).redeliveries, 0);
  });

  suite('all takes can be undone at once, but for what is not held', async (setting) => {
    const group = await Group.make(setting, { deliveriesMax: 2 });
    await group.take([0, 6], 2, 2, 2);
    await group.step('acknowledge', group.id, leases([1, 1]));
    await group.step('giveBack', group.id, leases([2, 3]), 60_000);
    await group.step('untake', group.id, null);
    assert.deepEqual(handsOf(await group.take([6, 6], 9)), [[[2, 1], [4, 1], [5, 1], [6, 1]]]); // prettier-ignore
    group.clock.ms += 60_000;
    await group.step('untake', group.id, null);
    assert.deepEqual(handsOf(await group.take([6, 6], 1)), [[[2, 2]]], 'that lease had run out');
  });

  suite('a seek goes on from another place and ends what was before', async (setting) => {
    const group = await Group.make(setting, { deliveriesMax: 1 });
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

  suite('a push fails for so long before it is paused, and goes on where it is resumed', async (setting) => {
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
    const group = await Group.make(setting, { push });
    const { definition: made } = await group.state();
    assert.deepEqual(made.push, push);
    const well = { isPaused: false, failingSinceMs: null, lastFailure: null };
    assert.deepEqual((await group.state()).push, well);
    const note = (failure: string | null) => group.step('notePush', group.id, failure, 1000);

    const failingSinceMs = group.clock.ms;
    assert.deepEqual(await note('HTTP 500'), { isPaused: false, failingSinceMs, lastFailure: 'HTTP 500' });
    group.clock.ms += 999;
    assert.deepEqual(await note('timeout'), { isPaused: false, failingSinceMs, lastFailure: 'timeout' });
    assert.deepEqual(await note(null), well);
    group.clock.ms += 1;
    const againMs = group.clock.ms;
    assert.deepEqual(await note('a'), { isPaused: false, failingSinceMs: againMs, lastFailure: 'a' });
    group.clock.ms += 1000;
    const paused = { isPaused: true, failingSinceMs: againMs, lastFailure: 'b' };
    assert.deepEqual(await note('b'), paused);
    assert.deepEqual((await group.state()).push, paused);
    await group.take([0, 3], 3);
    await group.step('giveBack', group.id, leases([1, 1], [1, 3]), 60_000);
    assert.deepEqual(await group.step('resume', group.id), well);
    assert.deepEqual(handsOf(await group.take([3, 3], 9)), [[[1, 2], [3, 2]]]); // prettier-ignore
    assert.deepEqual((await group.state()).push, well);
    const immediate = await group.step('notePush', group.id, 'gone', 0);
    assert.equal(immediate!.isPaused, true);
    const pulled = await group.step('create', definition({ push: null }));
    assert.deepEqual(pulled, { kind: 'differs', field: 'push' });
  });

  suite('another url or other secrets change a push and nothing else, and let it go on', async (setting) => {
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
    const group = await Group.make(setting, { push });
    await group.take([0, 2], 2);
    await group.take([2, 4], 1);
    await group.step('giveBack', group.id, leases([1, 1]), 60_000);
    for (const next of [
      { ...push, url: 'https://example.org/' },
      { url: 'https://example.com/', secrets: ['whsec_AAAA', 'whsec_BBBB', 'whsec_CCCC'] },
      { url: 'https://example.com/', secrets: ['whsec_CCCC'] },
    ]) {
      await group.step('notePush', group.id, 'HTTP 410', 0);
      const before = await group.state();
      const changed = await group.step('create', definition({ push: next }));
      const state = { ...before, definition: { ...before.definition, push: next } };
      const well = { isPaused: false, failingSinceMs: null, lastFailure: null };
      assert.deepEqual(changed, { kind: 'changed', state: { ...state, push: well } });
      assert.deepEqual(await group.state(), { ...state, push: well });
      assert.deepEqual((await group.step('claimPush', group.id, 'me', 9))!.push, next);
      await group.step('releasePush', group.id, 'me');
    }
  });

  suite('a definition that is the same but for the order of its secrets changes nothing', async (setting) => {
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA', 'whsec_BBBB'] };
    const group = await Group.make(setting, { push });
    await group.step('notePush', group.id, 'HTTP 410', 0);
    const state = await group.state();
    for (const secrets of [push.secrets, push.secrets.toReversed()]) {
      const same = await group.step('create', definition({ push: { ...push, secrets } }));
      assert.deepEqual(same, { kind: 'same', state });
    }
    for (const change of [{ push: null }, { leaseMs: 99 }, { topics: ['other'] }]) {
      const changed = { push: { ...push, url: 'https://example.com/' }, ...change };
      const other = await group.step('create', definition(changed));
      assert.equal(other.kind, 'differs', JSON.stringify(change));
    }
    assert.deepEqual(await group.state(), state, 'what is refused changes nothing');
  });

  suite(
    'a failed push is given back and noted, one to another target than there is now counts for nothing',
    async (setting) => {
      const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
      const group = await Group.make(setting, { push, deliveriesMax: 2 });
      const fail = (take: number, target: typeof push) =>
      group.step('failPush', group.id, leases([take, 1]), { target, reason: 'HTTP 410', pauseAfterMs: 0, delayMs: 70 }); // prettier-ignore
      const well = { isPaused: false, failingSinceMs: null, lastFailure: null };
      const paused = { isPaused: true, failingSinceMs: group.clock.ms, lastFailure: 'HTTP 410' };

      await group.take([0, 1], 1);
      assert.deepEqual(await fail(1, push), { state: paused, dueInMs: 70 });
      assert.equal((await group.take([1, 1], 1)).nextDueInMs, 70);
      const next = { ...push, secrets: ['whsec_BBBB'] };
      await group.step('create', definition({ push: next, deliveriesMax: 2 }));
      for (const take of [2, 3]) {
        assert.deepEqual(handsOf(await group.take([1, 1], 1)), [[[1, 2]]]);
        assert.deepEqual(await fail(take, push), { state: well, dueInMs: 0 });
      }
      const { deliveries, redeliveries, dead } = await group.state();
      assert.deepEqual({ deliveries, redeliveries, dead }, { deliveries: 1, redeliveries: 0, dead: 0 });
      await group.take([1, 1], 1);
      await fail(4, next);
      assert.equal((await group.state()).dead, 1, 'it was its last delivery');
    },
  );

  suite(
    'one sender at a time may send, and who gets the right from another finds nothing under way',
    async (setting) => {
      const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
      const group = await Group.make(setting, { push });
      const claim = (sender: string) => group.step('claimPush', group.id, sender, 500);
      const held = { isHeld: true, othersForMs: 0, push, state: (await group.state()).push };
      assert.deepEqual(await claim('one'), held);
      await group.take([0, 4], 1);
      group.clock.ms += 200;
      assert.deepEqual(await claim('two'), { ...held, isHeld: false, othersForMs: 300 });
      assert.deepEqual(await claim('one'), held, 'it is renewed');
      assert.equal((await group.state()).leased, 1, 'what it was sending it is sending still');
      group.clock.ms += 499;
      assert.equal((await claim('two'))!.othersForMs, 1);
      group.clock.ms += 1;
      assert.deepEqual(await claim('two'), held, 'the claim has run out');
      assert.deepEqual(
        handsOf(await group.take([1, 4], 1)),
        [[[1, 1]]],
        'the delivery that was cut does not count',
      );
      await group.step('releasePush', group.id, 'one');
      assert.equal((await claim('one'))!.isHeld, false, 'only who has it can give it back');
      await group.step('releasePush', group.id, 'two');
      assert.deepEqual(await claim('one'), held);
      assert.deepEqual(handsOf(await group.take([1, 4], 1)), [[[1, 1]]]);
      const pulled = await Group.make(setting, { name: 'pulled' });
      assert.equal(await pulled.step('claimPush', pulled.id, 'one', 500), null);
    },
  );

  suite('a group is found by its name', async (setting) => {
    const group = await Group.make(setting);
    assert.deepEqual(await group.step('find', 'workers'), await group.state());
    assert.equal(await group.step('find', 'Workers'), null);
    await group.step('remove', group.id);
    assert.equal(await group.step('find', 'workers'), null);
  });

  suite('there are as many groups as there may be', async (setting) => {
    const named = (i: number) => ['create', definition({ name: `g-${i}` })] as const;
    await setting.store.groups.apply(Array.from({ length: LIMITS.groupsMax }, (_, i) => named(i)));
    const group = new Group(setting);
    assert.deepEqual(await group.step(...named(-1)), { kind: 'full', groups: LIMITS.groupsMax });
    assert.equal((await group.step(...named(7))).kind, 'same');
  });

  suite('what steps change for those who wait is told, in order', async (setting) => {
    const told: GroupNews[] = [];
    const stop = setting.store.groups.watch((news) => told.push(news));
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
    const group = await Group.make(setting, { push });
    const { id } = group;
    await group.take([0, 3], 3);
    await group.take([3, 3], 3);
    await group.step('acknowledge', id, leases([1, 1]));
    await group.step('giveBack', id, leases([1, 2]), 70);
    await group.step('extend', id, leases([1, 3]), 50);
    await group.step('untake', id, 1);
    await group.step('notePush', id, 'HTTP 500', 1000);
    await group.step('resume', id);
    await group.step('create', definition({ push }));
    await group.step('create', definition({ push: { ...push, url: 'https://example.com/' } }));
    await group.take([3, 4], 1);
    const attempt = { target: push, reason: 'HTTP 500', pauseAfterMs: 9, delayMs: 70 };
    await group.step('failPush', id, leases([2, 4]), attempt);
    await group.step('seek', id, 'latest');
    await group.step('seek', id, { offset: 99 });
    await group.step('replay', id, null, 9);
    await group.step('remove', id);
    await group.step('acknowledge', id, leases([1, 1]));
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    const moved = (hasRoom: boolean, dueInMs: number | null) => ({ kind: 'moved', id, hasRoom, dueInMs });
    const expected = [
      { kind: 'made', id, name: 'workers', isPushed: true },
      moved(false, LEASE_MS),
      moved(true, null),
      moved(true, 70),
      moved(false, 50),
      moved(true, 0),
      { kind: 'push_changed', id },
      moved(true, 0),
      { kind: 'push_changed', id },
      moved(true, 0),
      moved(false, 0),
      moved(true, 0),
      { kind: 'sought', id, position: 10 },
      moved(true, 0),
      { kind: 'removed', id },
    ];
    const inOrder = (all: readonly unknown[]) => all.map((one) => JSON.stringify(one)).toSorted();
    // News of others come in any order.
    if (name === 'memory, many instances') assert.deepEqual(inOrder(told), inOrder(expected));
    else assert.deepEqual(told, expected);
    stop();
    await Group.make(setting, { name: 'another' });
    assert.equal(told.length, expected.length);
  });

  suite('a group that is removed is gone with all it held', async (setting) => {
    const group = await Group.make(setting);
    await group.take([0, 3], 3);
    assert.equal(await group.step('remove', group.id), true);
    assert.equal(await group.step('remove', group.id), false);
    const { id } = group;
    const fresh = { after: 0, upTo: 0, offsets: new Float64Array(0), bytes: new Int32Array(0) };
    const gone = await setting.store.groups.apply([
      ['take', id, { demands: [1], bytesMax: 1, readAhead: fresh, outstandingMax: 1 }],
      ['untake', id, 1],
      ['acknowledge', id, leases([1, 1])],
      ['giveBack', id, leases([1, 1]), 0],
      ['extend', id, leases([1, 1]), 9],
      ['seek', id, 'earliest'],
      ['replay', id, null, 9],
      ['claimPush', id, 'me', 9],
      ['releasePush', id, 'me'],
      ['failPush', id, leases([1, 1]), { target: { url: '', secrets: [] }, reason: '', pauseAfterMs: 9, delayMs: 9 }], // prettier-ignore
      ['notePush', id, null, 9],
      ['resume', id],
      ['state', id],
      ['dead', id, 0, 9],
    ]);
    assert.deepEqual(gone, Array(14).fill(null));
    const again = await Group.make(setting);
    assert.notEqual(again.id, id, 'what is late for the old one must not hit the new one');
    assert.equal((await again.state()).leased, 0);
  });

  suite('groups are listed in the order of the bytes of their names', async (setting) => {
    for (const name of ['b', 'a.1', 'Z', 'a-1']) await Group.make(setting, { name });
    const [states] = await setting.store.groups.apply([['list']]);
    assert.deepEqual(
      states.map((state) => state.definition.name),
      ['Z', 'a-1', 'a.1', 'b'],
    );
  });
}
