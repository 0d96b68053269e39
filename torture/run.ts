import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Change } from '../lab/breakages/breakage.ts';
import { type Source, changedSource, shippedSource } from '../lab/changed-source.ts';
import { tempFolder } from '../lab/lifetime.ts';
import { SeededRandom } from '../lab/random.ts';
import { FileLife } from './file-life.ts';
import type { Options } from './options.ts';
import { planLife } from './plan.ts';
import { type Report, causeOf } from './report.ts';
import { RUNS, type Runs, shapeChange } from './runs-of-keys.ts';

/**
 * Runs the lives of files, one after another, until time is up or there were enough kills. Fills in the report and calls
 * `advanced` after every kill. It never rejects because of the service: that is in the report.
 *
 * @param changes to the service's sources, with which a test breaks it
 * @param isKept whether nothing is let go of, which a service that is broken from the first commit on would not get through
 */
export async function runTorture(
  options: Options,
  report: Report,
  advanced: () => void = () => {},
  changes: readonly Change[] = [],
  isKept = false,
): Promise<void> {
  using temp = tempFolder(options.folder, 'chronicleweaver-torture-');
  const folder = temp.path;
  const random = new SeededRandom(options.seed);
  const startMs = performance.now();
  const isOver = (): boolean => {
    report.minutes = (performance.now() - startMs) / 60_000;
    return report.minutes >= options.minutes || report.kills >= options.kills;
  };
  const sources = new Map<Runs, Source>();
  const sourceOf = (runs: Runs): Source => {
    let source = sources.get(runs);
    if (source === undefined) {
      const all = runs === 'as shipped' ? changes : [...changes, shapeChange(RUNS[runs])];
      source = all.length === 0 ? shippedSource() : changedSource(join(folder, runs), all);
      sources.set(runs, source);
    }
    return source;
  };

  try {
    for (let life = 0; !isOver(); life++) {
      const { runs, eventsMax } = planLife(random, life);
      const path = join(folder, `file-${life}`);
      mkdirSync(path);
      report.files += 1;
      await using file = new FileLife({
        folder: path,
        source: sourceOf(runs),
        isKept,
        runBuckets: 2 ** RUNS[runs].baseBits,
        random,
        report,
        advanced,
      });
      await file.live(() => isOver() || file.stored >= eventsMax);
      rmSync(path, { recursive: true, force: true });
    }
    report.outcome = 'kept';
  } catch (error) {
    report.outcome = 'broken';
    temp.keep();
    report.failure = { round: report.rounds, folder, ...causeOf(error) };
  }
}
