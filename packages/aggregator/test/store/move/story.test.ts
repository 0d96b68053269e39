import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { EventStore } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { DifferenceError } from '../../../src/store/move/compare.ts';
import { move } from '../../../src/store/move/move.ts';
import { STORY_NAMES, STORY_PARTS } from '../../../src/store/move/moved-story.ts';
import { openLogs } from '../../../src/store/move/open-logs.ts';
import { FORMAT_MIN } from '../../../src/store/sqlite/move/source.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { MOVABLE, PAIRS, QUIET, killed, moved, openAt, problemsOf, withCall } from '../../support/moving.ts';
import { beside } from '../../support/postgres-server.ts';
import { takeBack } from '../../support/older-format.ts';
import { TestClock } from '../../support/stores.ts';
import { begun, repeated, storyIn } from '../../support/story.ts';

const STARTED_MS = Date.UTC(2026, 0, 1);

/** Does the same in both stores, from the same time on. */
async function inBoth(
  clock: TestClock,
  stores: readonly EventStore[],
  work: (store: EventStore) => Promise<void>,
): Promise<void> {
  const { ms } = clock;
  for (const store of stores) {
    clock.ms = ms;
    await work(store);
  }
}

for (const { named, source, target } of PAIRS) {
  test(`${named}: the new store tells of repeats what the old one told, and goes on with it [DUP-1 to DUP-4]`, async (t) => {
    const [from, to] = [await source(t), await target(t)];
    const clock = new TestClock(STARTED_MS);
    const reference = new MemoryStore(clock.now);
    const old = await openAt(t, from, clock);
    const sinceMs = await old.repeats.sinceMs();
    await inBoth(clock, [old, reference], async (store) => {
      await begun(store);
      await repeated(store, clock, 7);
    });
    assert.deepEqual(await storyIn(old, clock), await storyIn(reference, clock));
    // Of these nobody has asked, so they may not be counted yet.
    await inBoth(clock, [old, reference], (store) => repeated(store, clock, 2));
    await old.close();

    assert.equal((await moved(from, to)).kind, 'moved');

    assert.deepEqual(await problemsOf(to), []);
    const store = await openAt(t, to, clock);
    assert.equal(await store.repeats.sinceMs(), sinceMs);
    assert.deepEqual(await storyIn(store, clock), await storyIn(reference, clock));
    await inBoth(clock, [store, reference], (one) => repeated(one, clock, 40));
    assert.deepEqual(await storyIn(store, clock), await storyIn(reference, clock));
    await store.close();
    assert.deepEqual(await problemsOf(to), []);
  });

  test(`${named}: of an event that is let go of while a move copies no text goes along, and nothing once its id is forgotten [DUP-5]`, async (t) => {
    const [from, to] = [await source(t), await target(t)];
    const clock = new TestClock(STARTED_MS);
    const reference = new MemoryStore(clock.now);
    const old = await openAt(t, from, clock);
    await inBoth(clock, [old, reference], async (store) => {
      await begun(store);
      await repeated(store, clock, 4);
    });
    await old.close();
    // All but the marks was done, so the target has all of the story.
    await killed(from, to, 'leave', false);
    const again = await openAt(t, from, clock);
    await inBoth(clock, [again, reference], async (store) => {
      assert.ok((await store.retention.erase('hooks', 'hooks 0', false))?.wasKept);
      assert.ok((await store.retention.erase('hooks', 'hooks 2', true))?.wasKept);
      await repeated(store, clock, 1);
      assert.ok((await store.retention.erase('bäder', 'bäder 4', true))?.wasKept);
    });
    await again.close();

    assert.equal((await moved(from, to)).kind, 'moved');

    assert.deepEqual(await problemsOf(to), []);
    const store = await openAt(t, to, clock);
    const told = await storyIn(store, clock);
    assert.deepEqual(told, await storyIn(reference, clock));
    const erased = told.conflicts.filter(({ eventId }) => eventId === 'hooks 0');
    assert.ok(erased.length > 0 && erased.every(({ text }) => text === null));
    assert.ok(told.conflicts.every(({ eventId }) => eventId !== 'bäder 4'));
  });
}

