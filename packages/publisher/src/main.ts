import { constants } from 'node:os';
import { Stopped, run } from '@chronicleweaver/terminal';
import { onStopSignal } from '@chronicleweaver/terminal/stop-signals';
import { type Options, publisherCommand } from './options.ts';
import { reportText } from './report.ts';
import { Interrupted, runPublisher } from './run.ts';

/** The exit code: 0 PASS, 1 FAIL or given up, 2 wrong options, 128 + the number of the signal that stopped it. */
process.exitCode = await run(publisherCommand(publish).hook('preAction', readEnvFile), 'publisher');

async function publish(options: Options): Promise<void> {
  const interrupt = new AbortController();
  let stoppedBy = 0;
  onStopSignal((signal) => {
    stoppedBy = constants.signals[signal];
    interrupt.abort(new Interrupted(`by ${signal}`));
  });
  const report = await runPublisher(options, interrupt.signal, process.stderr);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : reportText(report));
  if (report.outcome === 'INTERRUPTED') throw new Stopped(128 + stoppedBy);
  if (report.outcome !== 'PASS') throw new Stopped(1);
}

/** Variables of `.env` in the working directory, if there is one; those already set keep their value. */
function readEnvFile(): void {
  try {
    process.loadEnvFile();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw new Stopped(2, `.env cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
