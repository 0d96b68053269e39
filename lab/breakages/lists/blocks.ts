import type { Area } from '../breakage.ts';

const BLOCK_STORE = [
  'store/sqlite/block-store.test.ts',
  'store/sqlite/merged-blocks.test.ts',
  'store/sqlite/upkeep/verify.test.ts',
];
const BLOCK_LOG = ['store/sqlite/blocks/block-log.test.ts'];

/** The log. */
export const blocks: Area = {
  sources: 'packages/aggregator/src/store/sqlite/blocks',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: '../../blocks/block-encoder.ts',
      breaks: 'From its second commit on, a block has commit times years ahead.',
      find: `writer.put(receivedMs - ms);
      ms = receivedMs;`,
      replace: 'writer.put(receivedMs - ms);',
      tests: ['store/sqlite/older-formats.test.ts'],
    },
    {
      file: '../../blocks/block-encoder.ts',
      breaks: 'Uncompressed texts are freed before their row is written.',
      find: 'if (body.buffer !== this.#texts.buffer) freeMemory(this.#texts);',
      replace: 'freeMemory(this.#texts);',
      tests: BLOCK_STORE,
    },
    {
      file: '../../blocks/block-encoder.ts',
      breaks: 'In a merged block each text overwrites the previous one of its topic.',
      find: 'next[topic] = at + length;',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: '../../blocks/block-format.ts',
      breaks: 'A block with a flipped bit is delivered.',
      find: 'isChecked ? this.#checked(row) : row.directory',
      replace: 'isChecked ? row.directory.subarray(0, row.directory.length - 4) : row.directory',
      tests: ['api/read/damaged.test.ts'],
    },
    {
      file: '../../blocks/block-format.ts',
      breaks: 'Texts in the second chunk of a merged block are read beyond its end.',
      find: 'isSameChunk ? next[topic - 1]! + bytesOfTopic[topic - 1]! : 0',
      replace: 'next[topic - 1]! + bytesOfTopic[topic - 1]!',
      tests: BLOCK_STORE,
    },
    {
      file: 'block-log.ts',
      breaks: 'A block holds more than a reader should unpack.',
      find: 'to - from < eventsMax',
      replace: 'to - from <= eventsMax',
      tests: BLOCK_LOG,
    },
    {
      file: 'block-log.ts',
      breaks: 'Merged events still count as fresh, so every later commit is merged on its own.',
      find: 'this.#freshEvents -= events;',
      replace: '',
      tests: BLOCK_LOG,
    },
    {
      file: 'block-log.ts',
      breaks: 'A fresh block of a failed transaction is merged later, although it does not exist.',
      find: `rolledBack(): void {
    this.#begin();`,
      replace: `rolledBack(): void {
    for (const block of this.#added) this.#keep(block);
    this.#begin();`,
      tests: BLOCK_LOG,
    },
    {
      file: 'block-log.ts',
      breaks: 'Fresh blocks stay beside the merged one, and readers get their events twice.',
      find: 'this.#deleteFresh.run(firstOffset, lastOffset);',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'block-log.ts',
      breaks: 'Readers of a topic do not find its merged blocks.',
      find: 'for (const topicId of topicIds) this.#insertBlockTopic.run(topicId, firstOffset);',
      replace: 'this.#insertBlockTopic.run(topicIds[0]!, firstOffset);',
      tests: BLOCK_STORE,
    },
    {
      file: 'block-log.ts',
      breaks: 'A merge takes effect in memory before its commit, so a failed commit loses its blocks.',
      find: 'this.#isExchanged = true;',
      replace: `this.#isExchanged = true;
    this.committed();`,
      tests: BLOCK_STORE,
    },
    {
      file: '../../blocks/block-merge.ts',
      breaks:
        'A merge ignores a large commit between two fresh blocks, and events get the offsets of others.',
      find: 'block.firstOffset === this.lastOffset + 1 &&',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: '../../blocks/block-merge.ts',
      breaks: 'A merged block has more events than a reader should unpack.',
      find: 'this.#events + block.count <= this.#eventsMax &&',
      replace: '',
      tests: BLOCK_LOG,
    },
    {
      file: '../../blocks/block-merge.ts',
      breaks: 'A block is freed before its texts are copied.',
      find: 'for (let i = 0; i < block.count; i++) encoder.put(block.text(i));\n    block.release();',
      replace: 'block.release();\n    for (let i = 0; i < block.count; i++) encoder.put(block.text(i));',
      tests: BLOCK_STORE,
    },
    {
      file: 'offset-by-time.ts',
      breaks: 'A group that starts at a time misses the events of that millisecond.',
      find: 'if (receivedMs >= timeMs) {',
      replace: 'if (receivedMs > timeMs) {',
      tests: BLOCK_LOG,
    },
    {
      file: '../../blocks/numbers.ts',
      breaks: 'The missing end of a truncated directory is read as zeros.',
      find: 'if (at > bytes.length) throw this.endsTooEarly();',
      replace: '',
      tests: BLOCK_STORE,
      survives: 'at least one more number follows the filled ones, and reading that one fails',
    },
  ],
};
