import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { type PowerLossReport, runPowerLoss } from '../../torture/power-loss/run.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { withSeedOf } from '../../lab/random.ts';
import { straceMissing } from '../../lab/strace.ts';
import { POWER_LOST } from './breakages.ts';

const TIMEOUT = { timeout: 300_000 };

const missing = straceMissing();
if (missing === null) testsUnderStrace();
else if (process.env['REQUIRE_STRACE'] === '1') {
  test('strace can be used, as REQUIRE_STRACE=1 asks', () => assert.fail(missing));
} else test('states after a power loss, made from a recording by strace', { skip: missing }, () => {});

function losses(t: TestContext, count: number, changes: readonly Change[]): Promise<PowerLossReport> {
  return withSeedOf('POWER_LOSS_SEED', async ({ seed }) => {
    const options = { seed, losses: count, folder: tmpdir(), jsonPath: null };
    const report = await runPowerLoss(options, () => {}, changes);
    if (report.failure !== null) rmSync(report.failure.folder, { recursive: true });
    t.diagnostic(
      `seed ${seed}: ${report.losses} losses of power, ${report.failure?.message ?? 'nothing was lost'}`,
    );
    return report;
  });
}

function testsUnderStrace(): void {
  for (const level of ['NORMAL', 'OFF'] as const) {
    test(
      `a service with synchronous=${level} is found to lose acknowledged events [P-1]`,
      TIMEOUT,
      async (t) => {
        const { outcome, failure } = await losses(t, 100, POWER_LOST[`synchronous=${level}`]);
        assert.equal(outcome, 'broken');
        assert.match(
          failure!.message,
          /acknowledged events at their offsets\n\s+found: \d+ are not|a file that is sound|found: no file/,
        );
      },
    );
  }

  test(
    'a service that answers before its commit is found to lose acknowledged events [P-1]',
    TIMEOUT,
    async (t) => {
      const { outcome, failure } = await losses(t, 100, POWER_LOST['answers before the commit']);
      assert.equal(outcome, 'broken');
      assert.match(failure!.message, /acknowledged events at their offsets/);
    },
  );

  test('a power loss at any moment loses no acknowledged event [P-1, P-2, P-3]', TIMEOUT, async (t) => {
    const { outcome, failure, promisesChecked } = await losses(t, 40, []);
    assert.equal(outcome, 'kept', failure?.message ?? '');
    assert.ok(promisesChecked > 1000);
  });
}
