import { Command, CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { ChronicleWeaverError, ConnectionError, ProblemError } from '@chronicleweaver/client';
import manifest from '../package.json' with { type: 'json' };
import { eventsCommand } from './commands/events.ts';
import { findCommand } from './commands/find.ts';
import { groupsCommand } from './commands/groups.ts';
import { programCommands } from './commands/programs.ts';
import { publishCommand } from './commands/publish.ts';
import { serveCommand } from './commands/serve.ts';
import { statsCommand } from './commands/stats.ts';
import { tailCommand } from './commands/tail.ts';
import { topicsCommand } from './commands/topics.ts';
import { LineError } from './json-lines.ts';
import { Stopped, Terminal, harmless } from './terminal.ts';

const EXIT_CODES = `
Exit code of every command: 0 done, 1 failed, 2 wrong usage, 130 and 143 interrupted by SIGINT and SIGTERM.
Commands that speak with a service find it by --url or CHRONICLEWEAVER_URL, and take --json.
NO_COLOR turns colours off.`;

/** Runs a command line, without the names of Node.js and the script, and returns its exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command('chronicleweaver')
    .description(
      'Events, each stored once and for ever, in one order. `chronicleweaver serve` starts a service.',
    )
    .version(manifest.version)
    .enablePositionalOptions()
    .showHelpAfterError('--help tells more')
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
    })
    .exitOverride()
    .addHelpText('after', EXIT_CODES);
  for (const command of commandsOf(terminal)) {
    inherit(command, program);
    program.addCommand(command);
  }
  // They tell their own usage.
  for (const command of programCommands()) program.addCommand(command);
  try {
    await program.parseAsync(args, { from: 'user' });
    await terminal.drained();
    return 0;
  } catch (error) {
    return complain(terminal, terminal.causeOf(error), args.includes('--json'));
  }
}

/** What holds for the program holds for its commands and theirs. */
function inherit(command: CommandUnknownOpts, parent: CommandUnknownOpts): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inherit(child, command);
}

function commandsOf(terminal: Terminal): CommandUnknownOpts[] {
  return [
    serveCommand(),
    publishCommand(terminal),
    tailCommand(terminal),
    eventsCommand(terminal),
    findCommand(terminal),
    topicsCommand(terminal),
    statsCommand(terminal),
    groupsCommand(terminal),
  ];
}

/** Says what is for the user to mend and returns the exit code; what is a fault of ours is thrown. */
function complain(terminal: Terminal, error: unknown, asJson: boolean): number {
  if (error instanceof Stopped) return error.exitCode;
  // Commander has said what is wrong; or it has shown help or version, which it was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!isUsersToMend(error)) throw error;
  const code = 'code' in error ? error.code : undefined;
  if (asJson) terminal.note(JSON.stringify({ error: { code, message: error.message } }));
  else terminal.note(`chronicleweaver: ${harmless(error.message)}${hintFor(error)}`);
  return 1;
}

function isUsersToMend(error: unknown): error is Error {
  return (
    error instanceof ChronicleWeaverError ||
    error instanceof LineError ||
    // A file that is not there, or may not be read.
    (error instanceof Error && 'syscall' in error)
  );
}

function hintFor(error: Error): string {
  if (error instanceof ConnectionError) {
    return '\nIs a service running there? `chronicleweaver serve` starts one; --url or CHRONICLEWEAVER_URL names another.';
  }
  if (error instanceof ProblemError && (error.status === 401 || error.status === 403)) {
    return '\nGive the secret of a key that may do this in CHRONICLEWEAVER_KEY, or with --key.';
  }
  return '';
}
