import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksIn } from '../support/held-stream.ts';
import { A, Following, PIECE_BYTES, settle, withMockedTimers } from '../support/following.ts';

test('a follower is told of what has expired where it would have come, and goes on [RET-25]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  await setting.commit('a', 'a', 'b', 'a', 'a', 'b', 'a');
  await setting.expire(2);
  await setting.expire(5, true);
  await setting.expire(6, true);
  const [some, all] = [setting.follow(A, 0, 1e6), setting.follow({}, 0, 1e6)];
  await settle();
  await setting.commit('a');
  await settle();
  const first = { expired: 2, after: 0, next: 2 };
  assert.deepEqual(blocksIn(some.taken).told, [first, 4, { expired: 1, after: 4, next: 5 }, 7, 8]);
  assert.deepEqual(blocksIn(all.taken).told, [first, 3, 4, { expired: 2, after: 4, next: 6 }, 7, 8]);
  setting.followers.close();
});

test('what expires before it was written to a slow follower is told as a gap, though it had been kept at hand [RET-25]', async (t) => {
  withMockedTimers(t);
  const setting = new Following({ windowBytesMax: 1e6, pieceBytesMax: PIECE_BYTES });
  const slow = setting.follow({}, 0);
  slow.hold();
  for (let i = 0; i < 6; i++) {
    await setting.commit('a', 'a');
    await settle();
  }
  const before = blocksIn(slow.pieces.map((piece) => Buffer.from(piece).toString()).join('')).offsets.length;
  assert.ok(before < 8);
  await setting.expire(10);
  assert.equal(setting.store.asked, 0);
  slow.release();
  await settle();
  const { told } = blocksIn(slow.taken);
  const gap = told.find((one) => typeof one !== 'number');
  assert.deepEqual(told.slice(-3), [gap, 11, 12]);
  assert.ok(gap !== undefined && gap.next === 10 && gap.expired === 10 - gap.after);
  setting.followers.close();
});

test('what expires between its commit and its delivery is told as a gap, and not handed out [RET-25]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  const live = setting.follow(A, 0, 1e6);
  await setting.commit('a');
  await settle();
  await setting.commit('a', 'b', 'a');
  await setting.expire(2, true);
  await settle();
  assert.deepEqual(blocksIn(live.taken).told, [1, { expired: 1, after: 1, next: 2 }, 4]);
  // Another topic's event that expires is no reason to read the store.
  const { asked } = setting.store;
  await setting.commit('b', 'a');
  await setting.expire(5, true);
  await settle();
  assert.deepEqual(blocksIn(live.taken).offsets, [1, 4, 6]);
  assert.equal(setting.store.asked, asked);
  setting.followers.close();
});

test('what expires while its page is on its way from the store is not handed out either [RET-25]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  await setting.commit('a', 'a', 'a', 'a', 'a');
  setting.store.hold();
  const stream = setting.follow(A, 0, 1e6);
  await settle();
  await setting.expire(2, true);
  await setting.expire(5, true);
  setting.store.releaseOne(0, false);
  await settle();
  assert.equal(stream.taken, '');
  setting.store.releaseAll();
  await settle();
  assert.deepEqual(blocksIn(stream.taken).told, [
    1,
    { expired: 1, after: 1, next: 2 },
    3,
    4,
    { expired: 1, after: 4, next: 5 },
  ]);
  setting.followers.close();
});

test('a strict follower ends before a gap, unless it has not begun [RET-26]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  await setting.commit('a', 'a', 'a', 'a', 'a', 'a', 'a', 'a');
  await setting.expire(4);
  await setting.expire(6, true);
  const other = setting.follow(A, 0, 1e6);
  const [fromStart, behind, beyond] = [0, 1, 6].map((after) => setting.follow(A, after, 1e6, true));
  await settle();
  assert.deepEqual(blocksIn(fromStart!.taken).told, [{ expired: 4, after: 0, next: 4 }, 5]);
  assert.equal(fromStart!.writableEnded, true);
  assert.deepEqual(blocksIn(other.taken).offsets, [5, 7, 8]);
  assert.deepEqual([blocksIn(behind!.taken).told, behind!.writableEnded], [[], true]);
  assert.deepEqual([blocksIn(beyond!.taken).told, beyond!.writableEnded], [[7, 8], false]);
  await setting.commit('a', 'a');
  await setting.expire(9, true);
  await settle();
  assert.deepEqual([blocksIn(beyond!.taken).told, beyond!.writableEnded], [[7, 8], true]);
  setting.followers.close();
});
