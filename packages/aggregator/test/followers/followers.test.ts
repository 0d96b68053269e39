import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../src/store/event-store.ts';
import { FollowRefused } from '../../src/followers/followers.ts';
import { HeldStream, blocksIn } from '../support/held-stream.ts';
import {
  A,
  EVENT_BYTES,
  Following,
  HIGH_WATER_BYTES,
  PAGE_EVENTS,
  PIECE_BYTES,
  settle,
  withMockedTimers,
} from '../support/following.ts';

for (const telling of ['bare', 'late'] as const) {
  test(`commits of other processes are read from the store if their news is ${telling} [STR-1]`, async (t) => {
    withMockedTimers(t);
    const setting = new Following();
    const [one, other] = [setting.follow(A, 0, 1e6), setting.follow({}, 0, 1e6)];
    await setting.commit('a', 'b');
    setting.store.telling = telling;
    await setting.commit('a', 'c', 'a');
    setting.store.telling = 'whole';
    await setting.commit('b', 'a');
    await settle();
    await setting.commit('a');
    await settle();
    assert.deepEqual(blocksIn(one.taken).offsets, setting.expected(A, 0));
    assert.deepEqual(blocksIn(other.taken).offsets, setting.expected({}, 0));
    setting.followers.close();
  });
}

test('a slow follower misses nothing of a hole in the news, however much is dropped after it [STR-1]', async (t) => {
  withMockedTimers(t);
  for (let commits = 0; commits < 10; commits++) {
    const setting = new Following({ windowBytesMax: 4000, pieceBytesMax: PIECE_BYTES });
    const slow = setting.follow({}, 0);
    slow.hold();
    const commit = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        await setting.commit('a', 'a');
        await settle();
      }
    };
    await commit(3);
    setting.store.telling = 'bare';
    await commit(1);
    setting.store.telling = 'whole';
    await commit(commits);
    slow.release();
    await settle();
    assert.deepEqual(blocksIn(slow.taken).offsets, setting.expected({}, 0));
    setting.followers.close();
  }
});

test('a commit at any step of catching up is neither lost nor delivered twice [STR-1]', async (t) => {
  withMockedTimers(t);
  const stored = 10;
  const pages = Math.ceil(stored / PAGE_EVENTS);
  for (let at = 0; at <= pages + 1; at++) {
    for (const isLate of [false, true]) {
      const setting = new Following();
      await setting.commit(...Array.from({ length: stored }, () => 'a'));
      setting.store.hold();
      const stream = setting.follow(A, 0, 1e6);
      for (let page = 0; page <= pages + 2; page++) {
        // Between the request for a page and its arrival, and after its arrival.
        if (page === at) await setting.commit('a', 'b', 'a');
        setting.store.releaseOne(0, isLate);
        if (page === at) await setting.commit('a');
        await settle();
      }
      setting.store.releaseAll();
      await settle();
      assert.deepEqual(blocksIn(stream.taken).offsets, setting.expected(A, 0), `page ${at}, ${isLate}`);
      setting.followers.close();
    }
  }
});

test('live events are encoded once, and every follower gets the same memory', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  const streams = Array.from({ length: 50 }, () => setting.follow(A, 0, 1e6));
  await setting.commit('a', 'a');
  await setting.commit('b');
  await settle();
  await setting.commit('a');
  await settle();
  const [first] = streams;
  assert.deepEqual(blocksIn(first!.taken).offsets, [1, 2, 4]);
  for (const { pieces } of streams) {
    assert.equal(pieces.length, 2, 'the commits of a moment go out in one write');
    for (const [i, piece] of pieces.entries()) assert.equal(piece.buffer, first!.pieces[i]!.buffer);
  }
  assert.equal(setting.store.asked, 0);
  setting.followers.close();
});

test('followers that reconnect together share reads, and never read many pages at once', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  await setting.commit(...Array.from({ length: 30 }, () => 'a'));
  const together = Array.from({ length: 40 }, () => setting.follow(A, 0, 1e6));
  await settle();
  assert.equal(setting.store.asked, 30 / PAGE_EVENTS);
  for (const { taken } of together) assert.equal(blocksIn(taken).offsets.length, 30);

  setting.store.hold();
  const apart = Array.from({ length: 20 }, (_, i) => setting.follow(A, i, 1e6));
  await settle();
  assert.equal(setting.store.waiting, 4);
  setting.store.releaseAll();
  await settle();
  for (const [i, { taken }] of apart.entries()) {
    assert.deepEqual(blocksIn(taken).offsets, setting.expected(A, i));
  }
  setting.followers.close();
});

for (const [where, windowBytesMax] of [
  ['memory', 1e6],
  ['the store', 2000],
] as const) {
  test(`a slow follower gets more only as it drains its stream, then from ${where} [STR-8]`, async (t) => {
    withMockedTimers(t);
    const setting = new Following({ windowBytesMax, pieceBytesMax: PIECE_BYTES });
    const slow = setting.follow({}, 0);
    const quick = setting.follow({}, 0, 1e6);
    const assertBounded = (): void => {
      assert.ok(slow.writableLength < HIGH_WATER_BYTES + PIECE_BYTES + EVENT_BYTES, `${slow.writableLength}`);
    };
    slow.hold();
    for (let i = 0; i < 10; i++) {
      await setting.commit(...Array.from({ length: 40 }, () => 'a'));
      await settle();
      assertBounded();
    }
    assert.deepEqual(blocksIn(quick.taken).offsets, setting.expected({}, 0));
    assert.ok(blocksIn(slow.taken).offsets.length < 10);
    assert.ok(setting.followers.behind > 300, `${setting.followers.behind} of 400 events behind`);
    assert.equal(setting.store.asked, 0);
    for (let i = 0; i < 400; i++) {
      slow.takeOne();
      await settle();
      assertBounded();
    }
    assert.deepEqual(blocksIn(slow.taken).offsets, setting.expected({}, 0));
    assert.equal(setting.store.asked > 0, where === 'the store');
    assert.equal(setting.followers.behind, 0);
    setting.followers.close();
  });
}

