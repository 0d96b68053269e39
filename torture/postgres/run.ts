import { chmodSync } from 'node:fs';
import type { Change } from '../../lab/breakages/breakage.ts';
import { changedSource, shippedSource } from '../../lab/changed-source.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { SeededRandom } from '../../lab/random.ts';
import type { DatabaseOptions } from '../options.ts';
import { causeOf } from '../report.ts';
import { GivenDatabase, OwnDatabase } from './database.ts';
import { DatabaseLife } from './life.ts';
import { FAULTS_OF, type Fault } from './plan.ts';
import { type DatabaseReport, faultsIn } from './report.ts';
import { join } from 'node:path';

/** After this many events a log is checked from end to end, and a new one begins. */
const EVENTS_MAX = 100_000;

/**
 * Runs the lives of logs in a database, one after another, until time is up or there were enough faults. Fills in the
 * report and calls `advanced` after every round. It never rejects because of the service: that is in the report.
 *
 * @param changes to the service's sources, with which a test breaks it
 * @param faults what goes wrong, in place of everything that can
 */
export async function runDatabaseTorture(
  options: DatabaseOptions,
  report: DatabaseReport,
  advanced: () => void = () => {},
  changes: readonly Change[] = [],
  faults: readonly Fault[] = faultsFor(options),
): Promise<void> {
  using temp = tempFolder(options.folder, 'chronicleweaver-torture-');
  // The server runs as another user where this runs as root, and removes its own folder.
  chmodSync(temp.path, 0o1777);
  const startMs = performance.now();
  const isOver = (): boolean => {
    report.minutes = (performance.now() - startMs) / 60_000;
    return report.minutes >= options.minutes || faultsIn(report) >= options.kills;
  };
  const source = changes.length === 0 ? shippedSource() : changedSource(join(temp.path, 'changed'), changes);
  const random = new SeededRandom(options.seed);
  const { address, instances } = options;
  const database =
    address === null ? await OwnDatabase.start(temp.path, options.programs) : new GivenDatabase(address);
  try {
    if (options.failover && database instanceof OwnDatabase) await database.pair();
    while (!isOver()) {
      report.logs += 1;
      const life = new DatabaseLife({ database, source, instances, faults, random, report, advanced });
      await life.live(() => isOver() || life.stored >= EVENTS_MAX);
    }
    report.outcome = 'kept';
  } catch (error) {
    report.outcome = 'broken';
    report.failure = { round: report.rounds, folder: null, ...causeOf(error) };
  } finally {
    await database.close();
  }
}

function faultsFor({ address, failover }: DatabaseOptions): readonly Fault[] {
  if (failover) return FAULTS_OF.pair;
  return address === null ? FAULTS_OF.own : FAULTS_OF.given;
}
