import type { Area } from '../breakage.ts';

const FOLDING = ['packages/aggregator/test/store/sqlite/threads/folding.test.ts'];
const DURABILITY = ['tests/durability.test.ts'];

/** How the log gets into the file. */
export const folding: Area = {
  sources: 'packages/aggregator/src/store/sqlite/threads',
  tests: '',
  breakages: [
    {
      file: 'folding.ts',
      breaks: 'The writer leaves the rest of the log to the other thread, which never catches up.',
      find: 'if (rest > 0 && (rest <= restPages || pages >= overduePages)) this.#foldHere();',
      replace: '',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'The writer continues when the log cannot be checkpointed, until the log fills the disk.',
      find: "if (error.code === 'failed') this.#file.appender.stop(error);",
      replace: '',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'Lack of space while the log is folded stops the writer for good.',
      find: "if (error.code === 'failed') this.#file",
      replace: 'this.#file',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'Once the other thread has died, nobody folds the log any more.',
      find: '    this.#isTold = true;\n    this.#ended();\n',
      replace: '    this.#isTold = true;\n',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'A short log is folded only when the service stops.',
      find: 'if (rest <= this.#shape.restPages) this.#foldHere();',
      replace: '',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'The file is closed while another thread has it open, so nobody folds the log at the end.',
      find: '    await ended;\n',
      replace: '',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'SQLite checkpoints the log within commits, as it does by default.',
      find: "file.db.exec('PRAGMA wal_autocheckpoint = 0');",
      replace: '',
      tests: DURABILITY,
    },
    {
      file: 'folding-thread.ts',
      breaks: 'The writer syncs the pages that the other thread has folded, between two commits.',
      find: '    fdatasyncSync(fd);\n',
      replace: '',
      tests: DURABILITY,
    },
  ],
};
