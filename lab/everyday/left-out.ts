/** Tests that do not run with TEST_STORE=postgres. */
export interface LeftOut {
  /** Files, and folders with a slash at their end. */
  readonly files: readonly string[];
  /** Tests of these files by their names; all of them without. */
  readonly tests?: readonly string[];
  readonly why: string;
}

/** What is run of the tests that belong to no other script: `npm test`, `npm run test:long`, `npm run test:postgres`. */
export type Run = 'everyday' | 'long' | 'postgres';

/**
 * What `npm test` leaves to `npm run test:long`, to stay below a minute and a half: files that kill processes again and again, wait for
 * time to pass, try thousands of cases, or go through each of many answers. Of what they are about, others tell quickly.
 */
export const LONG: readonly string[] = [
  'packages/aggregator/test/api/audit/answers.test.ts',
  'packages/aggregator/test/api/epochs.test.ts',
  'packages/aggregator/test/api/groups/leases.test.ts',
  'packages/aggregator/test/api/groups/pull.test.ts',
  'packages/aggregator/test/api/in/collector-clients.test.ts',
  'packages/aggregator/test/api/in/providers.test.ts',
  'packages/aggregator/test/api/line-publish.test.ts',
  'packages/aggregator/test/api/otlp/crash.test.ts',
  'packages/aggregator/test/api/otlp/exporters.test.ts',
  'packages/aggregator/test/api/otlp/logs.test.ts',
  'packages/aggregator/test/api/publish-through-fastify.test.ts',
  'packages/aggregator/test/api/read/damaged.test.ts',
  'packages/aggregator/test/api/read/expired-streams.test.ts',
  'packages/aggregator/test/api/read/expired.test.ts',
  'packages/aggregator/test/api/read/read-room.test.ts',
  'packages/aggregator/test/api/read/stream.test.ts',
  'packages/aggregator/test/api/read/while-publishing.test.ts',
  'packages/aggregator/test/api/request/access.test.ts',
  'packages/aggregator/test/api/request/admission.test.ts',
  'packages/aggregator/test/api/request/bad-fields.test.ts',
  'packages/aggregator/test/api/request/bad-values.test.ts',
  'packages/aggregator/test/api/request/body-limits.test.ts',
  'packages/aggregator/test/api/request/connections.test.ts',
  'packages/aggregator/test/api/request/hostile.test.ts',
  'packages/aggregator/test/api/request/too-much.test.ts',
  'packages/aggregator/test/api/retries.test.ts',
  'packages/aggregator/test/store/audit-store.test.ts',
  'packages/aggregator/test/store/event-store-pages.test.ts',
  'packages/aggregator/test/store/event-store-property.test.ts',
  'packages/aggregator/test/store/group-store-expired.test.ts',
  'packages/aggregator/test/store/group-store-property.test.ts',
  'packages/aggregator/test/store/repeat-store.test.ts',
  'packages/aggregator/test/store/retention-store.test.ts',
  'packages/aggregator/test/store/sqlite/block-store.test.ts',
  'packages/aggregator/test/store/sqlite/erase.test.ts',
  'packages/aggregator/test/store/sqlite/file.test.ts',
  'packages/aggregator/test/store/sqlite/keys/forget-pass.test.ts',
  'packages/aggregator/test/store/sqlite/upkeep/backup.test.ts',
  'packages/aggregator/test/webhooks/change.test.ts',
  'packages/aggregator/test/webhooks/webhooks.test.ts',
  'packages/cli/test/outcomes.test.ts',
  'packages/cli/test/pipe-files.test.ts',
  'packages/cli/test/pipe-kills.test.ts',
  'packages/cli/test/pipe-until-now.test.ts',
  'packages/cli/test/pipe.test.ts',
  'packages/client/test/blocked-handlers.test.ts',
  'packages/client/test/blocked-loop.test.ts',
  'packages/client/test/inbox-kills.test.ts',
  'packages/client/test/inbox-postgres.test.ts',
  'packages/client/test/inbox.test.ts',
  'packages/publisher/test/main.test.ts',
  'tests/audit-crash.test.ts',
  'tests/backup.test.ts',
  'tests/batch-stress.test.ts',
  'tests/bundle.test.ts',
  'tests/crash.test.ts',
  'tests/durability.test.ts',
  'tests/events-and-stats-consistency.test.ts',
  'tests/groups-crash.test.ts',
  'tests/long-read.test.ts',
  'tests/persistence-after-restart.test.ts',
  'tests/shutdown.test.ts',
  'tests/stop-npm.test.ts',
  'tests/stream.test.ts',
  'tests/tls.test.ts',
  'tests/verify.test.ts',
  'tests/webhooks-crash.test.ts',
];

