import { writeFileSync } from 'node:fs';
import { straceMissing } from '../../lab/strace.ts';
import { OptionError } from '../options.ts';
import { type PowerLossOptions, USAGE, readPowerLossOptions } from './options.ts';
import { type PowerLossReport, runPowerLoss } from './run.ts';

const LINE_INTERVAL_MS = 5000;

process.exitCode = await main();

/** The exit code: 0 every promise was kept, 1 one was broken, 2 wrong flags or no strace. */
async function main(): Promise<number> {
  let options: PowerLossOptions | 'help';
  try {
    options = readPowerLossOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const missing = straceMissing();
  if (missing !== null) {
    process.stderr.write(`power-loss: ${missing}\n`);
    return 2;
  }
  const { losses, jsonPath } = options;
  process.stderr.write(`power-loss: seed ${options.seed}, in ${options.folder}\n`);
  let shownMs = performance.now();
  const report = await runPowerLoss(options, (report) => {
    if (performance.now() - shownMs < LINE_INTERVAL_MS) return;
    shownMs = performance.now();
    process.stderr.write(`power-loss: ${report.losses} of ${losses} looked at\n`);
  });
  process.stdout.write(reportText(report));
  if (jsonPath !== null) writeFileSync(jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  return report.outcome === 'kept' ? 0 : 1;
}

function reportText(report: PowerLossReport): string {
  const remains = Object.entries(report.remains).map(([name, count]) => `${name} ${count}`);
  const lines = [
    `seed ${report.seed}, ${report.processes} processes: ${report.writes} writes, ${report.syncs} syncs, ${report.answers} answers`,
    `${report.losses} losses of power; what was left of what was not synced: ${remains.join(' | ')}`,
    `${report.promisesChecked} promises were held to what was left`,
    report.failure === null
      ? 'PASS: every file was sound and held every event that was acknowledged before, unchanged, where its answer said'
      : `FAIL\n${report.failure.message}\nthe files are kept in ${report.failure.folder}`,
  ];
  return `${lines.join('\n')}\n`;
}
