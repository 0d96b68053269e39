import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { newReport } from '../../torture/report.ts';
import { runTorture } from '../../torture/run.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { withSeedOf } from '../../lab/random.ts';
import { TORTURED } from './breakages.ts';

const TIMEOUT = { timeout: 450_000 };

/**
 * Tortures the service with these changes until it is found broken: mostly a few kills, seconds; at most 150, five minutes. What
 * shows it first is up to chance, so anything that the service must not do will do; that a service without changes does nothing of
 * the kind is for `npm run torture` to show, and that each promise is checked, for tests/account.test.ts.
 */
async function assertFound(t: TestContext, changes: readonly Change[], isKept = false): Promise<void> {
  const { outcome, failure } = await withSeedOf('TORTURE_SEED', async ({ seed }) => {
    const report = newReport(seed);
    const options = { seed, minutes: 5, kills: 150, folder: tmpdir(), jsonPath: null };
    await runTorture(options, report, () => {}, changes, isKept);
    if (report.failure !== null) {
      t.diagnostic(report.failure.message);
      rmSync(report.failure.folder!, { recursive: true });
    }
    return report;
  });
  assert.equal(outcome, 'broken', 'the torture found nothing');
  assert.ok(failure!.isOfService, failure!.message);
}

for (const [what, promise, isKept] of [
  // A service that is broken from the first commit on would not get through setting policies.
  ['answers before the commit', 'P-1', true],
  ['forgets keys after a kill', 'P-2'],
  ['moves events in merges', 'P-4'],
  ['forgets the ids of expired events after a kill', 'RET-3'],
  ['counts what expires a moment later', 'RET-4'],
  ['brings expired texts back in merges', 'RET-3'],
] as const)
  test(`the torture finds a service that ${what} [${promise}]`, TIMEOUT, (t) =>
    assertFound(t, TORTURED[what], isKept),
  );
