import type { Change } from '../../lab/breakages/breakage.ts';

const SOURCES = 'packages/aggregator/src';

/** For the torture to find. */
export const TORTURED = {
  'answers before the commit': answersBeforeCommit(4),
  'forgets keys after a kill': [
    {
      file: `${SOURCES}/store/sqlite/open-file.ts`,
      find: 'reviveKeys({ db, appender, hasher, index }, revived);',
      replace: '',
    },
  ],
  'moves events in merges': [
    {
      file: `${SOURCES}/store/blocks/block-merge.ts`,
      find: 'encoder.put(block.text(i));',
      replace:
        'encoder.put(block.text((i ^ 1) < block.count && block.textLength(i ^ 1) === block.textLength(i) ? i ^ 1 : i));',
    },
    // On a busy machine the rounds end before there is a full one.
    {
      file: `${SOURCES}/store/sqlite/blocks/block-log.ts`,
      find: 'eventsMax: 4096,',
      replace: 'eventsMax: 256,',
    },
  ],
  'forgets the ids of expired events after a kill': [
    {
      file: `${SOURCES}/store/sqlite/expiry-pass.ts`,
      find: 'index.keepBare(entries);',
      replace: '',
    },
  ],
  'counts what expires a moment later': [
    {
      file: `${SOURCES}/store/sqlite/expiry-pass.ts`,
      find: 'appender.books.expire(id, some, next);',
      replace: `setTimeout(
        () =>
          appender.transaction(() => {
            appender.books.settle();
            appender.books.expire(id, some, next);
            appender.books.settle();
          }),
        300,
      );`,
    },
  ],
  'brings expired texts back in merges': [
    // More merges than one in some seconds, and a moment in which the texts that one has read may expire.
    {
      file: `${SOURCES}/store/sqlite/blocks/block-log.ts`,
      find: 'eventsMax: 4096,',
      replace: 'eventsMax: 256,',
    },
    {
      file: `${SOURCES}/store/sqlite/blocks/block-log.ts`,
      find: 'if (merge.row !== null) this.#exchange(merge, merge.row);',
      replace: `const at = ((merge as { doneAt?: number }).doneAt ??= performance.now());
    if (merge.row !== null && performance.now() - at > 100) this.#exchange(merge, merge.row);`,
    },
    {
      file: `${SOURCES}/store/sqlite/blocks/block-log.ts`,
      find: '=== true) this.#merge = null;',
      replace: '=== true) this.#changed.size;',
    },
  ],
} as const satisfies Broken;

const POSTGRES = `${SOURCES}/store/postgres`;

/** For the torture of many instances to find, by the history of what their clients were told. */
export const INSTANCES_TORTURED = {
  // A number of a sequence is drawn before the commits have an order, and seen by nobody until its own is done.
  'takes offsets from a sequence': [
    {
      file: `${POSTGRES}/schema.ts`,
      find: 'CREATE TABLE head (',
      replace: 'CREATE SEQUENCE drawn; CREATE TABLE head (',
    },
    {
      file: `${POSTGRES}/commit.ts`,
      find: 'WITH blocks AS (',
      replace: `WITH drawn AS MATERIALIZED (
    SELECT CASE WHEN $9::int > 0 THEN setval('drawn', nextval('drawn') + $9::int - 1) ELSE 0 END AS last_offset
  ), blocks AS (`,
    },
    {
      file: `${POSTGRES}/commit.ts`,
      find: 'last_offset = last_offset + $9::int * (${KEEPS}),',
      replace: 'last_offset = greatest(last_offset, (SELECT last_offset FROM drawn)),',
    },
    {
      file: `${POSTGRES}/commit.ts`,
      find: 'WHERE (SELECT count(*) FROM blocks)',
      replace:
        'WHERE (SELECT last_offset FROM drawn) >= 0 AND pg_sleep(random() * 0.02) IS NOT NULL AND (SELECT count(*) FROM blocks)',
    },
    {
      file: `${POSTGRES}/commit.ts`,
      find: 'SELECT $1::bigint, last_offset - $9::int + 1, $9::int,',
      replace: 'SELECT $1::bigint, (SELECT last_offset FROM drawn) - $9::int + 1, $9::int,',
    },
    {
      file: `${POSTGRES}/block-reader.ts`,
      find: 'if (!mayPassOver && ascending && block.firstOffset > low) throw noBlockWith(low);',
      replace: '',
    },
  ],
  'answers before the commit': [
    {
      file: `${POSTGRES}/append.ts`,
      find: 'return await using(this.#sessions.writers, async (client) => {',
      replace: `return await new Promise<GroupResult>((resolve, reject) => using(this.#sessions.writers, async (client) => {
          await client.query('BEGIN');`,
    },
    {
      file: `${POSTGRES}/append.ts`,
      find: 'return await this.#turns.within(client, () => this.#inForce(client, tried));\n        });',
      replace: `try {
            resolve(await this.#turns.within(client, () => this.#inForce(client, tried)));
          } catch (error) {
            await client.query('ROLLBACK');
            throw error;
          }
          await new Promise((late) => setTimeout(late, 30));
          await client.query('COMMIT');
        }).catch(reject));`,
    },
  ],
  'serves texts that another instance let go of': [
    {
      file: `${POSTGRES}/block-reader.ts`,
      find: 'one?.block.count === events && one.version === version ? one',
      replace: 'one?.block.count === events && version >= 0 ? one',
    },
  ],
  'has followers trust notifications': [
    {
      file: `${SOURCES}/commits/commits.ts`,
      find: 'events: after > known ? null : events }',
      replace: 'events }',
    },
  ],
} as const satisfies Broken;

