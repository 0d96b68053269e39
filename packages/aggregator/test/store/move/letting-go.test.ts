import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ACCEPTED, CONFLICT, DUPLICATE, type EventStore } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { expireTo, policyWith } from '../../support/letting-go.ts';
import { MOVABLE, PAIRS, everythingIn, moved, openAt, problemsOf } from '../../support/moving.ts';
import { IDS, TOPICS, aStep, booksOf, logOf, taken } from '../../support/store-steps.ts';

/** What is told of every id that there can be, without times. */
async function foundIn(store: EventStore): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const topic of TOPICS) {
    for (const id of IDS) {
      const one = await store.find(topic, id);
      if (typeof one === 'string') found.push(one.replace(/"received_at":"[^"]*"/, ''));
      else found.push(one === undefined ? null : { ...one, receivedMs: 0 });
    }
  }
  return found;
}

async function forgetGone(store: EventStore): Promise<number> {
  for (let ids = 0; ;) {
    const some = await store.retention.forget({ topic: 'gone', committedBeforeMs: Date.now() + 60_000 });
    ids += some.ids;
    if (some.isDone) return ids;
  }
}

for (const { named, source: newSource, target: newTarget } of PAIRS) {
  test(`${named}: policies and sources go along, and what is expired, bare or forgotten is so on the other side`, async (t) => {
    const [from, to] = [await newSource(t), await newTarget(t)];
    const old = await openAt(t, from);
    const policies = [
      policyWith({ name: 'ids', topics: ['hooks.>'], keep: 'ids' }),
      policyWith({ name: 'days', topics: ['orders'], maxAgeMs: 86_400_000, idsMs: 864_000_000 }),
    ];
    for (const policy of policies) await old.retention.put(policy);
    const source = { name: 'shop', definition: '{"secrets":["é"]}' };
    await old.sources.put(source, null);
    const topics = ['orders', 'hooks.a', 'gone', 'erased'];
    const events = manyEvents(5000, (i) => ({ topic: topics[i % 4]!, event_id: `${i}` }));
    await old.append([batchOf(...events)]);
    await expireTo(old.retention, 2001, 'orders');
    await expireTo(old.retention, 5000, 'gone');
    assert.equal(await forgetGone(old), 1250);
    assert.equal((await old.retention.erase('erased', '3', true))!.wasKept, true);
    // All is copied; from here on what goes is to go on the other side, too.
    assert.equal((await moved(from, to)).kind, 'in_use');
    await old.append([
      batchOf(...manyEvents(500, (i) => ({ topic: topics[i % 4]!, event_id: `late ${i}` }))),
    ]);
    await expireTo(old.retention, 3001, 'orders');
    assert.equal((await old.retention.erase('erased', '7', true))!.offset, 8);
    const [anew] = await old.append([batchOf(events[7]!)]);
    assert.equal(anew!.offsets[0], 5501);
    assert.equal((await old.retention.erase('erased', '4999', false))!.offset, 5000);
    await old.retention.remove('days');
    await old.retention.put(policyWith({ name: 'few', topics: ['orders'], maxEvents: 700 }));
    const before = await everythingIn(old);
    const expired = await old.find('orders', '0');
    const bare = await old.find('hooks.a', '1');
    assert.ok(typeof expired === 'object' && typeof bare === 'object');
    await old.close();

    assert.deepEqual(await moved(from, to), { kind: 'moved', lastOffset: 5501 });

    assert.deepEqual(await problemsOf(to), []);
    const store = await openAt(t, to);
    assert.deepEqual(await everythingIn(store), before);
    assert.deepEqual(
      (await store.retention.policies()).map(({ name }) => name),
      ['few', 'ids'],
    );
    assert.deepEqual(await store.sources.list(), [source]);
    assert.deepEqual(await store.find('orders', '0'), expired);
    assert.deepEqual(await store.find('hooks.a', '1'), bare);
    assert.equal(await store.find('erased', '3'), undefined);
    const retried = ['0', '3000', '1', '4997', '4999', '7', '2', '3'].map((id) => events[Number(id)]!);
    const [again] = await store.append([
      batchOf(...retried, ...retried.map((event) => ({ ...event, source: 'another' }))),
    ]);
    const known = [DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, ACCEPTED, ACCEPTED];
    assert.deepEqual([...again!.verdicts], [...known, ...known.map(() => CONFLICT)]);
    assert.deepEqual([...again!.offsets].slice(0, 8), [1, 3001, 2, 4998, 5000, 5501, 5502, 5503]);
    const [hook] = await store.append([batchOf(eventWith({ topic: 'hooks.a', event_id: 'new' }))]);
    assert.equal(hook!.accepted, 1);
    assert.ok(typeof (await store.find('hooks.a', 'new')) === 'object', 'its policy is not in force');
    await store.close();
    assert.deepEqual(await problemsOf(to), []);
  });
}

