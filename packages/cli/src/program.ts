import { ChronicleWeaverError, ConnectionError, ProblemError } from '@chronicleweaver/client';
import { Command, type CommandUnknownOpts, Stopped, exitCodesText, parse } from '@chronicleweaver/terminal';
import manifest from '../package.json' with { type: 'json' };
import { auditCommand } from './commands/audit.ts';
import { eraseCommand } from './commands/erase.ts';
import { eventsCommand } from './commands/events.ts';
import { findCommand } from './commands/find.ts';
import { groupsCommand } from './commands/groups.ts';
import { pipeCommand } from './commands/pipe.ts';
import { programCommands } from './commands/programs.ts';
import { publishCommand } from './commands/publish.ts';
import { retentionCommand } from './commands/retention.ts';
import { sourcesCommand } from './commands/sources.ts';
import { serveCommand } from './commands/serve.ts';
import { statsCommand } from './commands/stats.ts';
import { tailCommand } from './commands/tail.ts';
import { topCommand } from './commands/top.ts';
import { topicsCommand } from './commands/topics.ts';
import { truncateCommand } from './commands/truncate.ts';
import { LineError } from './json-lines.ts';
import { Terminal, harmless } from './terminal.ts';

const MORE = `
Commands that talk to a service find it by --url or CHRONICLEWEAVER_URL, and take --json.
NO_COLOR turns colours off.`;

/** Runs a command line, without the names of Node.js and the script, and returns its exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command('chronicleweaver')
    .description(
      'Events, each stored once, in one order, kept as long as you say. `chronicleweaver serve` starts a service.',
    )
    .version(manifest.version)
    .enablePositionalOptions()
    .addHelpText('after', MORE)
    .addHelpText('after', exitCodesText({ 0: 'done', 1: 'failed; the help of each command says more' }));
  // The programs among them explain their own usage.
  for (const command of [...commandsOf(terminal), ...programCommands()]) program.addCommand(command);
  try {
    const { stderr } = terminal;
    await parse(program, { args, stdout: terminal, stderr });
    await terminal.drained();
    return 0;
  } catch (error) {
    return complain(terminal, terminal.causeOf(error), args.includes('--json'));
  }
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
    topCommand(terminal),
    groupsCommand(terminal),
    pipeCommand(terminal),
    retentionCommand(terminal),
    sourcesCommand(terminal),
    truncateCommand(terminal),
    eraseCommand(terminal),
    auditCommand(terminal),
  ];
}

/** Reports errors that the user can fix and returns the exit code; throws bugs of ours. */
function complain(terminal: Terminal, error: unknown, asJson: boolean): number {
  if (error instanceof Stopped) {
    if (error.message !== '') terminal.note(`chronicleweaver: ${harmless(error.message)}`);
    return error.exitCode;
  }
  if (!isFixableByUser(error)) throw error;
  const code = 'code' in error ? error.code : undefined;
  if (asJson) terminal.note(JSON.stringify({ error: { code, message: error.message } }));
  else terminal.note(`chronicleweaver: ${harmless(error.message)}${hintFor(error)}`);
  return 1;
}

function isFixableByUser(error: unknown): error is Error {
  return (
    error instanceof ChronicleWeaverError ||
    error instanceof LineError ||
    // A file that is missing or unreadable.
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
