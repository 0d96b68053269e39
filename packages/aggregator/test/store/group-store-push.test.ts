import assert from 'node:assert/strict';
import { StoredGroup, definition, handsOf, leases, suite } from '../support/stored-group.ts';

suite('a push fails for some time before it is paused, and continues when it is resumed', async (setting) => {
  const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
  const group = await StoredGroup.make(setting, { push });
  const { definition: made } = await group.state();
  assert.deepEqual(made.push, push);
  const well = { pausedBy: null, failingSinceMs: null, lastFailure: null };
  assert.deepEqual((await group.state()).push, well);
  const note = (failure: string | null) => group.step('notePush', group.id, failure, 1000);
  await group.take([0, 3], 3);
  await group.step('acknowledge', group.id, leases([1, 2]));
  await group.step('giveBack', group.id, leases([1, 1], [1, 3]), 60_000);

  const failingSinceMs = group.clock.ms;
  assert.deepEqual(await note('HTTP 500'), { pausedBy: null, failingSinceMs, lastFailure: 'HTTP 500' });
  group.clock.ms += 999;
  assert.deepEqual(await note('timeout'), { pausedBy: null, failingSinceMs, lastFailure: 'timeout' });
  assert.deepEqual(await note(null), well);
  group.clock.ms += 1;
  const againMs = group.clock.ms;
  assert.deepEqual(await note('a'), { pausedBy: null, failingSinceMs: againMs, lastFailure: 'a' });
  group.clock.ms += 1000;
  const paused = { pausedBy: 'failures' as const, failingSinceMs: againMs, lastFailure: 'b' };
  assert.deepEqual(await note('b'), paused);
  assert.deepEqual((await group.state()).push, paused);
  assert.deepEqual(await group.step('resume', group.id), well);
  assert.deepEqual(handsOf(await group.take([3, 3], 9)), [[[1, 2], [3, 2]]]); // prettier-ignore
  assert.deepEqual((await group.state()).push, well);
  const immediate = await group.step('notePush', group.id, 'gone', 0);
  assert.equal(immediate!.pausedBy, 'failures');
  const pulled = await group.step('create', definition({ push: null }));
  assert.deepEqual(pulled, { kind: 'differs', field: 'push' });
});

suite(
  'a new url, new secrets or another format change a push and nothing else, and resume it',
  async (setting) => {
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
    const group = await StoredGroup.make(setting, { push });
    await group.take([0, 2], 2);
    await group.take([2, 4], 1);
    await group.step('giveBack', group.id, leases([1, 1]), 60_000);
    for (const next of [
      { ...push, url: 'https://example.org/' },
      { ...push, format: 'cloudevents' as const },
      { url: 'https://example.com/', secrets: ['whsec_AAAA', 'whsec_BBBB', 'whsec_CCCC'] },
      { url: 'https://example.com/', secrets: ['whsec_CCCC'] },
    ]) {
      await group.step('notePush', group.id, 'HTTP 410', 0);
      const before = await group.state();
      const changed = await group.step('create', definition({ push: next }));
      const state = { ...before, definition: { ...before.definition, push: next } };
      const well = { pausedBy: null, failingSinceMs: null, lastFailure: null };
      assert.deepEqual(changed, { kind: 'changed', state: { ...state, push: well } });
      assert.deepEqual(await group.state(), { ...state, push: well });
      assert.deepEqual((await group.step('claimPush', group.id, 'me', 9))!.push, next);
      await group.step('releasePush', group.id, 'me');
    }
  },
);

