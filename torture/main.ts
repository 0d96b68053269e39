import { writeFileSync, writeSync } from 'node:fs';
import { OptionError, type Options, USAGE, readOptions } from './options.ts';
import { createProgress } from './progress.ts';
import { newReport, reportText } from './report.ts';
import { runTorture } from './run.ts';

process.exitCode = await main();

/** The exit code: 0 every promise was kept, 1 one was broken, 2 wrong flags. */
async function main(): Promise<number> {
  let options: Options | 'help';
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const { seed, jsonPath } = options;
  process.stderr.write(`torture: seed ${seed}, in ${options.folder}\n`);
  const report = newReport(seed);
  const progress = createProgress(options);
  // Also on the way out after a signal: hours of a run are not for nothing.
  process.once('exit', () => {
    progress.stop();
    writeSync(process.stdout.fd, reportText(report));
    if (jsonPath !== null) writeFileSync(jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  });
  await runTorture(options, report, () => progress.advance(report));
  return report.outcome === 'kept' ? 0 : 1;
}
