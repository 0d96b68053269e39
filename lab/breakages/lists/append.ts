import type { Area } from '../breakage.ts';

const BLOCK_STORE = ['store/sqlite/block-store.test.ts'];
const STORES = ['store/event-store.test.ts'];
const COMMITS = ['commits/commits.test.ts'];

/** From the consumer's commit to the word of it. */
export const append: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'released-memory.ts',
      breaks: 'A thread takes from another, which starts at the same time, what it collects with.',
      find: "const collectGarbage = runInNewContext('gc') as CollectGarbage;",
      replace:
        "const collectGarbage = runInNewContext('gc') as CollectGarbage;\nsetFlagsFromString('--no-expose-gc');",
      tests: ['released-memory.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Every publish of a group is told the verdicts of the first.',
      find: 'const result = results[i]!;',
      replace: 'const result = results[i - i]!;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'A service that stops does not wait for the commit that is under way.',
      find: 'await this.#finished;',
      replace: '',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Publishers that never come back are waited for after every second commit.',
      find: 'this.#waitsToSkip = 2 ** this.#waitsInVain;',
      replace: 'this.#waitsToSkip = 1;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Publishers that come back in several turns of the loop take turns in two commits.',
      find: 'const QUIET_TURNS = 8;',
      replace: 'const QUIET_TURNS = 1;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'A publisher that is alone is kept waiting for others.',
      find: 'while (!this.#isComplete && quietTurns',
      replace: 'while (quietTurns',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks:
        'Publishers are answered with the first turn after their append was sent, not after its commit.',
      find: 'results = await this.#store.append(batches);',
      replace: `const sent = this.#store.append(batches);
      await Promise.race([sent, new Promise(setImmediate)]);
      for (const { batch, resolve } of group) {
        const { count } = batch;
        const verdicts = new Uint8Array(count);
        resolve({ accepted: count, duplicates: 0, conflicts: 0, receivedMs: 0, verdicts, offsets: new Float64Array(count) });
      }
      results = await sent;`,
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'A clock that is set back takes received_at back with it.',
      find: 'ledger.lastMs = Math.max(nowMs, ledger.lastMs);',
      replace: 'ledger.lastMs = nowMs;',
      tests: STORES,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'After an append that failed the books count what is not there, and offsets are left out.',
      find: 'this.#ledger = { ...this.#committed };',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'What failed is a duplicate when it is sent again: it is acknowledged and nowhere.',
      find: 'this.#index.rolledBack();',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'A topic that a failed append made is remembered by an id that is not in the file.',
      find: 'this.#isStale = true;',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'After a failed append the topics forget what only their blocks say.',
      find: 'const blocks = this.#untold.blocks();',
      replace: 'const blocks = this.#untold.blocks().slice(0, 0);',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'Topics that are forgotten to save memory take what their rows lack with them.',
      find: `      this.settle();
      this.#topics.forget();`,
      replace: '      this.#topics.forget();',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/open-file.ts',
      breaks: 'A start takes no notice of a block that is missing, and what was in it is accepted again.',
      find: 'if (next !== null && block.firstOffset !== next) {',
      replace: 'if (next !== null && block.firstOffset < next) {',
      tests: ['store/sqlite/file.test.ts'],
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'While small commits come the rows of the books fall behind without bound.',
      find: 'this.#untoldBlocks >= UNTOLD_BLOCKS_MAX ||',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A merge takes away the blocks that alone told the books.',
      find: 'if (this.#log.isExchanged && !this.#books.isSettled) this.#books.settle();',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A commit of duplicates alone, or a large one, tells the books nowhere.',
      find: 'else books.settle();',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/read.ts',
      breaks: 'Topics are told without the events that only their blocks tell.',
      find: "const more = untold.get(Number(row['topic_id']));",
      replace: "const more = untold.get(-Number(row['topic_id']));",
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/read.ts',
      breaks: 'The count of an answer by topic lacks the events that only their blocks tell.',
      find: 'if (topicIds.has(id)) untold += events;',
      replace: 'if (topicIds.has(-id)) untold += events;',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A conflict is told as a duplicate.',
      find: 'const isConflict = index.digest !== digest;',
      replace: 'const isConflict = index.digest > digest && index.digest < digest;',
      tests: STORES,
    },
    {
      file: 'store/sqlite/topic-rows.ts',
      breaks: 'A topic is counted in its first commit only.',
      find: 'topic.isTouched = false;',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'After an I/O error the writer goes on writing to a file that it knows nothing of.',
      find: "if (error.code === 'failed' || !isAsBefore) this.stop(error);",
      replace: 'if (!isAsBefore) this.stop(error);',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/topic-rows.ts',
      breaks: 'Topics that begin alike and meet in a place of the recent ones are counted as one.',
      find: 'if (name.length !== end - start) return false;',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/news-of-append.ts',
      breaks: 'Dropped events of a batch are told to followers as new ones.',
      find: 'if (result.verdicts[i] === ACCEPTED) visit(batch, i, result);',
      replace: 'visit(batch, i, result);',
      tests: COMMITS,
    },
    {
      file: 'store/news-of-append.ts',
      breaks: 'An event that was told before is told again.',
      find: 'if (offset <= above) return;',
      replace: '',
      tests: ['store/news-of-append.test.ts'],
    },
    {
      file: 'commits/commits.ts',
      breaks: 'Late news set the end of the log back.',
      find: 'if (lastOffset <= known) return;',
      replace: '',
      tests: COMMITS,
    },
    {
      file: 'commits/commits.ts',
      breaks: 'A hole in the news is passed over, and nobody is given the events in it.',
      find: 'events: after > known ? null : events',
      replace: 'events',
      tests: COMMITS,
    },
  ],
};
