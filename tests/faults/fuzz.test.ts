import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Finding, fuzz } from '../../fuzz/run.ts';
import { changedSource } from '../../lab/changed-source.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { tempFolder } from '../../packages/aggregator/test/support/temp-folder.ts';
import { FUZZED } from './breakages.ts';

const TIMEOUT = { timeout: 300_000 };

/** The first finding in a service with these changes. */
async function firstFinding(t: TestContext, changes: readonly Change[]): Promise<Finding> {
  const { start } = changedSource(join(tempFolder(t), 'changed'), changes);
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

function assertFound(t: TestContext, found: RegExp, changes: readonly Change[]): Promise<void> {
  return firstFinding(t, changes).then(({ faults }) => assert.match(faults.join('\n'), found));
}

test('the fuzzer finds a service that puts a name into a header', TIMEOUT, (t) =>
  // A name that is invalid in a header breaks off the answer, which then has no type.
  assertFound(t, /a header came out of a request|status \d+ as nothing/, FUZZED['puts a name into a header']),
);

test('the fuzzer finds a service that stores refused events [P-6]', TIMEOUT, (t) =>
  assertFound(t, /a valid publish was answered with 422|the books say/, FUZZED['stores refused events']),
);

test(
  'the fuzzer finds a service that answers a plain publish otherwise than its framework would',
  TIMEOUT,
  (t) => assertFound(t, /through the framework it is/, FUZZED['answers a plain publish otherwise']),
);

test('the fuzzer finds a service that answers garbage before earlier requests [ERR-6]', TIMEOUT, (t) =>
  assertFound(
    t,
    /a valid publish was answered with 40\d|answers to|cut short|the books say/,
    FUZZED['answers garbage before earlier requests'],
  ),
);

test('the fuzzer finds a service that changes stored text [EVT-6]', TIMEOUT, (t) =>
  assertFound(t, /stored as|nobody sent/, FUZZED['changes stored text']),
);

test('the fuzzer finds a service that crashes on a request', TIMEOUT, (t) =>
  assertFound(t, /the service ended with 7/, FUZZED['crashes on a request']),
);
