import type { Area } from '../breakage.ts';

const BLOCK_STORE = ['store/sqlite/block-store.test.ts', 'store/sqlite/upkeep/verify.test.ts'];
const HOT_TABLE = ['store/sqlite/keys/hot-table.test.ts'];
const KEY_INDEX = ['store/sqlite/keys/key-index.test.ts'];
const BARE_KEYS = ['store/sqlite/keys/bare-keys.test.ts'];
const FORGET_PASS = ['store/sqlite/keys/forget-pass.test.ts'];
const KEY_HASH = ['store/key-hash.test.ts'];

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
      find: 'return tag > FORGOTTEN ? tag : 255;',
      replace: 'return tag;',
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
      file: '../../key-hash.ts',
      breaks: 'Topic "ab" with id "c" has the same key as topic "a" with id "bc".',
      find: 'scratch[length++] = 0;',
      replace: '',
      tests: KEY_HASH,
    },
    {
      file: '../../key-hash.ts',
      breaks: 'Whole last blocks are hashed with the subkey of padded ones, which is not Chaskey.',
      find: 'isWhole ? this.#whole : this.#padded',
      replace: 'this.#padded',
      tests: KEY_HASH,
    },
    {
      file: '../../key-hash.ts',
      breaks: 'A different timestamp under the same id is reported as a duplicate, not as a conflict.',
      find: 'hash = mixed(bytes, spans[at + TIMESTAMP]!, spans[at + TIMESTAMP + 1]!, hash ^ this.#secret[1]!);',
      replace: '',
      tests: KEY_HASH,
    },
    {
      file: '../../key-hash.ts',
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
      file: 'run-levels.ts',
      breaks: 'A merged bucket stays in the old runs, and the file never gives the space back.',
      find: 'this.file.dropBlock(source, bucket);',
      replace: '',
      tests: KEY_INDEX,
    },
    {
      file: 'key-runs.ts',
      breaks: 'A run whose sealing was cut off by a crash is kept, and its keys are stored twice.',
      find: 'if (!isWhole(run) && !targets.has(run.id)) this.#forget(run);',
      replace: 'if (run.level === 9) this.#forget(run);',
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
    {
      file: 'bare-keys.ts',
      breaks:
        'A row without texts that is longer than its span is deleted with keys that no run holds, and their events are stored twice after a restart.',
      find: 'offset - this.#rowOffsets + 1)',
      replace: 'offset)',
      tests: BARE_KEYS,
    },
    {
      file: 'bare-keys.ts',
      breaks:
        'After a restart keys without texts are in the hot table although a run holds them, and are counted twice.',
      find: 'if (offsetAt(entries, at) > after) waiting.push',
      replace: 'waiting.push',
      tests: BARE_KEYS,
    },
    {
      file: 'bare-keys.ts',
      breaks: 'Keys without texts beyond the end of a block are dropped at a start.',
      find: 'waiting = waiting.filter((entry) => offsetAt(entry, 0) > upTo);',
      replace: 'waiting = [];',
      tests: BARE_KEYS,
    },
    {
      file: 'key-index.ts',
      breaks: 'Keys without texts are never deleted after a run holds them, and the file grows.',
      find: 'this.#bareKeys.dropUpTo(run.lastOffset);',
      replace: '',
      tests: BARE_KEYS,
    },
    {
      file: 'key-index.ts',
      breaks: 'Expired events that a run holds are stored beside it, and stay there.',
      find: 'if (offset <= sealedTo) continue;',
      replace: '',
      tests: BARE_KEYS,
      survives: 'such rows are stale, and soon deleted; leaving them out saves space alone',
    },
    {
      file: 'hot-table.ts',
      breaks: 'A forgotten id is known again once a growing table has moved it.',
      find: 'this.#forgotten = forgotten.map((slot) => places.get(slot)!);',
      replace: '',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'An id that is forgotten when its table grows is known again.',
      find: 'if (isForgotten.has(slot)) this.#tags[place] = FORGOTTEN;',
      replace: '',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'An id that is forgotten while it is in memory gets into a run.',
      find: 'if (tags[slot]! > FORGOTTEN && words[at]!',
      replace: 'if (tags[slot]! > FREE && words[at]!',
      tests: HOT_TABLE,
    },
    {
      file: 'hot-table.ts',
      breaks: 'One id in 256 has the tag of forgotten ones, and is found although it is forgotten.',
      find: 'return tag > FORGOTTEN ? tag : 255;',
      replace: 'return tag || 255;',
      tests: HOT_TABLE,
    },
    {
      file: 'key-index.ts',
      breaks: 'An id that is forgotten while its table is sealed is known again once the run is complete.',
      find: `if (this.#runs.holds(run, bucket)) this.#runs.dropFrom(run, bucket, (one) => one === offset);
    else`,
      replace: '',
      tests: BARE_KEYS,
    },
    {
      file: 'key-index.ts',
      breaks: 'A forgotten id without a text is known again after a restart.',
      find: 'this.#bareKeys.remove(offset);',
      replace: 'void offset;',
      tests: BARE_KEYS,
    },
    {
      file: 'key-index.ts',
      breaks:
        'An event that is forgotten and loses its text afterwards, in one transaction, is known again after a restart.',
      find: 'if (isKnown && this.offset === offset) needed',
      replace: 'needed',
      tests: BARE_KEYS,
    },
    {
      file: 'run-levels.ts',
      breaks: 'After a merge the index counts ids that were forgotten meanwhile.',
      find: 'run.into === null ? [run] : [run, run.into]',
      replace: '[run]',
      tests: BARE_KEYS,
    },
    {
      file: 'run-levels.ts',
      breaks: 'After a failed transaction the index counts fewer keys than it has.',
      find: 'for (const [run, keys] of this.#keysBefore) run.keys = keys;',
      replace: '',
      tests: BARE_KEYS,
    },
    {
      file: 'key-index.ts',
      breaks:
        'Ids that are forgotten soon after they come fill the memory, because their slots never make a run.',
      find: 'this.#hot.filled >= this.#shape.hotKeysMax',
      replace: 'this.#hot.count >= this.#shape.hotKeysMax',
      tests: BARE_KEYS,
    },
    {
      file: 'key-runs.ts',
      breaks:
        'A run that was shrinking to the lowest level when the process died is deleted, with the keys that it had.',
      find: '!isWhole(run) && !targets.has(run.id)',
      replace: '!isWhole(run) && (run.level === 0 || !targets.has(run.id))',
      tests: FORGET_PASS,
    },
    {
      file: 'key-runs.ts',
      breaks: 'Forgotten ids leave their space in half-empty pages.',
      find: `    this.dropBlock(run, bucket);
    this.#putBlock.run(run.id * PLACES + bucket, rowOf(block));`,
      replace:
        "    this.#db.prepare('UPDATE key_block SET entries = ? WHERE place = ?').run(rowOf(block), run.id * PLACES + bucket);",
      tests: FORGET_PASS,
    },
    {
      file: 'run-levels.ts',
      breaks: 'Runs shrink while ids are forgotten, and some ids slip past.',
      find: 'this.sweeps === 0 && isSmall',
      replace: 'isSmall',
      tests: FORGET_PASS,
    },
    {
      file: 'run-levels.ts',
      breaks: 'The newest run goes when its keys are forgotten, and forgotten keys without texts come back.',
      find: 'run.into === null && run.lastOffset < this.sealedTo',
      replace: 'run.into === null',
      tests: FORGET_PASS,
    },
    {
      file: 'run-levels.ts',
      breaks: 'Runs without keys stay, with their filters.',
      find: 'run.keys === 0 && run.level === 0',
      replace: 'run.keys < 0 && run.level === 0',
      tests: FORGET_PASS,
    },
    {
      file: 'run-levels.ts',
      breaks: 'Runs never shrink, so their filters keep the memory of forgotten ids.',
      find: 'if (this.#levelFor([run]) < level) this',
      replace: 'if (level > 9) this',
      tests: FORGET_PASS,
    },
    {
      file: 'forget-pass.ts',
      breaks: 'A sweep begins while a run shrinks, and some ids slip past.',
      find: "this.#index.isShrinking ? 'waiting' : 'sweeping'",
      replace: "'sweeping'",
      tests: FORGET_PASS,
    },
    {
      file: 'forget-pass.ts',
      breaks: 'Ids that are in no run yet are not forgotten by age.',
      find: "#state: 'unsealed' | 'waiting' | 'sweeping' | 'done' = 'unsealed';",
      replace: "#state: 'unsealed' | 'waiting' | 'sweeping' | 'done' = 'sweeping';",
      tests: FORGET_PASS,
    },
    {
      file: 'forget-pass.ts',
      breaks: 'Ids that a run passed over holds count as forgotten, and are never looked at again.',
      find: 'this.passedOver = Math.min(this.passedOver, first!)',
      replace: 'this.passedOver = Infinity',
      tests: FORGET_PASS,
    },
    {
      file: 'key-index.ts',
      breaks: 'An id that was forgotten and came again is forgotten with the first of its events.',
      find: 'if (this.#hot.offset !== offset) return false;',
      replace: '',
      tests: FORGET_PASS,
    },
    {
      file: 'sweep.ts',
      breaks: 'Of the buckets that a merge has moved away, rows are missed, and the writer stops.',
      find: 'if (runs.holds(run, bucket)) ids',
      replace: 'ids',
      tests: FORGET_PASS,
    },
    {
      file: '../upkeep/salvage-keys.ts',
      breaks:
        'A rebuilt index knows an id again that was forgotten in a run soon after its keys were sealed.',
      find: 'take(entries, sealedTo)',
      replace: 'take(entries, 0)',
      tests: ['store/sqlite/upkeep/verify.test.ts'],
    },
    {
      file: '../upkeep/salvage-keys.ts',
      breaks: 'A rebuilt index lacks the ids of events without a text, and these are stored again.',
      find: 'take(entries, 0);',
      replace: 'void entries;',
      tests: ['store/sqlite/upkeep/verify.test.ts'],
    },
  ],
};