/** For losses of power to find. */
export const POWER_LOST = {
  'synchronous=NORMAL': [synchronous('NORMAL')],
  'synchronous=OFF': [synchronous('OFF')],
  'answers before the commit': answersBeforeCommit(2),
  'truncates without a sync': [
    {
      file: `${SOURCES}/store/sqlite/retention.ts`,
      find: 'isLast ? appender.synced(exchange)',
      replace: 'isLast ? appender.unsynced(exchange)',
    },
  ],
  'sets policies without a sync': [
    {
      file: `${SOURCES}/store/sqlite/retention.ts`,
      find: 'const outcome = this.#file.appender.transaction(() => {',
      replace: 'const outcome = this.#file.appender.unsynced(() => {',
    },
  ],
  'empties the log without a sync': [
    {
      file: `${SOURCES}/store/sqlite/threads/folding.ts`,
      find: 'sync(`${this.#file.db.location()!}-wal`);',
      replace: '',
    },
  ],
} as const satisfies Broken;

/** For the fuzzer to find. */
export const FUZZED = {
  'puts a name into a header': [
    {
      file: `${SOURCES}/api/read/events.ts`,
      find: 'const json = await store.find(topic, eventId);',
      replace: "const json = await store.find(topic, eventId);\n      reply.header('x-topic', topic);",
    },
  ],
  'stores refused events': [
    {
      file: `${SOURCES}/api/publish.ts`,
      find: 'const answer = answerOf(batch, result,',
      replace:
        "if (batch.count === 3) throw new ProblemError('invalid_event', 'no');\n  const answer = answerOf(batch, result,",
    },
    {
      file: `${SOURCES}/api/publish.ts`,
      find: "import { requireTopics } from './request/access.ts';",
      replace:
        "import { requireTopics } from './request/access.ts';\nimport { ProblemError } from './request/problems.ts';",
    },
  ],
  'answers a plain publish otherwise': [
    {
      file: `${SOURCES}/api/short-publish.ts`,
      find: 'if (refusal !== undefined) throw refusal;',
      replace: 'void refusal;',
    },
  ],
  'answers garbage before earlier requests': [
    {
      file: `${SOURCES}/api/request/connections.ts`,
      find: 'if (!response || (',
      replace: 'if (response !== 0 || (',
    },
  ],
  'changes stored text': [
    {
      file: `${SOURCES}/event/json-scanner.ts`,
      find: "else if (byte === 0x74) this.literal('true');",
      replace: "else if (byte === 0x74) { this.literal('true'); this.bytes.write('1234', this.write - 4); }",
    },
  ],
  'crashes on a request': [
    {
      file: `${SOURCES}/api/request/content-coding.ts`,
      find: "return new ProblemError('invalid_encoding', 'bytes follow the end of the compressed data');",
      replace: 'process.exit(7);',
    },
  ],
} as const satisfies Broken;

/** Changes by what the service then does wrong. */
type Broken = Readonly<Record<string, readonly Change[]>>;

/** It commits only if the count of received events is divisible by the number, and answers anyway. */
function answersBeforeCommit(divisor: number): readonly Change[] {
  const file = `${SOURCES}/store/sqlite/append.ts`;
  return [
    { file, find: 'this.#begin.run();', replace: 'if (!this.#db.isTransaction) this.#begin.run();' },
    {
      file,
      find: 'this.#commit.run();',
      replace: `if (this.#books.ledger.received % ${divisor} === 0) this.#commit.run();`,
    },
    // Within a transaction the log cannot be examined, which would stop the writer.
    {
      file: `${SOURCES}/store/sqlite/threads/folding.ts`,
      find: 'this.#failed(writeErrorOf(cause));',
      replace: 'void writeErrorOf(cause);',
    },
  ];
}

function synchronous(level: string): Change {
  return {
    file: `${SOURCES}/store/sqlite/file/database.ts`,
    find: 'PRAGMA synchronous = FULL',
    replace: `PRAGMA synchronous = ${level}`,
  };
}
