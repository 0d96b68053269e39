import assert from 'node:assert/strict';
import { LIMITS } from '@chronicleweaver/protocol';
import type { GroupNews } from '../../src/store/group-news.ts';
import { LEASE_MS, StoredGroup, definition, leases, readAhead, suite } from '../support/stored-group.ts';

suite(
  'a group is created once, and another definition under its name differs in a field',
  async (setting) => {
    const group = await StoredGroup.make(setting, { topics: ['a', 'b.>'], start: { offset: 4 } });
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
  },
);

suite('a group begins where requested, and not beyond the end', async (setting) => {
  const group = new StoredGroup(setting);
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

suite('a group is found by its name', async (setting) => {
  const group = await StoredGroup.make(setting);
  assert.deepEqual(await group.step('find', 'workers'), await group.state());
  assert.equal(await group.step('find', 'Workers'), null);
  await group.step('remove', group.id);
  assert.equal(await group.step('find', 'workers'), null);
});

suite('the number of groups is limited', async (setting) => {
  const named = (i: number) => ['create', definition({ name: `g-${i}` })] as const;
  await setting.store.groups.apply(Array.from({ length: LIMITS.groupsMax }, (_, i) => named(i)));
  const group = new StoredGroup(setting);
  assert.deepEqual(await group.step(...named(-1)), { kind: 'full', groups: LIMITS.groupsMax });
  assert.equal((await group.step(...named(7))).kind, 'same');
});

suite('changes that matter to waiting pulls are reported, in order', async (setting) => {
  const told: GroupNews[] = [];
  const stop = setting.store.groups.watch((news) => told.push(news));
  const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
  const group = await StoredGroup.make(setting, { push });
  const { id } = group;
  await group.take([0, 3], 3);
  await group.take([3, 3], 3);
  await group.step('acknowledge', id, leases([1, 1]));
  await group.step('giveBack', id, leases([1, 2]), 70);
  await group.step('extend', id, leases([1, 3]), 50);
  await group.step('untake', id, 1);
  await group.step('notePush', id, 'HTTP 500', 1000);
  await group.step('pause', id);
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
  // News of others arrives in any order.
  if (setting.name === 'memory, many instances') assert.deepEqual(inOrder(told), inOrder(expected));
  else assert.deepEqual(told, expected);
  stop();
  await StoredGroup.make(setting, { name: 'another' });
  assert.equal(told.length, expected.length);
});

suite('a removed group is gone, with everything it held', async (setting) => {
  const group = await StoredGroup.make(setting);
  await group.take([0, 3], 3);
  assert.equal(await group.step('remove', group.id), true);
  assert.equal(await group.step('remove', group.id), false);
  const { id } = group;
  const gone = await setting.store.groups.apply([
    ['take', id, { demands: [1], bytesMax: 1, readAhead: readAhead(0, 0), outstandingMax: 1 }],
    ['untake', id, 1],
    ['acknowledge', id, leases([1, 1])],
    ['expire', id, leases([1, 1])],
    ['giveBack', id, leases([1, 1]), 0],
    ['extend', id, leases([1, 1]), 9],
    ['seek', id, 'earliest'],
    ['replay', id, null, 9],
    ['claimPush', id, 'me', 9],
    ['releasePush', id, 'me'],
    ['failPush', id, leases([1, 1]), { target: { url: '', secrets: [] }, reason: '', pauseAfterMs: 9, delayMs: 9 }], // prettier-ignore
    ['notePush', id, null, 9],
    ['pause', id],
    ['resume', id],
    ['state', id],
    ['outstanding', id, 0, 9],
    ['returned', id, 0, 9],
    ['dead', id, 0, 9],
  ]);
  assert.deepEqual(gone, Array(18).fill(null));
  const again = await StoredGroup.make(setting);
  assert.notEqual(again.id, id, 'what is late for the old one must not hit the new one');
  assert.equal((await again.state()).leased, 0);
});

suite('groups are listed in the order of the bytes of their names', async (setting) => {
  for (const name of ['b', 'a.1', 'Z', 'a-1']) await StoredGroup.make(setting, { name });
  const [states] = await setting.store.groups.apply([['list']]);
  assert.deepEqual(
    states.map((state) => state.definition.name),
    ['Z', 'a-1', 'a.1', 'b'],
  );
});
