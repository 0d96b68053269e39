import { writeFileSync } from 'node:fs';
import { Stopped, createProgress, run } from '@chronicleweaver/terminal';
import { straceMissing } from '../../lab/strace.ts';
import { type PowerLossOptions, powerLossCommand } from './options.ts';
import { deletionsText } from '../report.ts';
import { type PowerLossReport, runPowerLoss } from './run.ts';

process.exitCode = await run(powerLossCommand(losePower), 'power-loss');

async function losePower(options: PowerLossOptions, jsonPath?: string): Promise<void> {
  const missing = straceMissing();
  if (missing !== null) throw new Stopped(2, missing);
  process.stderr.write(`power-loss: seed ${options.seed}, in ${options.folder}\n`);
  const progress = createProgress({ what: 'power-loss', total: options.losses, unit: 'losses of power' });
  const report = await runPowerLoss(options, ({ losses }) => progress.advance(losses));
  progress.stop();
  process.stdout.write(reportText(report));
  if (jsonPath !== undefined) writeFileSync(jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  if (report.outcome !== 'kept') throw new Stopped(1);
}

function reportText(report: PowerLossReport): string {
  const remains = Object.entries(report.remains).map(([name, count]) => `${name} ${count}`);
  const lines = [
    `seed ${report.seed}, ${report.processes} processes: ${report.writes} writes, ${report.syncs} syncs, ${report.answers} answers`,
    `${report.losses} losses of power; what survived of unsynced data: ${remains.join(' | ')}`,
    deletionsText(report.deletions),
    `${report.promisesChecked} promises were checked against what survived`,
    report.failure === null
      ? 'PASS: every file was sound and had every event acknowledged before, unchanged, at the offset of its answer, unless it was let go of'
      : `FAIL\n${report.failure.message}\nthe files are kept in ${report.failure.folder}`,
  ];
  return `${lines.join('\n')}\n`;
}
