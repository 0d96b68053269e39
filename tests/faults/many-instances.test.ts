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

for (const [what, found] of [
  // Whichever is seen first: somebody reads past the hole, or the instance cuts an answer short because of it.
  // Whichever is seen first: the hole, or books that count it.
  [
    'takes offsets from a sequence',
    /no hole: offset \d+ holds event \d+|a whole answer to \/events|unique_processed in the books/,
  ],
  // Whichever is seen first: a follower of that instance is shown what nobody can read yet, or a reader or a truncation misses it.
  [
    'answers before the commit',
    /no hole: offset \d+ holds event|stored no earlier: a reader|found nothing|has no events/,
  ],
  [
    'serves texts that another instance let go of',
    /410 for|which was let go of|a whole answer to|should be gone/,
  ],
  ['has followers trust notifications', /no hole: offset \d+ holds event \d+\n\s+found: a follower/],
] as const)
  test(`the history of what clients were told shows that a server ${what} [P-1, P-4]`, TIMEOUT, async (t) => {
    const { outcome, failure } = await tortured(t, { kills: 20 }, INSTANCES_TORTURED[what], [
      'same keys everywhere',
    ]);
    assert.equal(outcome, 'broken', 'the history shows nothing');
    assert.match(failure!.message, found);
  });
