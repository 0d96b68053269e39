import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { PAIRS, moved, openAt, problemsOf } from '../../support/moving.ts';
import { TestClock } from '../../support/stores.ts';
import { begun, repeated, storyIn } from '../../support/story.ts';

for (const { named, source, target } of PAIRS) {
  test(`${named}: the new store tells of repeats what the old one told, and goes on with it [DUP-1, DUP-3]`, async (t) => {
    const [from, to] = [await source(t), await target(t)];
    const clock = new TestClock(Date.UTC(2026, 0, 1));
    const reference = new MemoryStore(clock.now);
    const old = await openAt(t, from, clock);
    const sinceMs = await old.repeats.sinceMs();
    for (const store of [old, reference]) {
      clock.ms = Date.UTC(2026, 0, 1);
      await begun(store);
      await repeated(store, clock, 7);
    }
    const before = await storyIn(old, clock);
    assert.deepEqual(before, await storyIn(reference, clock));
    await old.close();

    assert.equal((await moved(from, to)).kind, 'moved');

    assert.deepEqual(await problemsOf(to), []);
    const store = await openAt(t, to, clock);
    assert.equal(await store.repeats.sinceMs(), sinceMs);
    assert.deepEqual(await storyIn(store, clock), before);
    const movedMs = clock.ms;
    for (const one of [store, reference]) {
      clock.ms = movedMs;
      await repeated(one, clock, 7);
    }
    assert.deepEqual(await storyIn(store, clock), await storyIn(reference, clock));
    await store.close();
    assert.deepEqual(await problemsOf(to), []);
  });
}
