import { constants, setPriority } from 'node:os';
import {
  Command,
  type Progress,
  Stopped,
  createProgress,
  exitCodesText,
  run,
} from '@chronicleweaver/terminal';
import { onStopSignal } from '@chronicleweaver/terminal/stop-signals';
import { ConfigError, readConfig, readEnvFile } from '../config.ts';
import { BackupError } from '../store/sqlite/upkeep/backup-error.ts';
import { type Backup, backup } from '../store/sqlite/upkeep/backup.ts';

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
  const bars = new Bars();
  try {
    const made = await backup({
      from,
      to,
      replace: options.replace === true,
      verify: options.verify,
      progress: (step, done, total) => bars.advance(step, done, total),
      signal: interrupted.signal,
    });
    bars.stop();
    const text = options.json === true ? jsonOf : reportOf;
    process.stdout.write(text(made, to, options.verify));
  } finally {
    bars.stop();
  }
}

function reportOf(
  { bytes, events, lastOffset, takenMs, copyMs }: Backup,
  to: string,
  isVerified: boolean,
): string {
  return (
    `${to}: ${events} events up to offset ${lastOffset}, as of ${new Date(takenMs).toISOString()}, ${bytes} bytes, ` +
    `copied in ${(copyMs / 1000).toFixed(1)} s, ${isVerified ? 'sound' : 'not verified'}\n`
  );
}

function jsonOf({ bytes, events, lastOffset, takenMs }: Backup, file: string, verified: boolean): string {
  const taken_at = new Date(takenMs).toISOString();
  return `${JSON.stringify({ file, events, last_offset: lastOffset, taken_at, bytes, verified })}\n`;
}

/** One progress bar at a time, a new one for each step. */
class Bars {
  #step = '';
  #shown: Progress | null = null;

  advance(step: 'copying' | 'verifying', done: number, total: number): void {
    if (step !== this.#step) {
      this.stop();
      this.#step = step;
      this.#shown = createProgress({ what: step, total, unit: step === 'copying' ? 'bytes' : 'events' });
    }
    this.#shown?.advance(done);
  }

  stop(): void {
    this.#shown?.stop();
    this.#shown = null;
  }
}

/** A shell's exit codes for a program that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 };

const interrupted = new AbortController();
onStopSignal((signal) => {
  interrupted.abort(
    new Stopped(SIGNAL_CODES[signal], `interrupted by ${signal}; the unfinished copy was deleted`),
  );
});

/** Reports an error that the user can fix; rethrows any other. */
function complain(error: unknown): never {
  if (error instanceof ConfigError) throw new Stopped(2, error.message);
  if (!(error instanceof BackupError)) throw error;
  for (const problem of error.problems) process.stdout.write(`${problem}\n`);
  throw new Stopped(error.code === 'unsound' ? 1 : 2, error.message);
}

process.exitCode = await run(program, 'backup');
