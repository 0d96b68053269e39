import { constants, setPriority } from 'node:os';
import { Command, Stopped, exitCodesText, run } from '@chronicleweaver/terminal';
import { ConfigError, readConfig, readEnvFile } from '../config.ts';
import { BackupError } from '../store/sqlite/upkeep/backup-error.ts';
import { type Backup, backup } from '../store/sqlite/upkeep/backup.ts';
import { interruption } from './interruption.ts';
import { StepProgress } from './step-progress.ts';

interface Options {
  readonly from?: string;
  readonly verify: boolean;
  readonly replace?: true;
  readonly json?: true;
}

const program = new Command('chronicleweaver backup')
  .description(
    "Copies the service's file to <file>, whether or not the service is running. The copy is one consistent state. It " +
      'is synced and verified before it gets its name. To restore, copy it back (docs/operations.md).',
  )
  .argument('<file>', 'where the copy goes')
  .option('--from <path>', 'the file to copy; by default the one that DEDUPLICATION_DB_PATH names')
  .option('--no-verify', 'do not verify the copy, which takes a second for some 100,000 events')
  .option('--replace', 'replace an existing file')
  .option('--json', 'one line of JSON, for programs')
  .addHelpText(
    'after',
    exitCodesText({
      0: 'the copy is made',
      1: 'the copy was not sound and was deleted',
      2: 'no copy could be made, or wrong usage',
    }),
  )
  .action((to, options) => copy(to, options).catch(complain));

async function copy(to: string, options: Options): Promise<void> {
  readEnvFile();
  const from = options.from ?? readConfig(process.env).databasePath;
  // The service's work comes first.
  setPriority(constants.priority.PRIORITY_LOW);
  const shown = new StepProgress({ copying: 'bytes', verifying: 'events' });
  try {
    const made = await backup({
      from,
      to,
      replace: options.replace === true,
      verify: options.verify,
      progress: (step, done, total) => shown.advance(step, done, total),
      signal: interrupted,
    });
    shown.stop();
    const text = options.json === true ? jsonOf : reportOf;
    process.stdout.write(text(made, to, options.verify));
  } finally {
    shown.stop();
  }
}

function reportOf(
  { bytes, events, lastOffset, lastCommitMs, copyMs }: Backup,
  to: string,
  isVerified: boolean,
): string {
  const last = lastCommitMs === null ? 'no commit yet' : `last commit at ${timeOf(lastCommitMs)}`;
  return (
    `${to}: ${events} events up to offset ${lastOffset}, ${last}, ${bytes} bytes, ` +
    `copied in ${(copyMs / 1000).toFixed(1)} s, ${isVerified ? 'sound' : 'not verified'}\n`
  );
}

function jsonOf(
  { bytes, events, lastOffset, lastCommitMs }: Backup,
  file: string,
  verified: boolean,
): string {
  const last_commit_at = lastCommitMs === null ? null : timeOf(lastCommitMs);
  return `${JSON.stringify({ file, events, last_offset: lastOffset, last_commit_at, bytes, verified })}\n`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

const interrupted = interruption('the unfinished copy was deleted');

/** Reports an error that the user can fix; rethrows any other. */
function complain(error: unknown): never {
  if (error instanceof ConfigError) throw new Stopped(2, error.message);
  if (!(error instanceof BackupError)) throw error;
  for (const problem of error.problems) process.stdout.write(`${problem}\n`);
  throw new Stopped(error.code === 'unsound' ? 1 : 2, error.message);
}

process.exitCode = await run(program, 'backup');
