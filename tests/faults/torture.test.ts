import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { type Report, newReport } from '../../torture/report.ts';
import { runTorture } from '../../torture/run.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { withSeedOf } from '../../lab/random.ts';
import { TORTURED } from './breakages.ts';

const TIMEOUT = { timeout: 450_000 };

/** A torture run of the service with these changes, until it is found broken: mostly a few kills, seconds; at most 150, five minutes. */
function tortured(t: TestContext, changes: readonly Change[], isKept: boolean): Promise<Report> {
  return withSeedOf('TORTURE_SEED', async ({ seed }) => {
    const report = newReport(seed);
    const options = { seed, minutes: 5, kills: 150, folder: tmpdir(), jsonPath: null };
    await runTorture(options, report, () => {}, changes, isKept);
    if (report.failure !== null) {
      t.diagnostic(report.failure.message);
      rmSync(report.failure.folder!, { recursive: true });
    }
    return report;
  });
}

async function assertFound(
  t: TestContext,
  found: RegExp,
  changes: readonly Change[],
  isKept = false,
): Promise<void> {
  const { outcome, failure } = await tortured(t, changes, isKept);
  assert.equal(outcome, 'broken', 'the torture found nothing');
  assert.match(failure!.message, found);
}

test('the torture finds a service that answers before the commit [P-1]', TIMEOUT, (t) =>
  assertFound(
    t,
    // A start may be the first to notice that the log is shorter than acknowledged. A commit of duplicates is missing from the books alone.
    /every acknowledged or shown event in the log\n\s+found: \d+ of \d+ are lost|ends at offset \d+ but held events up to \d+|\d+ to \d+ events received in the books\n\s+found: \d+/,
    TORTURED['answers before the commit'],
    true,
  ),
);

test('the torture finds a service that forgets keys after a kill [P-2]', TIMEOUT, (t) =>
  // Without its key an event is stored again or is not found by its id, whichever is tried first; also by who looks what became of
  // a publish without an answer.
  assertFound(
    t,
    /verdict (accepted or )?duplicate|as told or read before|is not in the index|GET of event \d+ 200\n\s+found: 404|all or nothing of a publish|unique_processed in the books/,
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

test('the torture finds a service that forgets the ids of what it let go of [RET-3]', TIMEOUT, (t) =>
  // Such an id is stored again, or it is not found, whichever is tried first.
  assertFound(
    t,
    /as told or read before|verdict duplicate|the index has \d+ keys, the log \d+|is not in the index|410[^\n]*\n\s+found: 404|200 or 503[^\n]*\n\s+found: 404/,
    TORTURED['forgets the ids of expired events after a kill'],
  ),
);

test('the torture finds a service whose books are behind what it let go of [RET-4]', TIMEOUT, (t) =>
  assertFound(
    t,
    /a whole answer to|in the books|of \w+ \d+\n\s+found: \d+|verify ended with 1/,
    TORTURED['counts what expires a moment later'],
  ),
);

test('the torture finds a service whose merges bring back what it let go of [RET-3]', TIMEOUT, (t) =>
  assertFound(
    t,
    // What is back expires once more, beside the first time.
    /UNIQUE constraint failed: bare_key|which was let go of|should be gone|410 for|a whole answer to|in the books|verify ended with 1/,
    TORTURED['brings expired texts back in merges'],
  ),
);