for (const [to, newTarget] of Object.entries(MOVABLE)) {
  test(`to ${to}: a topic that is new beside an id that was forgotten and stored again goes along`, async (t) => {
    const [from, target] = [await MOVABLE['sqlite']!(t), await newTarget(t)];
    const old = await openAt(t, from);
    const again = eventWith({ topic: 'old', event_id: 'again' });
    await old.append([batchOf(again)]);
    assert.equal((await moved(from, target)).kind, 'in_use');
    await old.retention.erase('old', 'again', true);
    await old.append([batchOf(again, eventWith({ topic: 'new', event_id: 'one' }))]);
    await old.close();
    assert.equal((await moved(from, target)).kind, 'moved');
    assert.deepEqual(await problemsOf(target), []);
  });
}

test('a move ends only once nobody reads from the log of the new file, which may hold what was erased [RET-7]', async (t) => {
  const [from, to] = [await MOVABLE['sqlite']!(t), await MOVABLE['sqlite']!(t)];
  const old = await openAt(t, from);
  await old.append([batchOf(...manyEvents(100, (i) => ({ topic: 'erased', event_id: `${i}` })))]);
  assert.equal((await moved(from, to)).kind, 'in_use');
  await old.retention.erase('erased', '7', false);
  await old.close();
  const reader = new DatabaseSync(to.slice('sqlite:'.length), { readOnly: true });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM block').get();
  await assert.rejects(moved(from, to), { code: 'blocked' });
  reader.close();
  assert.equal((await moved(from, to)).kind, 'moved');
});

for (const { named, source: newSource, target: newTarget } of PAIRS.filter(({ isOther }) => isOther)) {
  test(`${named}: whatever is appended and let go of before a move and while it copies, the new store tells what the reference tells`, async (t) => {
    const some = fc.array(aStep, { minLength: 4, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(some, some, some, async (before, meanwhile, after) => {
        const [from, to] = [await newSource(t), await newTarget(t)];
        const reference = new MemoryStore();
        const old = await openAt(t, from);
        for (const step of before) assert.deepEqual(await taken(old, step), await taken(reference, step));
        assert.equal((await moved(from, to)).kind, 'in_use');
        for (const step of meanwhile) assert.deepEqual(await taken(old, step), await taken(reference, step));
        await old.close();
        assert.equal((await moved(from, to)).kind, 'moved');
        assert.deepEqual(await problemsOf(to), []);
        const store = await openAt(t, to);
        assert.deepEqual(await store.retention.policies(), await reference.retention.policies());
        assert.deepEqual(await booksOf(store), await booksOf(reference));
        assert.deepEqual(await logOf(store), await logOf(reference));
        assert.deepEqual(await foundIn(store), await foundIn(reference));
        for (const step of after) assert.deepEqual(await taken(store, step), await taken(reference, step));
        assert.deepEqual(await booksOf(store), await booksOf(reference));
        await store.close();
        assert.deepEqual(await problemsOf(to), []);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });
}
