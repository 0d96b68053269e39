import assert from 'node:assert/strict';
import { FreshEventsFound } from '../../src/store/fresh-events.ts';
import { batchOf, manyEvents } from '../support/events.ts';
import { LEASE_MS, StoredGroup, handsOf, leases, readAhead, suite } from '../support/stored-group.ts';

suite('fresh events are leased in order, each to one', async (setting) => {
  const group = await StoredGroup.make(setting);
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

suite('events read ahead from another place are ignored, and the next ones are found', async (setting) => {
  const group = await StoredGroup.make(setting);
  await group.take([0, 4], 4);
  assert.deepEqual(handsOf(await group.take([0, 4], 1, 1)), [[[5, 1]], [[6, 1]]]);
  assert.deepEqual(handsOf(await group.take([8, 9], 1)), [[[7, 1]]]);
  assert.deepEqual(handsOf(await group.take(null, 5)), [[[8, 1], [9, 1], [10, 1]]]); // prettier-ignore
  const { position, outstanding } = await group.take(null, 5);
  assert.deepEqual({ position, outstanding }, { position: 10, outstanding: 10 });
});

suite('the store finds only events on its topics, within the same bounds', async (setting) => {
  const topics = ['a', 'other', 'b.x', 'a', 'other'];
  await setting.store.append([
    batchOf(...manyEvents(20, (i) => ({ topic: topics[i % 5]!, event_id: `t-${i}`, payload: { i } }))),
  ]);
  const group = await StoredGroup.make(setting, { topics: ['a', 'b.*'] });
  assert.deepEqual(handsOf(await group.take(null, 0)), [[]]);
  assert.equal((await group.state()).position, 0, 'nothing was asked for');
  const one = await group.take(null, 1);
  assert.deepEqual(handsOf(one), [[[11, 1]]]);
  assert.equal(one.position, 11);
  // 1000 bytes hold about six of these events, as GET /events gives them.
  const page = await setting.store.readAt(Float64Array.of(13, 14, 16, 18, 19, 21, 23, 24, 26));
  const bytes = Array.from(page.ends, (end, i) => end - (page.ends[i - 1] ?? 0) - 1);
  let sum = 0;
  const fitting = bytes.findIndex((length) => (sum += length) > 1000);
  const [hand] = handsOf(await group.take(null, 50));
  assert.equal(hand!.length, fitting);
  assert.deepEqual(hand!.map(([offset]) => offset), [13, 14, 16, 18, 19, 21, 23, 24, 26].slice(0, fitting)); // prettier-ignore
  for (let i = 0; i < 5; i++) await group.take(null, 50);
  assert.equal((await group.state()).position, 30, 'the whole log was examined');
  assert.equal((await group.state()).leased, 12);
  const { offsets } = (await group.take(null, 50)).hands[0]!;
  assert.equal(offsets.length, 0);
});

suite('no more is leased than its bounds in events, bytes and what is outstanding allow', async (setting) => {
  const group = await StoredGroup.make(setting);
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

suite('an event larger than the bound in bytes is leased alone', async (setting) => {
  const group = await StoredGroup.make(setting);
  const taken = await group.step('take', group.id, {
    demands: [5],
    bytesMax: 10,
    readAhead: { ...readAhead(0, 2), bytes: Int32Array.of(11, 1) },
    outstandingMax: 50,
  });
  assert.deepEqual(handsOf(taken!), [[[1, 1]]]);
  assert.equal(taken!.position, 1);
});

suite('a scan that found nothing moves the position', async (setting) => {
  const group = await StoredGroup.make(setting);
  const taken = await group.step('take', group.id, {
    demands: [5],
    bytesMax: 10,
    readAhead: new FreshEventsFound().end(0, 7, 0),
    outstandingMax: 50,
  });
  assert.equal(taken!.position, 7);
  assert.equal((await group.state()).cursor, 7);
});
