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
      file: `${SOURCES}/store/sqlite/blocks/block-merge.ts`,
      find: 'encoder.put(block.text(i));',
      replace:
        'encoder.put(block.text((i ^ 1) < block.count && block.textLength(i ^ 1) === block.textLength(i) ? i ^ 1 : i));',
    },
  ],
} as const satisfies Broken;

/** For losses of power to find. */
export const POWER_LOST = {
  'synchronous=NORMAL': [synchronous('NORMAL')],
  'synchronous=OFF': [synchronous('OFF')],
  'answers before the commit': answersBeforeCommit(2),
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
