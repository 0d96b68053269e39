import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { lookForNpm } from './stop-signals.ts';
import { type Findings, rebuildIndex, verifyFile } from '../store/sqlite/upkeep/verify.ts';

const USAGE = `usage: chronicleweaver verify FILE [--rebuild] [--json]

Walks a database file of the service from end to end and says what is wrong with it, and where. The service must not
run on it meanwhile.

  --rebuild   first make the key index anew from the events
  --json      one line of JSON, for programs

Exit code: 0 sound, 1 something is wrong, 2 it could not be looked at.
`;

function main(): number {
  const { values, positionals } = parseArgs({
    options: { rebuild: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
    allowPositionals: true,
  });
  const [path, ...others] = positionals;
  if (values.help === true || path === undefined || others.length > 0) {
    process.stdout.write(USAGE);
    return values.help === true ? 0 : 2;
  }
  if (!existsSync(path)) {
    process.stderr.write(`verify: there is no file ${path}\n`);
    return 2;
  }
  if (values.rebuild === true) {
    rebuildIndex(path, progress('rebuilding'));
    if (values.json !== true) process.stdout.write('the key index was made anew\n');
  }
  const findings = verifyFile(path, progress('walking'));
  process.stdout.write(values.json === true ? jsonOf(findings) : reportOf(findings));
  return findings.problemsFound === 0 ? 0 : 1;
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
    problemsFound === 0 ? `sound: ${walked}` : `${problemsFound} problems: ${walked}`,
  ];
  return `${lines.join('\n')}\n`;
}
/** A line a second at most, on standard error. */
function progress(what: string): (done: number, total: number) => void {
  let nextMs = Date.now() + 1000;
  return (done, total) => {
    if (Date.now() < nextMs) return;
    lookForNpm();
    nextMs = Date.now() + 1000;
    process.stderr.write(`${what}: ${done} of ${total} events\n`);
  };
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(`verify: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
