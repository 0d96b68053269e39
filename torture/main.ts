import { writeFileSync, writeSync } from 'node:fs';
import { Stopped, createProgress, run } from '@chronicleweaver/terminal';
import { type Options, tortureCommand } from './options.ts';
import { newReport, reportText } from './report.ts';
import { runTorture } from './run.ts';

process.exitCode = await run(tortureCommand(torture), 'torture');

async function torture(options: Options, jsonPath?: string): Promise<void> {
  const { seed, folder, minutes, kills } = options;
  process.stderr.write(`torture: seed ${seed}, in ${folder}\n`);
  const report = newReport(seed);
  const isTimed = minutes !== Infinity;
  const progress = createProgress({
    what: 'torture',
    total: isTimed ? minutes : kills,
    unit: isTimed ? 'minutes' : 'kills',
    hasRate: false,
  });
  // Also after a signal, so that hours of a run are not wasted.
  process.once('exit', () => {
    progress.stop();
    writeSync(process.stdout.fd, reportText(report));
    if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  });
  await runTorture(options, report, () => {
    const { rounds, answers } = report;
    const note = `${report.kills} kills, round ${rounds}, ${answers.accepted} events accepted`;
    progress.advance(isTimed ? report.minutes : report.kills, note);
  });
  if (report.outcome !== 'kept') throw new Stopped(1);
}