suite(
  'a pause on request lasts until a resume, whatever its target, and nothing is leased meanwhile',
  async (setting) => {
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
    const group = await StoredGroup.make(setting, { push });
    const note = (failure: string | null) => group.step('notePush', group.id, failure, 1000);
    await group.take([0, 2], 2);
    await note('HTTP 500');
    const failingSinceMs = group.clock.ms;
    const asked = { pausedBy: 'request' as const, failingSinceMs, lastFailure: 'HTTP 500' };
    for (let turn = 0; turn < 2; turn++) assert.deepEqual(await group.step('pause', group.id), asked);
    await group.step('acknowledge', group.id, leases([1, 2]));
    await group.step('giveBack', group.id, leases([1, 1]), 0);

    const { hands, ...rest } = await group.take([2, 4], 2);
    assert.deepEqual(rest, { nextDueInMs: null, isPaused: true, position: 2, outstanding: 1 });
    assert.equal(hands[0]!.offsets.length, 0);
    assert.deepEqual((await group.step('claimPush', group.id, 'me', 9))!.state, asked);
    group.clock.ms += 1000;
    assert.deepEqual(await note('b'), { ...asked, lastFailure: 'b' }, 'an attempt that was under way counts');
    assert.deepEqual(await note(null), { ...asked, failingSinceMs: null, lastFailure: null });
    await note('c');
    const next = { ...push, url: 'https://example.com/' };
    const well = { pausedBy: 'request', failingSinceMs: null, lastFailure: null };
    await group.step('create', definition({ push: next }));
    assert.deepEqual((await group.state()).push, well, 'another target does not end it');
    assert.deepEqual(await group.step('resume', group.id), { ...well, pausedBy: null });
    assert.deepEqual(handsOf(await group.take([2, 4], 2)), [[[1, 2], [3, 1]]]); // prettier-ignore
    await note('HTTP 410');
    group.clock.ms += 1000;
    assert.equal((await note('HTTP 410'))!.pausedBy, 'failures', 'what was asked for once is forgotten');
    assert.equal((await group.step('pause', group.id))!.pausedBy, 'request');
  },
);

suite('a definition that differs only in the order of its secrets changes nothing', async (setting) => {
  const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA', 'whsec_BBBB'] };
  const group = await StoredGroup.make(setting, { push });
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
  assert.deepEqual(await group.state(), state, 'a refused change has no effect');
});

suite(
  'a failed push is given back and noted, but one to a target that has been changed does not count',
  async (setting) => {
    const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
    const group = await StoredGroup.make(setting, { push, deliveriesMax: 2 });
    const fail = (take: number, target: typeof push) =>
    group.step('failPush', group.id, leases([take, 1]), { target, reason: 'HTTP 410', pauseAfterMs: 0, delayMs: 70 }); // prettier-ignore
    const well = { pausedBy: null, failingSinceMs: null, lastFailure: null };
    const paused = { pausedBy: 'failures' as const, failingSinceMs: group.clock.ms, lastFailure: 'HTTP 410' };

    await group.take([0, 1], 1);
    assert.deepEqual(await fail(1, push), { state: paused, dueInMs: 70 });
    assert.equal((await group.take([1, 1], 1)).isPaused, true);
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

suite('one sender at a time may send, and when another takes over nothing is under way', async (setting) => {
  const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
  const group = await StoredGroup.make(setting, { push });
  const claim = (sender: string) => group.step('claimPush', group.id, sender, 500);
  const held = { isHeld: true, othersForMs: 0, push, state: (await group.state()).push };
  assert.deepEqual(await claim('one'), held);
  await group.take([0, 4], 1);
  group.clock.ms += 200;
  assert.deepEqual(await claim('two'), { ...held, isHeld: false, othersForMs: 300 });
  assert.deepEqual(await claim('one'), held, 'it is renewed');
  assert.equal((await group.state()).leased, 1, 'its delivery is still under way');
  group.clock.ms += 499;
  assert.equal((await claim('two'))!.othersForMs, 1);
  group.clock.ms += 1;
  assert.deepEqual(await claim('two'), held, 'the claim has run out');
  assert.deepEqual(
    handsOf(await group.take([1, 4], 1)),
    [[[1, 1]]],
    'the interrupted delivery does not count',
  );
  await group.step('releasePush', group.id, 'one');
  assert.equal((await claim('one'))!.isHeld, false, 'only its holder can release it');
  await group.step('releasePush', group.id, 'two');
  assert.deepEqual(await claim('one'), held);
  assert.deepEqual(handsOf(await group.take([1, 4], 1)), [[[1, 1]]]);
  const pulled = await StoredGroup.make(setting, { name: 'pulled' });
  assert.equal(await pulled.step('claimPush', pulled.id, 'one', 500), null);
});
