import { writeSync } from 'node:fs';
import { Stopped, createProgress, run } from '@chronicleweaver/terminal';
import { BREAKAGES } from './lists/all.ts';
import { type Options, breakagesCommand, chosen } from './options.ts';
import { reportText } from './report.ts';
import { type Result, isExpected, runBreakages } from './run.ts';
import { typeFaults } from './types.ts';

/**
 * Time allowed beyond a multiple of the tests' usual time, milliseconds: some wait for what never happens, as long as `until` in
 * lab/program.ts waits, a minute, or until their test has taken the two minutes that most may take.
 */
const GRACE_MS = 130_000;

process.exitCode = await run(breakagesCommand(breakages), 'breakages');

async function breakages({ workers, ...choice }: Options): Promise<void> {
  const meant = chosen(BREAKAGES, choice);
  process.stderr.write(`breakages: ${meant.length} of ${BREAKAGES.length}, seed ${choice.seed}\n`);
  const faults = typeFaults(meant);
  if (faults !== null) {
    process.stdout.write(faults);
    throw new Stopped(1, 'a breakage is no TypeScript that could have been written');
  }
  const results: Result[] = [];
  const progress = createProgress({ what: 'breakages', total: meant.length, unit: 'tried', hasRate: false });
  // Also after a signal, because the results so far are worth knowing.
  process.once('exit', () => {
    progress.stop();
    writeSync(process.stdout.fd, reportText(results));
  });
  await runBreakages(meant, { workers, graceMs: GRACE_MS }, (result) => {
    results.push(result);
    const unexpected = results.filter((result) => !isExpected(result)).length;
    progress.advance(results.length, unexpected === 0 ? '' : `${unexpected} not as expected`);
  });
  if (!results.every(isExpected)) throw new Stopped(1);
}
