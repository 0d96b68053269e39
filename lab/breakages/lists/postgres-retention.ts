import type { Area } from '../breakage.ts';

const RETENTION = ['store/postgres/retention.test.ts'];
const VERIFY = ['store/postgres/verify.test.ts'];

/** How many instances on one PostgreSQL let go of texts and ids. */
export const postgresRetention: Area = {
  sources: 'packages/aggregator/src/store/postgres',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'merge.ts',
      breaks: 'A merge brings back texts that were let go of after it had read them.',
      find: ' AND rewrites = $6::bigint',
      replace: ' AND $6::bigint IS NOT NULL',
      tests: RETENTION,
    },
    {
      file: 'rewriting.ts',
      breaks: 'A merge does not learn that blocks were rewritten that it has read.',
      find: 'rewrites = rewrites + 1',
      replace: 'rewrites = rewrites',
      tests: RETENTION,
    },
    {
      file: 'block-reader.ts',
      breaks: 'An instance goes on showing texts from its memory that another one has let go of.',
      find: ' && one.version === version',
      replace: '',
      tests: RETENTION,
    },
    {
      file: 'commit.ts',
      breaks: 'An instance goes by policies, and by ids, that are no longer in force.',
      find: " AND ${isOfVersion('$18')}",
      replace: ' AND $18::bigint IS NOT NULL',
      tests: RETENTION,
    },
    {
      file: 'store.ts',
      breaks: 'An instance still knows ids by heart that another one has forgotten.',
      find: '      recent.clear();\n',
      replace: '',
      tests: RETENTION,
    },
    {
      file: 'policies.ts',
      breaks: 'Two policies that overlap are put at the same time.',
      find: 'SELECT FROM retention FOR UPDATE',
      replace: 'SELECT FROM retention',
      tests: RETENTION,
    },
    {
      file: 'retention.ts',
      breaks: 'Two instances do the work of the policies.',
      find: 'WHERE holder = $1::text OR until <= clock_timestamp()',
      replace: 'WHERE one = 1',
      tests: RETENTION,
    },
    {
      file: 'retention.ts',
      breaks: 'An instance that has gone keeps the others from the work of the policies.',
      find: 'if (!this.#hasClaimed) return;',
      replace: 'return;',
      tests: RETENTION,
    },
    {
      file: 'expiries.ts',
      breaks: 'Where a notification got lost nobody hears of what expired.',
      find: 'if (this.#seen > this.#known) {',
      replace: 'if (this.#seen > Number.MAX_SAFE_INTEGER) {',
      tests: RETENTION,
    },
    {
      file: 'expiries.ts',
      breaks: 'Other instances are not notified of what expired, and told that it may be anywhere.',
      find: '[`${number} ${expiry.from} ${expiry.upTo}`]',
      replace: '[]',
      tests: RETENTION,
    },
    {
      file: 'migrations.ts',
      breaks: 'A log of the version before does not know how many bytes its texts have.',
      find: 'for (const [id, more] of textBytesByTopic(directory))',
      replace: 'for (const [id, more] of textBytesByTopic(directory).entries().take(0))',
      tests: RETENTION,
    },
    {
      file: 'migrations.ts',
      breaks: 'A log of the version before counts its last events without their bytes.',
      find: 'UPDATE settled SET last_offset = (SELECT last_offset FROM head);',
      replace: '',
      tests: RETENTION,
    },
    {
      file: 'kept.ts',
      breaks: 'The first event of a topic that is kept is told as it was before others expired.',
      find: 'if (known?.expired === expired)',
      replace: 'if (known !== undefined)',
      tests: RETENTION,
    },
    {
      file: 'verify.ts',
      breaks: 'Verify does not miss an id that nobody forgot.',
      find: 'if (books.keys !== findings.events - books.forgotten)',
      replace: 'if (books.keys > findings.events)',
      tests: VERIFY,
    },
  ],
};
