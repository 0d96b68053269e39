import type { Area } from '../breakage.ts';

const RETENTION = ['retention.test.ts'];
const ERASE = ['erase.test.ts'];

/** How the SQLite store lets go of texts. */
export const sqliteRetention: Area = {
  sources: 'packages/aggregator/src/store/sqlite',
  tests: 'packages/aggregator/test/store/sqlite',
  breakages: [
    {
      file: 'blocks/block-log.ts',
      breaks: 'A merge that had read a block brings back the texts that expired meanwhile.',
      find: '=== true) this.#merge = null;',
      replace: '=== true) this.#isRewritten = false;',
      tests: RETENTION,
    },
    {
      file: 'block-reader.ts',
      breaks: 'A reader shows expired events of the block that it keeps.',
      find: 'if (rewrites === this.#rewrites) return;',
      replace: 'if (this.#rewrites >= 0) return;',
      tests: RETENTION,
    },
    {
      file: 'expiry-pass.ts',
      breaks: 'A block that changes between two steps of an expiry has texts again that went meanwhile.',
      find: '|| Buffer.compare(now, directory) !== 0',
      replace: '',
      tests: RETENTION,
    },
    {
      file: 'expiry-pass.ts',
      breaks: 'A block that has changed since it was prepared is passed over by the expiry.',
      find: 'this.passed = before;',
      replace: '',
      tests: RETENTION,
    },
    {
      file: 'retention.ts',
      breaks:
        'An expiry lets go of what an answer under way has announced, because that was prepared before.',
      find: 'if (upTo >= underWay.upTo) return underWay;',
      replace: 'return underWay;',
      tests: RETENTION,
    },
    {
      file: 'retention.ts',
      breaks: 'Of two expiries that take turns none comes to an end.',
      find: 'nowMs < underWay.usedMs + PASS_IDLE_MS',
      replace: 'nowMs < underWay.usedMs',
      tests: RETENTION,
      hangs: true,
    },
    {
      file: 'retention.ts',
      breaks: 'A power loss undoes a truncation that was answered.',
      find: 'isLast ? appender.synced(exchange)',
      replace: 'isLast ? appender.transaction(exchange)',
      tests: RETENTION,
    },
    {
      file: 'retention.ts',
      breaks: 'Topics that once had nothing to let go of never lose an event again.',
      find: 'return Math.min(firstOffset - 1, appender.lastOffset)',
      replace: 'return firstOffset - 1',
      tests: ['../retention-store.test.ts'],
    },
    {
      file: 'expiry-pass.ts',
      breaks: 'After a restart the ids of expired events are not known any more.',
      find: 'index.keepBare(entries);',
      replace: '',
      tests: ['../event-store-property.test.ts'],
    },
    {
      file: 'file/database.ts',
      breaks: 'The bytes of an erased event stay in free pages.',
      find: 'PRAGMA secure_delete = ON;',
      replace: '',
      tests: ERASE,
    },
    {
      file: 'scrub.ts',
      breaks: 'What an older version left in free pages outlives an erasure.',
      find: 'if (!fillSome(db)) db.prepare',
      replace: 'db.prepare',
      tests: ERASE,
    },
    {
      file: 'retention-calls.ts',
      breaks: 'An erasure is answered while the write-ahead log has the text.',
      find: 'await this.#emptyLog();',
      replace: '',
      tests: ERASE,
    },
  ],
};
