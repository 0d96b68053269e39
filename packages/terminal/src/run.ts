import { CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { readVariables } from './option.ts';
import { Stopped } from './stopped.ts';

interface Output {
  write(text: string): unknown;
}

/** What a program finds around it; tests give it something else. */
export interface Surroundings {
  /** The command line, without Node.js and the script. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
}

/**
 * Runs a program: the action of its command, or of the subcommand that was named. Returns its exit code, which is 0
 * unless the action throws a Stopped, 0 after `--help`, and 2 after a command line or a variable that is wrong. That,
 * and the message of a Stopped, is one line on standard error. Any other error is a fault of ours, and thrown.
 *
 * If the reader of its output goes away (`| head`), the work goes on unheard: a copy or a check is not left halfway.
 *
 * @param name the program's, in front of that line
 */
export async function run(
  command: CommandUnknownOpts,
  name: string,
  { stderr = process.stderr, ...more }: Partial<Surroundings> = {},
): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) {
    if (!stream.listeners('error').includes(throwUnlessUnheard)) stream.on('error', throwUnlessUnheard);
  }
  try {
    await parse(command, { stderr, ...more });
    return 0;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    if (error.message !== '') stderr.write(`${name}: ${error.message}\n`);
    return error.exitCode;
  }
}

function throwUnlessUnheard(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** Reads the command line and does what it says. Usage that is wrong is a Stopped, as is the help that was asked for. */
export async function parse(
  command: CommandUnknownOpts,
  {
    args = process.argv.slice(2),
    env = process.env,
    stdout = process.stdout,
    stderr = process.stderr,
  }: Partial<Surroundings>,
): Promise<void> {
  configure(command, stdout, stderr);
  command.hook('preAction', (_, action) => readVariables(action, env));
  try {
    await command.parseAsync(args, { from: 'user' });
  } catch (error) {
    throw error instanceof CommanderError ? stopOf(error) : error;
  }
}

function configure(command: CommandUnknownOpts, stdout: Output, stderr: Output): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(text),
    // What is wrong is told by whoever catches it.
    outputError: () => {},
  });
  for (const subcommand of command.commands) configure(subcommand, stdout, stderr);
}

function stopOf({ code, exitCode, message }: CommanderError): Stopped {
  if (exitCode === 0) return new Stopped(0);
  // No subcommand was named, and the help was shown.
  if (code === 'commander.help') return new Stopped(2);
  const fault = message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/\.$/, '');
  return new Stopped(2, `${fault}; see --help`);
}
