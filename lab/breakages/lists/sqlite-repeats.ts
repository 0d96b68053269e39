import type { Area } from '../breakage.ts';

const REPEATS = ['sqlite/repeats/repeats.test.ts'];
const MARKS = ['sqlite/repeats/time-marks.test.ts'];
const ERASE = ['sqlite/erase.test.ts'];
const SUITE = ['repeat-store.test.ts'];

/** How the SQLite store remembers repeats. */
export const sqliteRepeats: Area = {
  sources: 'packages/aggregator/src/store/sqlite',
  tests: 'packages/aggregator/test/store',
  breakages: [
    {
      file: 'blocks/block-log.ts',
      breaks: 'A merge takes the repeats with it that are not counted yet.',
      find: 'this.#keepRepeats.run(firstOffset, lastOffset);',
      replace: '',
      tests: REPEATS,
    },
    {
      file: 'repeats/pending.ts',
      breaks: 'The repeats in the rows of blocks are counted again and again.',
      find: 'if (settledTo > 0) this.#settledTo.run(settledTo);',
      replace: '',
      tests: REPEATS,
    },
    {
      file: 'repeats/repeats.ts',
      breaks: 'After a commit that failed, repeats count as pending that nobody has written.',
      find: 'rolledBack(): void {\n    this.#isStale = true;',
      replace: 'rolledBack(): void {',
      tests: REPEATS,
    },
    {
      file: 'repeats/repeats.ts',
      breaks: 'Under load repeats are pending without end, and each reader looks at all of them.',
      find: 'if (this.#pendingCount > PENDING_MAX)',
      replace: 'if (this.#pendingCount < 0)',
      tests: REPEATS,
    },
    {
      file: 'repeats/repeats.ts',
      breaks: 'Pending repeats tell of an event whose id is forgotten.',
      find: 'if (this.#pendingCount > 0) this.#pending.forget',
      replace: 'if (this.#pendingCount < 0) this.#pending.forget',
      tests: REPEATS,
    },
    {
      file: 'repeats/repeats.ts',
      breaks: 'A file keeps the texts of conflicts on a topic that keeps only ids.',
      find: 'return !topic.isBare;',
      replace: 'return true;',
      tests: SUITE,
    },
    {
      file: 'repeats/settling.ts',
      breaks: 'What is known of an event that is repeated all the time grows without end.',
      find: 'numberOfCut(duplicates) === numberOfCut(duplicates - length)',
      replace: 'duplicates > 0',
      tests: REPEATS,
    },
    {
      file: 'repeats/settling.ts',
      breaks: 'Whoever publishes under ever new sources fills the disk.',
      find: 'if (this.#pairs >= PAIRS_MAX)',
      replace: 'if (this.#pairs < 0)',
      tests: REPEATS,
    },
    {
      file: 'repeats/conflicts.ts',
      breaks: 'A file grows with each conflict.',
      find: 'this.#deleteOld.run(oldest);',
      replace: '',
      tests: SUITE,
    },
    {
      file: 'repeats/conflicts.ts',
      breaks: 'The bytes of a text that lost stay in the file when it goes.',
      find: 'bytes.fill(0, Number(at), Number(at) + Number(length));',
      replace: '',
      tests: ERASE,
    },
    {
      file: 'expiry-pass.ts',
      breaks: 'In a file the text of a conflict outlives the text that it lost to.',
      find: 'goes(offset - firstOffset)',
      replace: 'goes(offset - firstOffset) && false',
      tests: [...ERASE, ...SUITE],
    },
    {
      file: 'retention.ts',
      breaks: 'In a file the history of an event outlives its id.',
      find: 'appender.repeats.forget([offset]);',
      replace: '',
      tests: REPEATS,
    },
    {
      file: 'forgetting.ts',
      breaks: 'The history of events outlives their ids where these are forgotten by their age.',
      find: 'if (forgotten.offsets.length > 0)',
      replace: 'if (forgotten.offsets.length < 0)',
      tests: REPEATS,
    },
    {
      file: 'scrub.ts',
      breaks: 'An erasure takes repeats with it that are not counted yet.',
      find: 'CASE WHEN first_offset > (SELECT settled_to FROM repeat_state) THEN repeats END',
      replace: 'NULL',
      tests: REPEATS,
    },
    {
      file: 'repeats/time-marks.ts',
      breaks: 'Ages that nothing but the block can tell are guessed.',
      find: 'return ageBucket(nowMs - this.#read(at, offset, nowMs));',
      replace: 'return bucket + this.#read.length - 3;',
      tests: MARKS,
    },
    {
      file: 'repeats/time-marks.ts',
      breaks: 'Marks are never thinned, so memory grows with each commit.',
      find: 'if (this.size < this.#thinAt) return;',
      replace: 'if (this.size > 0) return;',
      tests: MARKS,
    },
    {
      file: 'repeats/time-marks.ts',
      breaks: 'After a start each commit of a block gets a mark of its own, however old it is.',
      find: 'thin(read, nowMs);',
      replace: '',
      tests: MARKS,
    },
    {
      file: 'repeats/time-marks.ts',
      breaks: 'Marks that became one tell ages as if they had stayed apart.',
      find: 'if (widened <= (nowMs - ms[kept]! - widened) * AGE_ERROR_MAX)',
      replace: 'if (widened <= (nowMs - ms[kept]! - widened))',
      tests: MARKS,
    },
  ],
};
