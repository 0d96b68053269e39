import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { type Report, newReport } from '../../torture/report.ts';
import { runTorture } from '../../torture/run.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { withSeedOf } from '../../lab/random.ts';
import { TORTURED } from './breakages.ts';

const TIMEOUT = { timeout: 300_000 };

/** A torture run of at most a minute, of the service with these changes. */
function tortured(t: TestContext, changes: readonly Change[]): Promise<Report> {
  return withSeedOf('TORTURE_SEED', async ({ seed }) => {
    const report = newReport(seed);
    const options = { seed, minutes: 1, kills: 30, folder: tmpdir(), jsonPath: null };
    await runTorture(options, report, () => {}, changes);
    if (report.failure !== null) {
      t.diagnostic(report.failure.message);
      rmSync(report.failure.folder, { recursive: true });
    }
    return report;
  });
}

async function assertFound(t: TestContext, found: RegExp, changes: readonly Change[]): Promise<void> {
  const { outcome, failure } = await tortured(t, changes);
  assert.equal(outcome, 'broken', 'the torture found nothing');
  assert.match(failure!.message, found);
}

test('the torture finds a service that answers before the commit [P-1]', TIMEOUT, (t) =>
  assertFound(
    t,
    // A start may be the first to notice that the log is shorter than acknowledged.
    /every acknowledged event in the log\n\s+found: \d+ of \d+ are lost|ends at offset \d+ but held events up to \d+/,
    TORTURED['answers before the commit'],
  ),
);

test('the torture finds a service that forgets keys after a kill [P-2]', TIMEOUT, (t) =>
  // Without its key an event is stored again or is not found by its id, whichever is tried first.
  assertFound(
    t,
    /verdict (accepted or )?duplicate|as told or read before|is not in the index|GET of event \d+ 200\n\s+found: 404/,
    TORTURED['forgets keys after a kill'],
  ),
);

test('the torture finds a service whose merges move events [P-4]', TIMEOUT, (t) =>
  assertFound(
    t,
    /at offset \d+, once\n\s+found: it is at \d+|it was cut short|verify ended with 1/,
    TORTURED['moves events in merges'],
  ),
);
