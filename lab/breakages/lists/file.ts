import type { Area } from '../breakage.ts';

const FILE = ['store/sqlite/file.test.ts'];

/** The one file and its one writer. */
export const file: Area = {
  sources: 'packages/aggregator/src/store/sqlite/file',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: '../../checksum.ts',
      breaks: 'Checksums are never compared.',
      find: 'if (viewOf(checked).getUint32(length, true) !== crcOf(bytes, before)) throw wrong();',
      replace: 'if (viewOf(checked).getUint32(length, true) !== crcOf(bytes, before)) return bytes;',
      tests: [
        'store/sqlite/block-store.test.ts',
        'store/sqlite/upkeep/verify.test.ts',
        'store/sqlite/older-formats.test.ts',
        'api/read/damaged.test.ts',
      ],
    },
    {
      file: 'database.ts',
      breaks: 'A missing file is silently replaced by an empty one, and all its events are accepted again.',
      find: 'if (lock.mark > 0) throw goneError(path, lock.mark);',
      replace: '',
      tests: FILE,
    },
    {
      file: 'database.ts',
      breaks: 'A file without its log is opened and lacks its newest events.',
      find: '    refuseShortFile(db, path, lock);\n',
      replace: '',
      tests: FILE,
    },
    {
      file: 'database.ts',
      breaks: 'The mark of how far a file reaches is never raised.',
      find: 'if (lastOffset >= lock.mark) lock.raise(lastOffset);',
      replace: 'if (lastOffset >= lock.mark) return;',
      tests: FILE,
    },
    {
      file: 'database.ts',
      breaks: "Another program's file is taken over.",
      find: '(id !== 0 || tables > 0)',
      replace: 'id !== 0',
      tests: FILE,
    },
    {
      file: 'database.ts',
      breaks: 'A file of a newer version is written to.',
      find: 'if (version > MIGRATIONS.length) {',
      replace: 'if (version > MIGRATIONS.length + 1) {',
      tests: FILE,
    },
    {
      file: 'database.ts',
      breaks: 'An SQLite whose patch version is too old is accepted, although it can corrupt the file.',
      find: 'if (differs >= 0 &&',
      replace: 'if (differs >= 0 && differs < 2 &&',
      tests: FILE,
    },
    {
      file: 'database.ts',
      breaks: 'A log that grew during a long read never shrinks.',
      find: 'PRAGMA journal_size_limit = ${LOG_BYTES_KEPT};',
      replace: '',
      tests: FILE,
    },
    {
      file: 'lock.ts',
      breaks: 'The lock is released at once, so a second process can write to the same file.',
      find: 'PRAGMA locking_mode = EXCLUSIVE;',
      replace: '',
      tests: FILE,
    },
    {
      file: 'lock.ts',
      breaks: 'The mark goes back when it is given a smaller offset.',
      find: 'if (lastOffset <= this.#mark) return;',
      replace: '',
      tests: FILE,
    },
    {
      file: 'lock.ts',
      breaks: 'A lock file that a power loss left half written keeps the service from starting.',
      find: 'truncateSync(lockPath);',
      replace: '',
      tests: FILE,
    },
    {
      file: 'place.ts',
      breaks: 'A file with two names has two locks, and so two writers.',
      find: 'nlink > 1',
      replace: 'nlink > 2',
      tests: FILE,
    },
    {
      file: 'place.ts',
      breaks: 'The same file has a different lock if it is opened through a link.',
      find: 'place = realpathSync(path);',
      replace: 'realpathSync(path);\n    place = path;',
      tests: FILE,
    },
    {
      file: 'epochs.ts',
      breaks: 'After a restore a late acknowledgement from the old log ends the lease of a different event.',
      find: 'UPDATE event_group SET secret = randomblob(length(secret));',
      replace: '',
      tests: ['api/epochs.test.ts'],
    },
    {
      file: 'epochs.ts',
      breaks: 'Every start after a restore begins another epoch and invalidates every cursor.',
      find: 'UPDATE log SET is_copy = 0;',
      replace: '',
      tests: ['api/epochs.test.ts'],
    },
    {
      file: 'ledger.ts',
      breaks: 'A file whose log ends before its books is opened, and offsets are assigned twice.',
      find: 'if (end !== lastOffset)',
      replace: 'if (end > lastOffset)',
      tests: [
        ...FILE,
        'store/sqlite/block-store.test.ts',
        'store/sqlite/upkeep/verify.test.ts',
        'store/sqlite/older-formats.test.ts',
      ],
    },
    {
      file: 'errors.ts',
      breaks: 'A disk without space stops the writer for good.',
      find: '((code & 0xff) === SQLITE_FULL || code === SQLITE_IOERR_SHMSIZE)',
      replace: 'code === SQLITE_IOERR_SHMSIZE',
      tests: [
        'store/sqlite/block-store.test.ts',
        'store/sqlite/upkeep/verify.test.ts',
        'store/sqlite/older-formats.test.ts',
      ],
    },
  ],
};
