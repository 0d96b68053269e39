import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import type { Change } from '../../lab/breakages/breakage.ts';
import { withSeedOf } from '../../lab/random.ts';
import { INSTANCES_TORTURED } from './breakages.ts';
import type { DatabaseOptions } from '../../torture/options.ts';
import type { Fault } from '../../torture/postgres/plan.ts';
import { type DatabaseReport, newDatabaseReport } from '../../torture/postgres/report.ts';
import { runDatabaseTorture } from '../../torture/postgres/run.ts';

const TIMEOUT = { timeout: 300_000 };

/** Where Debian puts its server. */
const DEBIAN = '/usr/lib/postgresql/15/bin';

/** A torture of many instances on one database, of at most two minutes. */
function tortured(
  t: TestContext,
  given: Partial<DatabaseOptions> & Pick<DatabaseOptions, 'kills'>,
  changes: readonly Change[] = [],
  faults?: readonly Fault[],
): Promise<DatabaseReport> {
  return withSeedOf('TORTURE_SEED', async ({ seed }) => {
    const options: DatabaseOptions = {
      seed,
      minutes: 2,
      folder: tmpdir(),
      address: null,
      instances: 3,
      failover: false,
      programs: undefined,
      ...given,
    };
    const report = newDatabaseReport(seed, options.instances);
    await runDatabaseTorture(options, report, () => {}, changes, faults);
    if (report.failure !== null) t.diagnostic(report.failure.message);
    return report;
  });
}

test(
  'where the primary is killed and its standby promoted, nothing is lost or stored twice, followers see one log, and publishing goes on within 10 s [P-1, P-2, P-4]',
  TIMEOUT,
  async (t) => {
    const programs = existsSync(DEBIAN) ? DEBIAN : undefined;
    const { failure, faults } = await tortured(t, { kills: 3, failover: true, programs }, [], ['failover']);
    assert.equal(failure?.message, undefined);
    assert.equal(faults.failover.goneOnMs.length, 3);
    assert.ok(Math.max(...faults.failover.goneOnMs) < 10_000, faults.failover.goneOnMs.join());
  },
);

for (const what of [
  'takes offsets from a sequence',
  'answers before the commit',
  'serves texts that another instance let go of',
  'has followers trust notifications',
] as const)
  // What shows it first is up to chance: a reader, a follower, the books, or an instance that refuses. Anything will do, as in
  // torture.test.ts; tests/history.test.ts shows what the history notices.
  test(`the torture of many instances finds a server that ${what} [P-1, P-4]`, TIMEOUT, async (t) => {
    const { outcome, failure } = await tortured(t, { kills: 20 }, INSTANCES_TORTURED[what], [
      'same keys everywhere',
    ]);
    assert.equal(outcome, 'broken', 'the torture found nothing');
    assert.ok(failure!.isOfService, failure!.message);
  });
