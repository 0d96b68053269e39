import { Command, Stopped, exitCodesText, run } from '@chronicleweaver/terminal';
import { ConfigError, readConfig, readEnvFile } from '../config.ts';
import { StoreError } from '../store/event-store.ts';
import { DifferenceError } from '../store/move/compare.ts';
import { type MoveOutcome, move } from '../store/move/move.ts';
import { openLogs } from '../store/move/open-logs.ts';
import { interruption } from './interruption.ts';
import { StepProgress } from './step-progress.ts';

interface Options {
  readonly from?: string;
  readonly to: string;
  readonly wait?: true;
  readonly fence?: true;
  readonly json?: true;
}

const program = new Command('chronicleweaver move')
  .description(
    'Moves everything from one store into another: events with their offsets, ids, books, groups, epochs, the story of ' +
      'duplicates, and the audit trail. A service may serve the old store meanwhile. Once that is stopped, what is left is ' +
      'copied and compared, and the old store is marked, so that no service starts on it again. A move that was ' +
      'interrupted goes on when it is run again ' +
      '(docs/operations.md).',
  )
  .option(
    '--from <store>',
    'the store to move, such as sqlite:data/chronicle.db; by default the one that is configured',
  )
  .requiredOption('--to <store>', 'a new or empty store, such as postgres://user@host:5432/database')
  .option('--wait', 'keep up with the old service until it is stopped, then finish')
  .option(
    '--fence',
    'do not wait for instances on PostgreSQL to be stopped: refuse their writes from the last moment on',
  )
  .option('--json', 'one line of JSON, for programs')
  .addHelpText('after', '\nA password may stand in the address, or in PGPASSWORD or ~/.pgpass.')
  .addHelpText(
    'after',
    exitCodesText({
      0: 'all is moved; services may start on the new store',
      1: 'the new store differs from the old one, which is still the one to serve',
      2: 'it could not be moved, or wrong usage',
      3: 'all was copied, but the old service is running: stop it, and run this again',
    }),
  )
  .action((options) => moveLog(options).catch(complain));

async function moveLog(options: Options): Promise<void> {
  readEnvFile();
  const from = options.from ?? readConfig(process.env).store;
  const { source, target } = await openLogs({ from, to: options.to });
  const shown = new StepProgress({ copying: 'events', comparing: 'events' });
  try {
    const outcome = await move(source, target, {
      wait: options.wait === true,
      fence: options.fence === true,
      progress: (step, done, total) => shown.advance(step, done, total),
      waiting: (why, copiedTo) => {
        shown.stop();
        process.stderr.write(`move: close behind at offset ${copiedTo}; ${why} now\n`);
      },
      signal: interrupted,
    });
    shown.stop();
    const text = options.json === true ? jsonOf : reportOf;
    process.stdout.write(text(outcome, source.place, target.place));
    if (outcome.kind === 'in_use') throw new Stopped(3);
  } finally {
    shown.stop();
    await Promise.allSettled([source.close(), target.close()]);
  }
}

function reportOf(outcome: MoveOutcome, from: string, to: string): string {
  const events = `${outcome.lastOffset} events`;
  switch (outcome.kind) {
    case 'moved':
      return `moved: ${events} from ${from} are in ${to}, compared; start the service on it\n`;
    case 'moved_before':
      return `moved before: ${from} was moved to ${to}\n`;
    case 'in_use':
      return `copied: ${events} from ${from} are in ${to}, compared; ${outcome.why}, and run this again\n`;
  }
}

function jsonOf({ kind, lastOffset }: MoveOutcome, from: string, to: string): string {
  return `${JSON.stringify({ outcome: kind, from, to, last_offset: lastOffset })}\n`;
}

const interrupted = interruption('run it again, and it goes on from there');

/** Reports an error that the user can fix; rethrows any other. */
function complain(error: unknown): never {
  if (error instanceof DifferenceError) {
    throw new Stopped(1, `${error.message}; the old store is still the one to serve`);
  }
  if (error instanceof StoreError && error.code !== 'unusable') {
    throw new Stopped(2, `${error.message}; run it again, and it goes on from there`);
  }
  if (error instanceof ConfigError || error instanceof StoreError) throw new Stopped(2, error.message);
  if (error instanceof Error && error.name === 'AbortError') throw interrupted.reason;
  throw error;
}

process.exitCode = await run(program, 'move');
