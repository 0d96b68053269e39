import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Commit, Commits } from '../../src/commits/commits.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import type { NewsListener } from '../../src/store/news.ts';
import { batchOf, eventWith } from '../support/events.ts';

/** Appends one batch for each list of ids, in one commit. */
async function append(store: MemoryStore, ...ids: string[][]): Promise<void> {
  await store.append(ids.map((some) => batchOf(...some.map((event_id) => eventWith({ event_id })))));
}

/** The offsets of the commit's own events, or null if it carries none. */
function offsetsOf({ after, events }: Commit): number[] | null {
  if (events === null) return null;
  const offsets: number[] = [];
  const wantAll = (): boolean => true;
  events.each(after, wantAll, (_topic, _text, offset) => offsets.push(offset));
  return offsets;
}

test('each commit is reported with its events and its bounds, unless it held only duplicates', async () => {
  const store = new MemoryStore();
  const commits = new Commits(store, 0);
  const told: unknown[] = [];
  const stop = commits.listen((one) => told.push([one.after, one.lastOffset, offsetsOf(one)]));
  await append(store, ['a', 'b'], ['c', 'a'], ['a']);
  await append(store, ['a']);
  await append(store, ['d']);
  assert.deepEqual(told, [
    [0, 3, [1, 2, 3]],
    [3, 4, [4]],
  ]);
  assert.equal(commits.lastOffset, 4);
  stop();
  await append(store, ['e']);
  assert.equal(told.length, 2);
  assert.equal(commits.lastOffset, 5);
  commits.close();
  await append(store, ['f']);
  assert.equal(commits.lastOffset, 5, 'it no longer watches');
});

test('only events on wanted topics are visited, with their text as it was sent', async () => {
  const store = new MemoryStore();
  const commits = new Commits(store, 0);
  const visited: unknown[] = [];
  commits.listen(({ after, events }) => {
    assert.deepEqual([...events!.topics].toSorted(), ['a', 'b']);
    events!.each(
      after,
      (topic) => topic === 'b',
      (topic, text, offset) => visited.push([topic, JSON.parse(Buffer.from(text).toString()), offset]),
    );
  });
  const wanted = eventWith({ topic: 'b', event_id: 'two' });
  await store.append([
    batchOf(eventWith({ topic: 'a' }), wanted, eventWith({ topic: 'a', event_id: 'three' })),
  ]);
  assert.deepEqual(visited, [['b', wanted, 2]]);
});

test('it starts at the end of the log, and hears of commits made while it started', async () => {
  const store = new MemoryStore();
  await append(store, ['a', 'b']);
  assert.equal((await Commits.open(store)).lastOffset, 2);
  assert.equal(
    new Commits(store, 1).lastOffset,
    2,
    'a commit between the snapshot and the watch is reported',
  );
});

/** News as many instances may tell it: in any order, repeatedly, with holes, with and without events. */
const someNews = fc.array(
  fc.record({ after: fc.nat(20), events: fc.nat(5), isAtHand: fc.boolean() }),
  { minLength: 1, maxLength: 40 }, // prettier-ignore
);

test('any news becomes one sequence without gap or overlap, and nothing is reported twice [P-4]', () => {
  fc.assert(
    fc.property(someNews, (all) => {
      let tell: NewsListener = () => assert.fail('nobody watches');
      const store = new MemoryStore();
      store.watch = (_after, listener) => {
        tell = listener;
        return () => {};
      };
      const commits = new Commits(store, 0);
      let end = 0;
      commits.listen((commit) => {
        assert.equal(commit.after, end);
        assert.ok(commit.lastOffset > end);
        const offsets = offsetsOf(commit);
        // If a commit carries events, it carries all of them.
        if (offsets !== null) {
          assert.deepEqual(
            offsets,
            Array.from({ length: commit.lastOffset - end }, (_, i) => end + 1 + i),
          );
        }
        end = commit.lastOffset;
      });
      for (const { after, events, isAtHand } of all) {
        const offsets = Array.from({ length: events }, (_, i) => after + 1 + i);
        const told = {
          topics: new Set(['t']),
          each: (
            above: number,
            _isWanted: unknown,
            visit: (t: string, x: Uint8Array, offset: number, ms: number) => void,
          ) => {
            for (const offset of offsets) if (offset > above) visit('t', Buffer.from('{}'), offset, 0);
          },
        };
        tell({ after, lastOffset: after + events, events: isAtHand ? told : null });
        assert.equal(commits.lastOffset, end);
      }
      assert.equal(end, Math.max(...all.map(({ after, events }) => after + events)));
    }),
    { numRuns: 300 },
  );
});