test('a heartbeat says how far the stream is, even if it had no events [STR-5]', async (t) => {
  withMockedTimers(t);
  const setting = new Following({ heartbeatMs: 15_000 });
  const stream = setting.follow(A, 0);
  await setting.commit('b', 'b');
  await settle(14_000);
  assert.equal(stream.taken, '');
  await settle(1_000);
  assert.equal(stream.taken, ':\nid: 2\n\n');
  await settle(15_000);
  assert.equal(stream.taken, ':\nid: 2\n\n:\nid: 2\n\n');
  setting.followers.close();
});

test('a reader that takes nothing for long is cut off; one that takes something is not [STR-8]', async (t) => {
  withMockedTimers(t);
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const setting = new Following({ heartbeatMs: 10, stalledMs: 60 });
  const [stalled, slow] = [setting.follow({}, 0), setting.follow({}, 0)];
  stalled.hold();
  slow.hold();
  await setting.commit('a', 'a', 'a', 'a');
  const turn = async (): Promise<void> => {
    nowMs += 10;
    await settle(10);
    slow.release();
    await settle(0);
    slow.hold();
  };
  // The first heartbeat may come when the stream is full, or before.
  for (let turns = 0; turns < 5; turns++) await turn();
  assert.equal(stalled.destroyed, false);
  for (let turns = 0; turns < 20; turns++) await turn();
  assert.deepEqual([stalled.destroyed, slow.destroyed], [true, false]);
  assert.equal(setting.followers.count, 1);
  assert.ok(setting.logged.some((line) => line.includes('its reader had stopped reading')));
  setting.followers.close();
});

test('if the store cannot be read the stream is cut, and the log says why', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  await setting.commit('a');
  setting.store.failNext = new StoreError('failed', 'no such page');
  const stream = setting.follow({}, 0);
  await settle();
  assert.equal(stream.destroyed, true);
  assert.equal(setting.followers.count, 0);
  assert.match(setting.logged.join(''), /no such page/);
});

test('a stream whose reader left before it was opened takes no place', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  const gone = new HeldStream(HIGH_WATER_BYTES);
  gone.destroy();
  await settle();
  setting.followers.follow({}, 0, () => gone);
  assert.equal(setting.followers.count, 0);
});

test('followers are accepted up to the limit; a close ends all of them and accepts no more [STR-9, STR-10]', async (t) => {
  withMockedTimers(t);
  const setting = new Following({ followersMax: 2 });
  const [stays, leaves] = [setting.follow({}, 0), setting.follow(A, 0)];
  const refusal = (reason: string) => (error: unknown) =>
    error instanceof FollowRefused && error.reason === reason;
  assert.throws(() => setting.follow({}, 0), refusal('full'));
  leaves.destroy();
  await settle();
  const next = setting.follow(A, 0);
  next.hold();
  await setting.commit('a', 'a', 'a', 'a', 'a');
  await settle();
  setting.followers.close();
  await settle();
  assert.deepEqual([stays.writableFinished, next.writableFinished, next.destroyed], [true, false, true]);
  assert.equal(blocksIn(stays.taken).offsets.length, 5);
  assert.equal(setting.followers.count, 0);
  assert.throws(() => setting.follow({}, 0), refusal('closed'));
  assert.deepEqual(setting.logged, []);
});

test('a follower whose cursor is ahead of the news gets nothing below it, and what is above it once [STR-1, STR-4]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  const other = setting.follow(A, 0, 1e6);
  // Another process told its client of offset 5 before this one heard of any of it.
  const ahead = setting.follow(A, 5, 1e6);
  for (let i = 0; i < 2; i++) {
    await setting.commit('a', 'a', 'a');
    await settle();
  }
  assert.deepEqual(blocksIn(ahead.taken).offsets, [6]);
  assert.deepEqual(blocksIn(other.taken).offsets, [1, 2, 3, 4, 5, 6]);
  setting.followers.close();
});

test('a page that was on its way when an epoch began is read again for those who join then [EPO-4]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  await setting.commit('a', 'a', 'a');
  setting.store.hold();
  const before = setting.follow(A, 0, 1e6);
  await settle();
  setting.store.beginEpoch(3);
  const after = setting.follow(A, 0, 1e6);
  await settle();
  const { asked } = setting.store;
  setting.store.releaseAll();
  await settle();
  assert.equal(asked, 1, 'the page was on its way');
  assert.equal(setting.store.asked, 2);
  assert.deepEqual(blocksIn(before.taken).offsets, []);
  assert.deepEqual(blocksIn(after.taken).offsets, [1, 2, 3]);
  setting.followers.close();
});

test('who joins when an epoch has begun gets nothing of the window of before, however long its streams take to close [EPO-4]', async (t) => {
  withMockedTimers(t);
  const setting = new Following();
  const before = setting.follow(A, 0, 1e6);
  await setting.commit('a', 'a');
  before.hold();
  await settle();
  setting.store.beginEpoch(0);
  await settle();
  assert.ok(!before.closed, 'its reader has not taken everything');
  const after = setting.follow(A, 0, 1e6);
  await settle();
  assert.deepEqual(blocksIn(after.taken).offsets, []);
  await setting.commit('a');
  await settle();
  assert.deepEqual(blocksIn(after.taken).offsets, [1, 2, 3]);
  assert.equal(setting.followers.count, 1);
  setting.followers.close();
});
