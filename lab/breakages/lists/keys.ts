import type { Area } from '../breakage.ts';

const BLOCK_STORE = ['store/sqlite/block-store.test.ts', 'store/sqlite/upkeep/verify.test.ts'];
const HOT_TABLE = ['store/sqlite/keys/hot-table.test.ts'];
const KEY_INDEX = ['store/sqlite/keys/key-index.test.ts'];
const KEY_HASH = ['store/sqlite/keys/key-hash.test.ts'];

/** The deduplication. */
export const keys: Area = {
  sources: 'packages/aggregator/src/store/sqlite/keys',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'hot-table.ts',
      breaks: 'A failed publish is reported as a duplicate when it is sent again, and is lost.',
      find: 'for (const slot of this.#added) this.#tags[slot] = FREE;',
      replace: '',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'Keys displaced from their own slots are not sealed, and are lost.',
      find: '(looked < own || tags[slot] !== FREE)',
      replace: 'looked < own',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'A key whose tag is 0 is not found again: one event in 256 is stored twice.',
      find: 'return k1 >>> 24 || 255;',
      replace: 'return k1 >>> 24;',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'Keys that differ only in their last word are treated as equal.',
      find: `words[at + 2] === k2 &&
        words[at + 3] === k3`,
      replace: 'words[at + 2] === k2',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'A growing table gets the entries of a transaction twice, and an undo removes them once.',
      find: 'for (const slot of added) others[slot] = FREE;',
      replace: '',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'Above 2^32 events an offset loses its high bits.',
      find: '(Math.floor(offset / 2 ** 32) << 24) | digest',
      replace: 'digest',
      tests: HOT_TABLE,
    },
    {
      file: 'key-block.ts',
      breaks: 'Words of a key are compared as signed numbers, so lookups in sorted blocks fail.',
      find: '(words[a + i]! >>> 0) - (words[b + i]! >>> 0)',
      replace: 'words[a + i]! - words[b + i]!',
      tests: HOT_TABLE,
    },
    {
      file: 'key-block.ts',
      breaks: 'Only the first of several keys with the same first word is found.',
      find: 'at < block.length && block[at] === k0; at += ENTRY_WORDS',
      replace: 'at < block.length && block[at] === k0; at = block.length',
      tests: HOT_TABLE,
    },
    {
      file: 'key-block.ts',
      breaks: 'A flipped bit in a key block is not noticed, and its event is stored twice.',
      find: 'isChecked ? withoutChecksum(row, wrong) : row',
      replace: 'isChecked ? row.subarray(0, row.length - CHECKSUM_BYTES) : row',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-filter.ts',
      breaks: 'The filter tests a bit that is never set, so keys in runs are not found.',
      find: '(words[line + ((k2 >>> 23) & 15)]! & (1 << (k2 >>> 18))) !== 0',
      replace: '(words[line + ((k2 >>> 23) & 15)]! & (1 << (k2 >>> 17))) !== 0',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-filter.ts',
      breaks: 'A flipped bit in a filter hides keys, and their events are stored twice.',
      find: 'row.length === part.length ? row : withoutChecksum(row, wrong)',
      replace: 'row.subarray(0, part.length)',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-hash.ts',
      breaks: 'Topic "ab" with id "c" has the same key as topic "a" with id "bc".',
      find: 'scratch[length++] = 0;',
      replace: '',
      tests: KEY_HASH,
    },
    {
      file: 'key-hash.ts',
      breaks: 'Whole last blocks are hashed with the subkey of padded ones, which is not Chaskey.',
      find: 'isWhole ? this.#whole : this.#padded',
      replace: 'this.#padded',
      tests: KEY_HASH,
    },
    {
      file: 'key-hash.ts',
      breaks: 'A different timestamp under the same id is reported as a duplicate, not as a conflict.',
      find: 'hash = mixed(bytes, spans[at + TIMESTAMP]!, spans[at + TIMESTAMP + 1]!, hash ^ this.#secret[1]!);',
      replace: '',
      tests: KEY_HASH,
    },
    {
      file: 'key-hash.ts',
      breaks: 'Digests are computed from the bytes of an earlier batch.',
      find: 'if (batch.bytes !== this.#bytes) this.#look(batch.bytes);',
      replace: 'if (this.#bytes.length === 0) this.#look(batch.bytes);',
      tests: [...KEY_HASH, ...BLOCK_STORE],
    },
    {
      file: 'key-index.ts',
      breaks: 'While a table is being sealed its keys are not found, and retries are stored again.',
      find: 'if (this.#sealing?.table.find(k0, k1, k2, k3) === true) return this.#foundIn(this.#sealing.table);',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-index.ts',
      breaks: 'During a merge a bucket is searched for in its old place.',
      find: 'if (bucket >= run.filled || bucket < firstBucket(run)) continue;',
      replace: 'if (bucket >= run.filled) continue;',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-index.ts',
      breaks:
        'After a failed transaction the end of the sealed keys stays too high, and the next run claims to hold keys that it lacks.',
      find: 'this.#lastOffset = this.#lastOffsetBefore;',
      replace: '',
      tests: BLOCK_STORE,
      survives:
        'it is only read when a table is full at the start of a transaction, when the previous one has committed',
    },
    {
      file: 'key-index.ts',
      breaks: 'A step of a seal counts although its transaction failed.',
      find: `this.#onCommit.push(() => {
      run.filled = to;
      if`,
      replace: `run.filled = to;
    this.#onCommit.push(() => {
      if`,
      tests: BLOCK_STORE,
    },
    {
      file: 'key-index.ts',
      breaks: 'A merged bucket stays in the old runs, and the file never gives the space back.',
      find: 'for (const source of sources) this.#file.dropBlock(source, bucket);',
      replace: '',
      tests: KEY_INDEX,
    },
    {
      file: 'key-runs.ts',
      breaks: 'A run whose sealing was cut off by a crash is kept, and its keys are stored twice.',
      find: 'if (run.level === 0 && !isWhole(run)) this.#forget(run);',
      replace: 'if (run.level === 9 && !isWhole(run)) this.#forget(run);',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-runs.ts',
      breaks: 'After a crash in a merge the filter lacks the buckets since its last whole part.',
      find: 'for (let bucket = buckets; bucket < run.filled; bucket++) {',
      replace: 'for (let bucket = run.filled; bucket < run.filled; bucket++) {',
      tests: BLOCK_STORE,
    },
    {
      file: 'key-runs.ts',
      breaks: 'After a start new runs get used ids and overwrite rows of others.',
      find: 'this.#lastId = Math.max(this.#lastId, run.id);',
      replace: 'this.#lastId = run.id;',
      tests: BLOCK_STORE,
    },
  ],
};
