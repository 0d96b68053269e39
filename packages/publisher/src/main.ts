import { constants } from 'node:os';
import { Stopped, run, variablesOf } from '@chronicleweaver/terminal';
import { EnvFileError, readEnvFile } from '@chronicleweaver/terminal/env-file';
import { onStopSignal } from '@chronicleweaver/terminal/stop-signals';
import { type Options, publisherCommand } from './options.ts';
import { reportText } from './report.ts';
import { Interrupted, runPublisher } from './run.ts';

/** The exit code: 0 PASS, 1 FAIL or gave up, 2 wrong options, 128 + the number of the signal that stopped it. */
const command = publisherCommand(publish);
process.exitCode = await run(
  command.hook('preAction', () => readVariablesFile(variablesOf(command))),
  'publisher',
);

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

function readVariablesFile(variables: readonly string[]): void {
  try {
    readEnvFile(variables);
  } catch (error) {
    throw error instanceof EnvFileError ? new Stopped(2, error.message) : error;
  }
}