/** What both leave to `npm run test:postgres`: of PostgreSQL they have the suites that all stores pass. */
const POSTGRES_ALONE = ['packages/aggregator/test/store/postgres/', 'packages/aggregator/test/store/move/'];

/** All that `npm run test:postgres` leaves out, and why. Nothing here is about what a user of the service would notice. */
export const LEFT_OUT: readonly LeftOut[] = [
  {
    files: ['packages/aggregator/test/store/'],
    why: 'runs on each store in npm test, or is about one store itself',
  },
  {
    files: [
      'packages/aggregator/test/event/',
      'packages/aggregator/test/queue/',
      'packages/aggregator/test/programs/',
      'packages/aggregator/test/config.test.ts',
      'packages/aggregator/test/log.test.ts',
      'packages/aggregator/test/released-memory.test.ts',
      'packages/aggregator/test/rooms.test.ts',
      'packages/dashboard/',
      'packages/protocol/',
      'packages/publisher/',
      'packages/terminal/',
      'packages/vitals/',
      'tests/account.test.ts',
      'tests/breakages.test.ts',
      'tests/bundle.test.ts',
      'tests/documents.test.ts',
      'tests/everyday.test.ts',
      'tests/history.test.ts',
      'tests/kubernetes.test.ts',
      'tests/protocol-rules.test.ts',
      'tests/stop-npm.test.ts',
      'tests/supply-chain.test.ts',
    ],
    why: 'has no store, or would be the same on any',
  },
  {
    files: ['tests/backup.test.ts', 'tests/verify.test.ts'],
    why: 'is about programs that copy and walk the file',
  },
  {
    files: ['packages/aggregator/test/api/epochs.test.ts'],
    why: 'restores a copy of the file; test/store/postgres/open.test.ts begins epochs where a database lost events',
  },
  {
    files: ['tests/durability.test.ts'],
    why: 'watches the syncs of the file, as the server syncs its own; tests/faults kills the server instead',
  },
  {
    files: ['tests/persistence-after-restart.test.ts'],
    tests: ['the database path is created if it is missing', 'two files are independent of each other'],
    why: 'is about the path of the file',
  },
  {
    files: ['tests/start.test.ts'],
    tests: [
      'a file that is not SQLite is refused in one line and left as it was',
      "another program's SQLite file is refused in one line and left as it was",
      'a file of a newer format is refused in one line and left as it was',
      'an impossible path is reported in one line',
      'a file that another process has open is refused in one line, and that process continues',
      'variables come from .env in the working directory, and the real environment wins',
      'without variables it is port 8000 of this machine, and data/chronicle.db where it was started',
    ],
    why: 'is about the file and its path; tests/faults/postgres-start.test.ts is about the database',
  },
  {
    files: ['packages/cli/test/outcomes.test.ts'],
    tests: [
      'separate programs exit with the codes that their help names',
      'the help of every command names exactly the exit codes that were brought about',
    ],
    why: 'runs the programs that copy and walk the file',
  },
  {
    files: ['packages/aggregator/test/webhooks/change.test.ts'],
    tests: ['a webhook in a file of the previous version continues with its secret and ids'],
    why: 'is about the format of an older file',
  },
];

/** Whether the run takes the file. */
export function isWanted(file: string, run: Run): boolean {
  const isMeant = (one: string) => (one.endsWith('/') ? file.startsWith(one) : file === one);
  if (POSTGRES_ALONE.some(isMeant)) return run === 'postgres';
  if (run !== 'postgres') return LONG.includes(file) === (run === 'long');
  return !LEFT_OUT.some(({ files, tests }) => tests === undefined && files.some(isMeant));
}

/** The names of single tests that are left out, as patterns. */
export function leftOutTests(): RegExp[] {
  const names = LEFT_OUT.flatMap(({ tests = [] }) => tests);
  return names.map((name) => new RegExp(`${name.replaceAll(/[^\w\s]/g, String.raw`\$&`)}$`));
}
