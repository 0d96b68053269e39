import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { losePowerAfterErasure } from '../../torture/power-loss/erasure.ts';
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

async function losses(
  t: TestContext,
  count: number,
  changes: readonly Change[],
  isKept = false,
): Promise<PowerLossReport> {
  let report = await recordedLosses(t, count, changes, isKept);
  // Seen once in some twenty runs on a busy machine: strace does not tell everything, and the files say that it did not.
  for (let again = 0; again < 2 && report.failure?.isOfRecording === true; again++)
    report = await recordedLosses(t, count, changes, isKept);
  return report;
}

function recordedLosses(
  t: TestContext,
  count: number,
  changes: readonly Change[],
  isKept: boolean,
): Promise<PowerLossReport> {
  return withSeedOf('POWER_LOSS_SEED', async ({ seed }) => {
    const options = { seed, losses: count, folder: tmpdir(), jsonPath: null };
    const report = await runPowerLoss(options, () => {}, changes, isKept);
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
        const { outcome, failure } = await losses(t, 100, POWER_LOST[`synchronous=${level}`], true);
        assert.equal(outcome, 'broken');
        assert.ok(failure!.isOfService, failure!.message);
      },
    );
  }

  test(
    'a service that answers before its commit is found to lose acknowledged events [P-1]',
    TIMEOUT,
    async (t) => {
      const { outcome, failure } = await losses(t, 100, POWER_LOST['answers before the commit'], true);
      assert.equal(outcome, 'broken');
      assert.ok(failure!.isOfService, failure!.message);
    },
  );

  for (const breakage of ['truncates without a sync', 'sets policies without a sync'] as const) {
    test(`a service that ${breakage} is found to break its word [RET-1, RET-15]`, TIMEOUT, async (t) => {
      let report = await losses(t, 150, POWER_LOST[breakage]);
      // In one recording of some ten the next commit syncs so soon that no moment lies between.
      for (let again = 0; again < 3 && report.outcome === 'kept'; again++)
        report = await losses(t, 150, POWER_LOST[breakage]);
      assert.equal(report.outcome, 'broken');
      assert.ok(report.failure!.isOfService, report.failure!.message);
    });
  }

  test(
    'a power loss at any moment loses no acknowledged event, no policy, and nothing that was let go of comes back [P-1, P-2, P-3, RET-1, RET-15]',
    TIMEOUT,
    async (t) => {
      const { outcome, failure, promisesChecked, deletions } = await losses(t, 40, []);
      assert.equal(outcome, 'kept', failure?.message ?? '');
      assert.ok(promisesChecked > 1000);
      assert.ok(deletions.truncations > 0 && deletions.erasures > 0);
    },
  );

  test('after an erasure no power loss brings back a byte of the text [RET-7]', TIMEOUT, async () => {
    const { pieces, cameBack } = await withSeedOf('POWER_LOSS_SEED', ({ seed }) =>
      losePowerAfterErasure({ seed, losses: 4, folder: tmpdir() }),
    );
    assert.ok(pieces > 20);
    assert.equal(cameBack, 0);
  });

  test(
    'a service that empties its log without a sync is found to bring back an erased text [RET-7]',
    TIMEOUT,
    async () => {
      const changes = POWER_LOST['empties the log without a sync'];
      const { cameBack } = await withSeedOf('POWER_LOSS_SEED', ({ seed }) =>
        losePowerAfterErasure({ seed, losses: 4, folder: tmpdir() }, changes),
      );
      assert.ok(cameBack > 0);
    },
  );
}
