import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { RecentKeys } from '../../../src/store/postgres/recent-keys.ts';

type Key = readonly [number, number, number, number];

/** Few first words, so that buckets fill, and keys that differ in one word alone. */
const key: fc.Arbitrary<Key> = fc.tuple(
  fc.constantFrom(0, 1, -1, 0x7fff_ffff),
  fc.constantFrom(0, 1),
  fc.constantFrom(0, -1),
  fc.constantFrom(0, 5),
);

/** As many keys as this are remembered, however their first words are. */
const KEPT = 8;

/** A key's words among others. */
const wordsOf = (one: Key): Int32Array => Int32Array.of(7, ...one, 7);

test('a recent key is told as it was added last; the newest are remembered, and none after all were forgotten', () => {
  fc.assert(
    fc.property(fc.array(fc.option(key, { freq: 30 }), { maxLength: 60 }), (acts) => {
      const recent = new RecentKeys(4);
      // In the order in which they were first added.
      const model = new Map<string, { one: Key; offset: number }>();
      for (const [i, one] of acts.entries()) {
        if (one === null) {
          recent.clear();
          model.clear();
        } else {
          if (!recent.find(wordsOf(one), 1)) model.delete(one.join());
          recent.add(wordsOf(one), 1, i, 1000 + i, 2000 + i);
          model.set(one.join(), { one, offset: 1000 + i });
        }
        for (const { one: known, offset } of [...model.values()].slice(-KEPT)) {
          assert.ok(recent.find(wordsOf(known), 1), `${known.join()} of ${JSON.stringify(acts)}`);
          const found = [recent.offset, recent.digest, recent.receivedMs];
          assert.deepEqual(found, [offset, offset - 1000, offset + 1000]);
        }
      }
      const isKnown = (one: Key): boolean => model.has(one.join());
      fc.assert(
        fc.property(key, (one) => isKnown(one) || !recent.find(wordsOf(one), 1)),
        { numRuns: 10 },
      );
    }),
  );
});

test('as many random keys as there are places are nearly all remembered, and the oldest give way', () => {
  const recent = new RecentKeys(14);
  const count = 400_000;
  const words = new Int32Array(count * 4).map(() => Math.floor(Math.random() * 2 ** 32));
  for (let i = 0; i < count; i++) recent.add(words, i * 4, i, i + 1, 0);
  const known = (from: number, to: number): number => {
    let found = 0;
    for (let i = from; i < to; i++) if (recent.find(words, i * 4) && recent.offset === i + 1) found += 1;
    return found / (to - from);
  };
  assert.ok(known(count - 65_536, count) > 0.95);
  assert.ok(known(0, count - 300_000) < 0.01);
});
