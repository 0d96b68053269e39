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
    "Copies the service's file to <file> while the service runs, or while it does not: one state of it, synced, walked " +
      'from end to end, and only then given its name. Restoring is the same the other way round (docs/operations.md).',
  )
  .argument('<file>', 'where the copy goes')
  .option('--from <path>', 'the file to copy; by default what DEDUPLICATION_DB_PATH says')
  .option('--no-verify', 'do not walk the copy, which takes a second for some 100,000 events')
  .option('--replace', 'put the copy in the place of a file that is there')
  .option('--json', 'one line of JSON, for programs')
  .addHelpText(
    'after',
    exitCodesText({
      0: 'the copy is made',
      1: 'the copy was not sound and was thrown away',
      2: 'no copy could be made, or wrong usage',
    }),
  )
  .action((to, options) => copy(to, options).catch(complain));

async function copy(to: string, options: Options): Promise<void> {
  readEnvFile();
  const from = options.from ?? readConfig(process.env).databasePath;
  // The service's work goes before this.
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

/** One progress after the other, as the steps come. */
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

/** What a shell says of a program that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 };

const interrupted = new AbortController();
onStopSignal((signal) => {
  interrupted.abort(
    new Stopped(SIGNAL_CODES[signal], `interrupted by ${signal}; nothing is left of the copy`),
  );
});

/** Says what is for the user to mend, and throws on what is not. */
function complain(error: unknown): never {
  if (error instanceof ConfigError) throw new Stopped(2, error.message);
  if (!(error instanceof BackupError)) throw error;
  for (const problem of error.problems) process.stdout.write(`${problem}\n`);
  throw new Stopped(error.code === 'unsound' ? 1 : 2, error.message);
}

process.exitCode = await run(program, 'backup');
