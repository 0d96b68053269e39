import { existsSync } from 'node:fs';
import { Command, Stopped, exitCodesText, run } from '@chronicleweaver/terminal';
import { lookForNpm } from '@chronicleweaver/terminal/stop-signals';
import type { Findings } from '../store/findings.ts';
import { verifyDatabase } from '../store/postgres/verify.ts';
import { rebuildIndex, verifyFile } from '../store/sqlite/upkeep/verify.ts';
import { StepProgress } from './step-progress.ts';

const program = new Command('chronicleweaver verify')
  .description(
    'Checks what the service keeps from end to end and says what is wrong with it, and where: a database file, on which ' +
      'no service may be running, or a PostgreSQL database, also while instances run.',
  )
  .argument('[file]', 'the file')
  .option('--store <address>', 'what STORE_URL names: postgres://…, or sqlite: and the path of a file')
  .option('--rebuild', 'first rebuild the key index of a file from its events')
  .option('--json', 'one line of JSON, for programs')
  .addHelpText(
    'after',
    exitCodesText({
      0: 'the log is sound',
      1: 'something is wrong with it',
      2: 'it could not be checked, or wrong usage',
    }),
  )
  .action(async (path, { store, rebuild, json }) => {
    const place = placeOf(path, store);
    let findings: Findings;
    try {
      findings =
        'file' in place
          ? fileVerified(place.file, { rebuild: rebuild === true, isJson: json !== undefined })
          : await databaseVerified(place.database, rebuild === true);
    } catch (error) {
      if (error instanceof Stopped) throw error;
      throw new Stopped(2, error instanceof Error ? error.message : String(error));
    }
    process.stdout.write(json === undefined ? reportOf(findings) : jsonOf(findings));
    if (findings.problemsFound > 0) throw new Stopped(1);
  });

/** What to check: a file, by its path or as a store, or a database. */
function placeOf(
  path: string | undefined,
  store: string | undefined,
): { file: string } | { database: string } {
  if ((path === undefined) === (store === undefined)) {
    throw new Stopped(2, 'name what to check: a file, or a store with --store');
  }
  const given = store ?? `sqlite:${path}`;
  if (given.startsWith('sqlite:')) return { file: given.slice('sqlite:'.length) };
  if (/^postgres(ql)?:/.test(given)) return { database: given };
  // The address may hold a password.
  throw new Stopped(2, '--store takes postgres://user@host:5432/database, or sqlite: and the path of a file');
}

function fileVerified(path: string, { rebuild, isJson }: { rebuild: boolean; isJson: boolean }): Findings {
  if (!existsSync(path)) throw new Stopped(2, `there is no file ${path}`);
  if (rebuild) {
    let lost = 0;
    try {
      lost = rebuildIndex(path, advanced('rebuilding'));
    } finally {
      shown.stop();
    }
    if (!isJson) process.stdout.write('the key index was rebuilt\n');
    if (lost > 0) {
      process.stderr.write(
        `${lost} ids of events without a text could not be read and are lost: published again, these events are stored again\n`,
      );
    }
  }
  try {
    return verifyFile(path, advanced('verifying'));
  } finally {
    shown.stop();
  }
}

async function databaseVerified(address: string, rebuild: boolean): Promise<Findings> {
  if (rebuild) throw new Stopped(2, '--rebuild is for files: in PostgreSQL the index is the table key');
  try {
    return await verifyDatabase(address, advanced('verifying'));
  } finally {
    shown.stop();
  }
}

const shown = new StepProgress({ rebuilding: 'events', verifying: 'events' });

function advanced(step: 'rebuilding' | 'verifying'): (done: number, total: number) => void {
  return (done, total) => {
    // Work on a file leaves no time to the watch for npm.
    lookForNpm();
    shown.advance(step, done, total);
  };
}

function jsonOf({ isWalked, events, blocks, keys, problems, problemsFound }: Findings): string {
  const sound = problemsFound === 0;
  const counts = isWalked ? { events, blocks, keys } : {};
  return `${JSON.stringify({ sound, ...counts, problems_found: problemsFound, problems })}\n`;
}

function reportOf({ isWalked, events, blocks, keys, problems, problemsFound }: Findings): string {
  const walked = isWalked
    ? `${events} events in ${blocks} blocks, ${keys} keys`
    : 'the log could not be walked';
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