test('of many neighbours that were repeated often, from sources with long names, all is told on the other side [DUP-2]', async (t) => {
  const [from, to] = [await MOVABLE['sqlite']!(t), await MOVABLE['postgres']!(t)];
  const old = await openAt(t, from);
  const source = 'é'.repeat(250);
  const events = manyEvents(1100, () => ({ source }));
  for (let i = 0; i < 18; i++) await old.append([batchOf(...events)]);
  const told = async (store: EventStore) => {
    const histories = [];
    for (let i = 1; i <= 1100; i += 100) histories.push(await store.repeats.history('orders', `e-${i}`));
    return histories;
  };
  const before = await told(old);
  assert.ok(before.every((history) => history?.repeats.length === 17));
  await old.close();
  assert.equal((await moved(from, to)).kind, 'moved');
  assert.deepEqual(await problemsOf(to), []);
  const store = await openAt(t, to);
  assert.deepEqual(await told(store), before);
  await store.append([batchOf(events[0]!)]);
  const { duplicates, repeats } = (await store.repeats.history('orders', 'e-1'))!;
  assert.equal(duplicates, 18);
  assert.deepEqual(repeats.slice(1), before[0]!.repeats);
});

test('a history of which a database tells fewer repeats is sound in a file [DUP-2]', async (t) => {
  const [from, to] = [await MOVABLE['postgres']!(t), await MOVABLE['sqlite']!(t)];
  const clock = new TestClock(STARTED_MS);
  const old = await openAt(t, from, clock);
  for (let i = 0; i < 4; i++) await old.append([batchOf(...manyEvents(1))]);
  assert.equal((await old.repeats.history('orders', 'e-1'))?.repeats.length, 3);
  await old.close();
  const client = await beside(t, from);
  await client.query("UPDATE histories SET events = regexp_replace(events, E'[^\\n]*\\n$', '')");
  assert.equal((await moved(from, to)).kind, 'moved');
  assert.deepEqual(await problemsOf(to), []);
  const { duplicates, repeats } = (await (await openAt(t, to)).repeats.history('orders', 'e-1'))!;
  assert.deepEqual([duplicates, repeats.length], [3, 2]);
});

test('a part of the story that does not arrive keeps the old store in its place', async (t) => {
  const from = await MOVABLE['sqlite']!(t);
  const clock = new TestClock(STARTED_MS);
  const old = await openAt(t, from, clock);
  await old.audit.begin();
  await begun(old);
  await repeated(old, clock, 3);
  await old.close();
  for (const part of STORY_PARTS) {
    const to = await MOVABLE['sqlite']!(t);
    const { source, target } = await openLogs({ from, to }, { allowsLoss: true });
    const left = [...STORY_PARTS];
    const lacking = withCall(target, 'writeStory', async (call) => left.shift() === part || call());
    await assert.rejects(move(source, lacking, QUIET), (error: Error) => {
      assert.ok(error instanceof DifferenceError);
      assert.match(error.message, new RegExp(`${STORY_NAMES[part]} differ`));
      return true;
    });
    await source.close();
    await target.close();
  }
  await (await openAt(t, from, clock)).close();
});

test('conflicts of a log that had some before they were counted are numbered as its books count, from file to database and back', async (t) => {
  const from = await MOVABLE['sqlite']!(t);
  const clock = new TestClock(STARTED_MS);
  const old = await openAt(t, from, clock);
  await begun(old);
  await repeated(old, clock, 1);
  await old.close();
  const db = new DatabaseSync(from.slice('sqlite:'.length));
  takeBack(db, FORMAT_MIN);
  db.close();
  const counting = await openAt(t, from, clock);
  const { duplicates: uncounted, conflicts: unlisted } = await counting.stats();
  assert.ok(unlisted > 0);
  await repeated(counting, clock, 3);
  const { conflicts } = await storyIn(counting, clock);
  await counting.close();

  const between = await MOVABLE['postgres']!(t);
  assert.equal((await moved(from, between)).kind, 'moved');
  assert.deepEqual(await problemsOf(between), []);
  const store = await openAt(t, between, clock);
  const listed = (await storyIn(store, clock)).conflicts;
  assert.deepEqual(listed.map((one) => ({ ...one, number: one.number + unlisted })), conflicts); // prettier-ignore
  await repeated(store, clock, 1);
  const before = await storyIn(store, clock);
  await store.close();

  const to = await MOVABLE['sqlite']!(t);
  assert.equal((await moved(between, to)).kind, 'moved');
  assert.deepEqual(await problemsOf(to), []);
  const back = await openAt(t, to, clock);
  const told = await storyIn(back, clock);
  const numbered = before.conflicts.map((one) => ({ ...one, number: one.number + unlisted }));
  assert.deepEqual(told, { ...before, conflicts: numbered });
  assert.deepEqual(told.conflicts.slice(-conflicts.length), conflicts);
  const { duplicates } = await back.stats();
  assert.equal(told.ages[0]!.duplicates.reduce((sum, count) => sum + count, 0), duplicates - uncounted); // prettier-ignore
});
