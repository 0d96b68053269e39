import { constants } from 'node:os';
import { OptionError, type Options, readOptions, usage } from './options.ts';
import { reportText } from './report.ts';
import { Interrupted, runPublisher } from './run.ts';

/** A repeated signal within this time is the same request, told again by npm. */
const SIGNAL_REPEAT_MS = 1000;

process.exitCode = await main();

/** The exit code: 0 PASS, 1 FAIL or given up, 2 wrong options, 128 + the number of the signal that stopped it. */
async function main(): Promise<number> {
  let options: Options | 'help';
  try {
    readEnvFile();
    options = readOptions(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(usage());
    return 0;
  }

  const interrupt = new AbortController();
  let stoppedBy = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      stoppedBy = constants.signals[name];
      interrupt.abort(new Interrupted(`by ${name}`));
      // npm repeats a Ctrl-C at once; a later second signal ends the process there and then.
      const ignore = (): void => {};
      process.on(name, ignore);
      setTimeout(() => process.off(name, ignore), SIGNAL_REPEAT_MS).unref();
    });
  }

  const report = await runPublisher(options, interrupt.signal, process.stderr);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : reportText(report));
  if (report.outcome === 'INTERRUPTED') return 128 + stoppedBy;
  return report.outcome === 'PASS' ? 0 : 1;
}

/** Variables of `.env` in the working directory, if there is one; those already set keep their value. */
function readEnvFile(): void {
  try {
    process.loadEnvFile();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw new OptionError(`.env cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
