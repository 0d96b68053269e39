import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { type Commit, Commits } from '../../src/commits/commits.ts';
import { batchOf, eventWith } from '../support/events.ts';

/** Appends one batch for each list of ids, in one commit, and tells it. */
async function commit(commits: Commits, store: MemoryStore, ...ids: string[][]): Promise<void> {
  const batches = ids.map((some) => batchOf(...some.map((event_id) => eventWith({ event_id }))));
  commits.committed(batches, await store.append(batches));
}

test('each commit is told with where it begins and ends, and one of duplicates alone is not', async () => {
  const commits = new Commits(0);
  const store = new MemoryStore();
  const told: Commit[] = [];
  const stop = commits.listen((one) => told.push(one));
  await commit(commits, store, ['a', 'b'], ['c', 'a'], ['a']);
  await commit(commits, store, ['a']);
  await commit(commits, store, ['d']);
  assert.deepEqual(
    told.map(({ after, lastOffset }) => [after, lastOffset]),
    [
      [0, 3],
      [3, 4],
    ],
  );
  assert.equal(commits.lastOffset, 4);
  stop();
  await commit(commits, store, ['e']);
  assert.equal(told.length, 2);
  assert.equal(commits.lastOffset, 5);
});

test('the batches of a commit that a listener keeps are kept, and those of others are not', async () => {
  const commits = new Commits(0);
  const store = new MemoryStore();
  const batches = ['a', 'b'].map((event_id) => batchOf(eventWith({ event_id })));
  const stop = commits.listen((one) => one.keep());
  commits.committed(batches, await store.append(batches));
  assert.ok(batches.every((batch) => commits.keeps(batch)));
  stop();
  const later = [batchOf(eventWith({ event_id: 'c' }))];
  commits.committed(later, await store.append(later));
  assert.ok(!commits.keeps(later[0]!));
});

test('a wait for events ends with the commit that brings them, or with its signal', async () => {
  const commits = new Commits(7);
  const store = new MemoryStore();
  await store.append([batchOf(...Array.from({ length: 7 }, (_, i) => eventWith({ event_id: `${i}` })))]);
  const never = new AbortController();
  await commits.advanced(6, never.signal);

  let done = false;
  const waiting = commits.advanced(8, never.signal).then(() => (done = true));
  const aborted = new AbortController();
  const given = commits.advanced(7, aborted.signal);
  aborted.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
  await commit(commits, store, ['h']);
  await new Promise(setImmediate);
  assert.equal(done, false, 'offset 8 is not above 8');
  await commit(commits, store, ['i']);
  await waiting;
  await assert.rejects(commits.advanced(7, aborted.signal), /enough/);
});

test('a commit that does not follow the last one is a broken invariant', async () => {
  const commits = new Commits(5);
  await assert.rejects(commit(commits, new MemoryStore(), ['a']), /up to 1 came behind one up to 5/);
});
