import { parseArgs } from 'node:util';
import { newSeed } from '../lab/random.ts';

/** What one run is to do: checked and complete. */
export interface Options {
  readonly seed: number;
  readonly seconds: number;
  readonly publishers: number;
  /** Bytes of one publish, about. */
  readonly batchBytes: number;
  /** How long a sync of the disk takes, milliseconds. */
  readonly syncMs: number;
  /** Of each kind: silent connections, slow headers, readers that do not read. */
  readonly strangers: number;
  /** What is judged: the service's resident memory, and how long `/health` takes at most. */
  readonly memoryBytesMax: number;
  readonly healthMsMax: number;
}

/** A flag that cannot be used; the message is one line for the user. */
export class OptionError extends Error {}

export const USAGE = `Publishes far more than a slow disk takes, and checks that the service refuses what it cannot hold, stays small,
stays alive, and has stored what it acknowledged and nothing else.

usage: npm run overload -- [flags]

  --seconds N       how long (default: 60)
  --publishers N    how many publish at once (default: 200)
  --batch-kib N     size of a publish (default: 1024)
  --sync-ms N       how long a sync takes, by strace (default: 500)
  --strangers N     silent connections, slow headers and readers that do not read, of each (default: 50)
  --memory-mib N    the resident memory that the service may reach (default: 512)
  --health-ms N     how long GET /health may take (default: 100; on a busy machine its waiting for a core counts, too)
  --seed N          the batches of an earlier run, which prints it
  --help            this text

exit code: 0 all held; 1 something did not; 2 wrong flags.
`;

/** Reads the flags; throws an OptionError on the first that is wrong. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const flags = parse(args);
  if (flags.help === true) return 'help';
  return {
    seconds: whole('--seconds', flags.seconds, 60, 2, 86_400),
    publishers: whole('--publishers', flags.publishers, 200, 1, 5000),
    batchBytes: whole('--batch-kib', flags['batch-kib'], 1024, 1, 15 * 1024) * 1024,
    syncMs: whole('--sync-ms', flags['sync-ms'], 500, 1, 10_000),
    strangers: whole('--strangers', flags.strangers, 50, 0, 1000),
    memoryBytesMax: whole('--memory-mib', flags['memory-mib'], 512, 1, 65_536) * 1024 * 1024,
    healthMsMax: whole('--health-ms', flags['health-ms'], 100, 1, 60_000),
    seed: whole('--seed', flags.seed, newSeed(), 0, 0xffff_ffff),
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        seconds: text,
        publishers: text,
        'batch-kib': text,
        'sync-ms': text,
        strangers: text,
        'memory-mib': text,
        'health-ms': text,
        seed: text,
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}

function whole(name: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new OptionError(
    `${name} takes a whole number from ${min} to ${max}, not ${JSON.stringify(text)}; see --help`,
  );
}
