import { writeFileSync, writeSync } from 'node:fs';
import { Stopped, createProgress, run } from '@chronicleweaver/terminal';
import { type DatabaseOptions, type Options, tortureCommand } from './options.ts';
import { databaseLines, faultsIn, newDatabaseReport } from './postgres/report.ts';
import { runDatabaseTorture } from './postgres/run.ts';
import { type Outcome, newReport, reportText, textOf } from './report.ts';
import { runTorture } from './run.ts';

process.exitCode = await run(tortureCommand(onFile, onDatabase), 'torture');

async function onFile(options: Options, jsonPath?: string): Promise<void> {
  const report = newReport(options.seed);
  await reported(options, jsonPath, report, {
    text: () => reportText(report),
    what: 'kills',
    count: () => report.kills,
    work: (advanced) => runTorture(options, report, advanced),
  });
}

async function onDatabase(options: DatabaseOptions, jsonPath?: string): Promise<void> {
  const report = newDatabaseReport(options.seed, options.instances);
  await reported(options, jsonPath, report, {
    text: () => textOf(report, databaseLines(report)),
    what: 'faults',
    count: () => faultsIn(report),
    work: (advanced) => runDatabaseTorture(options, report, advanced),
  });
}

interface Run {
  readonly text: () => string;
  /** What is counted. */
  readonly what: string;
  readonly count: () => number;
  readonly work: (advanced: () => void) => Promise<void>;
}

/** Does the work, shows how far it is, and reports what it found. */
async function reported(
  { seed, folder, minutes, kills }: Options,
  jsonPath: string | undefined,
  report: Outcome & { minutes: number; rounds: number; readonly answers: { accepted: number } },
  { text, what, count, work }: Run,
): Promise<void> {
  process.stderr.write(`torture: seed ${seed}, in ${folder}\n`);
  const isTimed = minutes !== Infinity;
  const progress = createProgress({
    what: 'torture',
    total: isTimed ? minutes : kills,
    unit: isTimed ? 'minutes' : what,
    hasRate: false,
  });
  // Also after a signal, so that hours of a run are not wasted.
  process.once('exit', () => {
    progress.stop();
    writeSync(process.stdout.fd, text());
    if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  });
  await work(() => {
    const note = `${count()} ${what}, round ${report.rounds}, ${report.answers.accepted} events accepted`;
    progress.advance(isTimed ? report.minutes : count(), note);
  });
  if (report.outcome !== 'kept') throw new Stopped(1);
}
