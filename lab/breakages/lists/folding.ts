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
      breaks: 'The writer leaves the rest of the log to the other thread, which never reaches its end.',
      find: 'if (rest > 0 && (rest <= restPages || pages >= overduePages)) this.#foldHere();',
      replace: '',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'The writer goes on when the disk refuses the log, until the log has filled it.',
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
      breaks: 'Nobody folds the log any more once the thread that did it has died.',
      find: '    this.#isTold = true;\n    this.#ended();\n',
      replace: '    this.#isTold = true;\n',
      tests: FOLDING,
    },
    {
      file: 'folding.ts',
      breaks: 'A log that is short is folded only when the service stops.',
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
      breaks: 'SQLite folds the log in the commits, as it does by itself.',
      find: "file.db.exec('PRAGMA wal_autocheckpoint = 0');",
      replace: '',
      tests: DURABILITY,
    },
    {
      file: 'folding-thread.ts',
      breaks: 'What the other thread folded is synced by the writer, between two commits.',
      find: '    fdatasyncSync(fd);\n',
      replace: '',
      tests: DURABILITY,
    },
  ],
};
