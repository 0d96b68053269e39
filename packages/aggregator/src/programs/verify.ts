import { existsSync } from 'node:fs';
import {
  Command,
  type Progress,
  Stopped,
  createProgress,
  exitCodesText,
  run,
} from '@chronicleweaver/terminal';
import { lookForNpm } from '@chronicleweaver/terminal/stop-signals';
import type { Findings } from '../store/sqlite/upkeep/findings.ts';
import { rebuildIndex, verifyFile } from '../store/sqlite/upkeep/verify.ts';

const program = new Command('chronicleweaver verify')
  .description(
    'Checks a database file of the service from end to end and says what is wrong with it, and where. The service must ' +
      'not be running on it.',
  )
  .argument('<file>', 'the file')
  .option('--rebuild', 'first rebuild the key index from the events')
  .option('--json', 'one line of JSON, for programs')
  .addHelpText(
    'after',
    exitCodesText({
      0: 'the file is sound',
      1: 'something is wrong with it',
      2: 'the file could not be checked, or wrong usage',
    }),
  )
  .action((path, { rebuild, json }) => {
    if (!existsSync(path)) throw new Stopped(2, `there is no file ${path}`);
    let findings: Findings;
    try {
      if (rebuild === true) {
        showing('rebuilding', (progress) => rebuildIndex(path, progress));
        if (json === undefined) process.stdout.write('the key index was rebuilt\n');
      }
      findings = showing('verifying', (progress) => verifyFile(path, progress));
    } catch (error) {
      throw new Stopped(2, error instanceof Error ? error.message : String(error));
    }
    process.stdout.write(json === undefined ? reportOf(findings) : jsonOf(findings));
    if (findings.problemsFound > 0) throw new Stopped(1);
  });

/** Does the work and shows its progress. */
function showing<T>(what: string, work: (progress: (done: number, total: number) => void) => T): T {
  let shown: Progress | undefined;
  try {
    return work((done, total) => {
      lookForNpm();
      (shown ??= createProgress({ what, total, unit: 'events' })).advance(done);
    });
  } finally {
    shown?.stop();
  }
}

function jsonOf({ events, blocks, keys, problems, problemsFound }: Findings): string {
  const sound = problemsFound === 0;
  return `${JSON.stringify({ sound, events, blocks, keys, problems_found: problemsFound, problems })}\n`;
}

function reportOf({ events, blocks, keys, problems, problemsFound }: Findings): string {
  const walked = `${events} events in ${blocks} blocks, ${keys} keys`;
  const more = problemsFound - problems.length;
  const lines = [
    ...problems,
    ...(more > 0 ? [`and ${more} more`] : []),
    problemsFound === 0
      ? `sound: ${walked}`
      : `${problemsFound} ${problemsFound === 1 ? 'problem' : 'problems'}: ${walked}`,
  ];
  return `${lines.join('\n')}\n`;
}

process.exitCode = await run(program, 'verify');
