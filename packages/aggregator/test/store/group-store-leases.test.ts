import assert from 'node:assert/strict';
import { LEASE_MS, StoredGroup, handsOf, leases, said, suite } from '../support/stored-group.ts';

suite(
  'an acknowledged event is not delivered again, and moves the cursor with its neighbours',
  async (setting) => {
    const group = await StoredGroup.make(setting);
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

suite('the state of each lease is reported', async (setting) => {
  const group = await StoredGroup.make(setting);
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
  assert.deepEqual(await acknowledge([2, 3]), ['expired'], 'although nobody else has it');
  const extend = await group.step('extend', group.id, leases([2, 3], [1, 1]), LEASE_MS);
  assert.deepEqual(said(extend), ['expired', 'settled']);
  await group.take([5, 5], 9);
  assert.deepEqual(await acknowledge([2, 3], [3, 3]), ['settled', 'done']);
});

suite(
  'events whose lease ran out or was given back are redelivered when due, longest due first',
  async (setting) => {
    const group = await StoredGroup.make(setting);
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
  const group = await StoredGroup.make(setting);
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
    const group = await StoredGroup.make(setting, { deliveriesMax: 2 });
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
  const group = await StoredGroup.make(setting, { deliveriesMax: 1 });
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
  const group = await StoredGroup.make(setting, { deliveriesMax: 1 });
  await group.take([0, 3], 2, 1);
  await group.step('untake', group.id, 1);
  const { deliveries, redeliveries, returned } = await group.state();
  assert.deepEqual({ deliveries, redeliveries, returned }, { deliveries: 1, redeliveries: 0, returned: 2 });
  assert.deepEqual(handsOf(await group.take([3, 3], 9)), [[[1, 1], [2, 1]]]); // prettier-ignore
  assert.equal((await group.state()).redeliveries, 0);
});

suite('all takes can be undone at once, except for leases that no longer hold', async (setting) => {
  const group = await StoredGroup.make(setting, { deliveriesMax: 2 });
  await group.take([0, 6], 2, 2, 2);
  await group.step('acknowledge', group.id, leases([1, 1]));
  await group.step('giveBack', group.id, leases([2, 3]), 60_000);
  await group.step('untake', group.id, null);
  assert.deepEqual(handsOf(await group.take([6, 6], 9)), [[[2, 1], [4, 1], [5, 1], [6, 1]]]); // prettier-ignore
  group.clock.ms += 60_000;
  await group.step('untake', group.id, null);
  assert.deepEqual(handsOf(await group.take([6, 6], 1)), [[[2, 2]]], 'that lease had run out');
});

suite('a seek continues from another place and ends earlier leases', async (setting) => {
  const group = await StoredGroup.make(setting, { deliveriesMax: 1 });
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
  assert.equal((await group.state()).leased, 2, 'a refused seek changes nothing');
  assert.deepEqual(await group.step('seek', group.id, 'latest'), {
    kind: 'sought',
    position: 10,
  });
});
