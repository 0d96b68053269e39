import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ENTRY_WORDS, HotTable } from '../../../../src/store/sqlite/keys/hot-table.ts';
import { compareKeys, findInBlock, sortedEntries } from '../../../../src/store/sqlite/keys/key-block.ts';

type Key = readonly [number, number, number, number];

/** Few first words, at both ends and in the middle, so that chains get long, wrap around, and keys differ in one word. */
const key: fc.Arbitrary<Key> = fc.tuple(
  fc.constantFrom(0, 1, 0x7fff_ffff, -0x8000_0000, -2, -1),
  fc.constantFrom(0, 0x0100_0000, -1),
  fc.constantFrom(0, 5),
  fc.constantFrom(0, 1, -1),
);

const act = fc.record({ key, isForgotten: fc.boolean(), comesAgain: fc.boolean() });
const transaction = fc.record({ acts: fc.array(act, { maxLength: 16 }), isUndone: fc.boolean() });

test('the table of recent keys holds what was added and neither undone nor forgotten, however crowded its slots are', () => {
  fc.assert(
    fc.property(fc.array(transaction, { maxLength: 12 }), (transactions) => {
      const table = new HotTable(8);
      const model = new Map<string, number>();
      let offset = 0;
      for (const { acts, isUndone } of transactions) {
        const before = new Map(model);
        table.begin();
        for (const { key: one, isForgotten, comesAgain } of acts) {
          const known = model.get(one.join());
          assert.equal(table.find(...one), known !== undefined);
          if (known !== undefined) {
            assert.deepEqual([table.offset, table.digest], [known, known & 0xff]);
            if (!isForgotten) continue;
            table.forget();
            model.delete(one.join());
            assert.equal(table.find(...one), false);
            if (!comesAgain) continue;
          }
          offset += 1;
          table.add(...one, offset, offset & 0xff);
          model.set(one.join(), offset);
        }
        if (!isUndone) continue;
        table.undo();
        model.clear();
        for (const [name, at] of before) model.set(name, at);
      }
      assert.equal(table.count, model.size);
      for (const [name, at] of model) {
        assert.ok(table.find(...(name.split(',').map(Number) as unknown as Key)));
        assert.equal(table.offset, at);
      }
      for (const bits of [1, 3]) {
        const found = Array.from({ length: 2 ** bits }, (_, bucket) =>
          keysOf(table.entriesOf(bucket, bits), bucket, bits),
        );
        assert.deepEqual(found.flat().toSorted(), [...model.keys()].toSorted());
      }
      table.clear();
      assert.ok(
        [...model.keys()].every((name) => !table.find(...(name.split(',').map(Number) as unknown as Key))),
      );
    }),
  );
});

test('an offset of 40 bits is found with its digest of 24 bits, and a larger offset is refused', () => {
  const table = new HotTable(8);
  const offsets = [1, 2 ** 32 - 1, 2 ** 32, 2 ** 40 - 1];
  for (const [i, offset] of offsets.entries()) {
    assert.equal(table.find(i, 0, 0, 0), false);
    table.add(i, 0, 0, 0, offset, 0xff_ffff);
  }
  for (const [i, offset] of offsets.entries()) {
    assert.ok(table.find(i, 0, 0, 0));
    assert.deepEqual([table.offset, table.digest], [offset, 0xff_ffff]);
  }
  table.find(7, 7, 7, 7);
  assert.throws(() => table.add(7, 7, 7, 7, 2 ** 40, 0), /the last one that the index holds/);
});

test('entries are sorted by all words of their keys as unsigned numbers, and each is found', () => {
  fc.assert(
    fc.property(fc.array(key, { maxLength: 60 }), (keys) => {
      const entries = Int32Array.from(keys.flatMap((one, i) => [...one, i + 1, i]));
      const sorted = sortedEntries(entries);
      for (let at = ENTRY_WORDS; at < sorted.length; at += ENTRY_WORDS)
        assert.ok(compareKeys(sorted, at - ENTRY_WORDS, at) <= 0);
      for (const one of keys) {
        const at = findInBlock(sorted, ...one);
        assert.deepEqual([...sorted.subarray(at, at + 4)], [...one]);
      }
      assert.equal(findInBlock(sorted, 7, 7, 7, 7), -1);
      const rows = (words: Int32Array): string[] =>
        Array.from({ length: keys.length }, (_, i) =>
          words.slice(i * ENTRY_WORDS, (i + 1) * ENTRY_WORDS).join(),
        );
      assert.deepEqual(rows(sorted).toSorted(), rows(entries).toSorted());
    }),
  );
});

function keysOf(entries: Int32Array, bucket: number, bits: number): string[] {
  return Array.from({ length: entries.length / ENTRY_WORDS }, (_, i) => {
    const words = entries.subarray(i * ENTRY_WORDS, (i + 1) * ENTRY_WORDS);
    assert.equal(words[0]! >>> (32 - bits), bucket);
    return words.subarray(0, 4).join();
  });
}
