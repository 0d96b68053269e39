import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Finding, fuzz } from '../../fuzz/run.ts';
import { type Change, changedSource } from '../../lab/changed-source.ts';
import { tempFolder } from '../../packages/aggregator/test/support/temp-folder.ts';

const TIMEOUT = { timeout: 300_000 };

/** What is found first in a service with this change. */
async function firstFinding(t: TestContext, change: Change): Promise<Finding> {
  const { start } = changedSource(join(tempFolder(t), 'changed'), [change]);
  const options = { seed: 1, from: 0, to: 2000, findingsMax: 1, triesMax: 0, guarded: false, replay: null };
  const { findings, steps } = await fuzz(
    options,
    () => {},
    () => {},
    start,
  );
  const [finding] = findings;
  assert.ok(finding !== undefined, 'the fuzzer found nothing');
  t.diagnostic(`after ${steps} steps: ${finding.faults[0]}`);
  return finding;
}

function assertFound(t: TestContext, found: RegExp, change: Change): Promise<void> {
  return firstFinding(t, change).then(({ faults }) => assert.match(faults.join('\n'), found));
}

test('the fuzzer finds a service that answers with a header made of a name', TIMEOUT, (t) =>
  // A name that no header can hold breaks the answer off, which then has no type.
  assertFound(t, /a header came out of a request|status \d+ as nothing/, {
    file: 'api/read/events.ts',
    from: 'const json = await store.find(topic, eventId);',
    to: "const json = await store.find(topic, eventId);\n      reply.header('x-topic', topic);",
  }),
);

test('the fuzzer finds a service that stores what it refuses [P-6]', TIMEOUT, (t) =>
  assertFound(t, /a valid publish was answered with 422|the books say/, {
    file: 'api/publish.ts',
    from: 'const answer = answerOf(batch, result,',
    to: "if (batch.count === 3) throw new ProblemError('invalid_event', 'no');\n      const answer = answerOf(batch, result,",
  }),
);

test('the fuzzer finds a service that answers rubbish before what came first [ERR-6]', TIMEOUT, (t) =>
  assertFound(t, /a valid publish was answered with 40\d|answers to|cut short|the books say/, {
    file: 'api/request/connections.ts',
    from: 'if (!response || (',
    to: 'if (response !== 0 || (',
  }),
);

test('the fuzzer finds a service that changes what it stores [EVT-6]', TIMEOUT, (t) =>
  assertFound(t, /stored as|nobody sent/, {
    file: 'event/json-scanner.ts',
    from: "else if (byte === 0x74) this.literal('true');",
    to: "else if (byte === 0x74) { this.literal('true'); this.bytes.write('1234', this.write - 4); }",
  }),
);

test('the fuzzer finds a service that dies of a request', TIMEOUT, (t) =>
  assertFound(t, /the service ended with 7/, {
    file: 'api/request/body.ts',
    from: "return new ProblemError('invalid_encoding', 'there are bytes behind the end of what was packed');",
    to: 'process.exit(7);',
  }),
);
