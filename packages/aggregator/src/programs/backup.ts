import { constants, setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { ConfigError, readConfig, readEnvFile } from '../config.ts';
import { type Progress, createProgress } from './progress.ts';
import { onStopSignal } from './stop-signals.ts';
import { type Backup, BackupError, backup } from '../store/sqlite/upkeep/backup.ts';

const USAGE = `usage: chronicleweaver backup FILE [--from PATH] [--no-verify] [--replace] [--json]

Copies the service's file to FILE while the service runs, or while it does not: one state of it, synced, walked from
end to end, and only then given its name. Restoring is the same the other way round (docs/operations.md).

  --from PATH   the file to copy; by default DEDUPLICATION_DB_PATH
  --no-verify   do not walk the copy, which takes a second for some 100,000 events
  --replace     put the copy in the place of a file that is there
  --json        one line of JSON, for programs

Exit code: 0 done, 1 the copy was not sound and was thrown away, 2 there could be none, 130 and 143 interrupted.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      from: { type: 'string' },
      'no-verify': { type: 'boolean' },
      replace: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
    allowPositionals: true,
  });
  const [to, ...others] = positionals;
  if (values.help === true || to === undefined || to === '' || others.length > 0) {
    process.stdout.write(USAGE);
    return values.help === true ? 0 : 2;
  }
  readEnvFile();
  const from = values.from ?? readConfig(process.env).databasePath;
  // The service's work goes before this.
  setPriority(constants.priority.PRIORITY_LOW);
  const bars = new Bars();
  try {
    const made = await backup({
      from,
      to,
      replace: values.replace === true,
      verify: values['no-verify'] !== true,
      progress: (step, done, total) => bars.advance(step, done, total),
      signal: interrupted.signal,
    });
    bars.stop();
    const isVerified = values['no-verify'] !== true;
    process.stdout.write(
      values.json === true ? jsonOf(made, to, isVerified) : reportOf(made, to, isVerified),
    );
    return 0;
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
      this.#shown = createProgress(step, total, step === 'copying' ? 'bytes' : 'events');
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
  process.exitCode = SIGNAL_CODES[signal];
  interrupted.abort(new Error(`interrupted by ${signal}; nothing is left of the copy`));
});

/** Says what is for the user to mend, and throws on what is not. */
function complain(error: unknown): number {
  if (!(error instanceof Error) || !isUsersToMend(error)) throw error;
  if (error instanceof BackupError)
    for (const problem of error.problems) process.stdout.write(`${problem}\n`);
  process.stderr.write(`backup: ${error.message}\n`);
  return error instanceof BackupError && error.code === 'unsound' ? 1 : 2;
}

function isUsersToMend(error: Error): boolean {
  const isWrongArgument = 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  return error instanceof BackupError || error instanceof ConfigError || isWrongArgument;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error === interrupted.signal.reason)
    process.stderr.write(`backup: ${String(interrupted.signal.reason.message)}\n`);
  else process.exitCode = complain(error);
}
