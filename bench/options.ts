import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** What one run is to do: checked and complete. */
export interface Options {
  /** Keys at which the growth run ends, or null for the standard run. */
  readonly growthKeys: number | null;
  /** Commits in the store alone, and what holds them up, in place of the standard run. */
  readonly stalls: boolean;
  readonly quick: boolean;
  /** Live followers instead of the standard run. */
  readonly fanOut: boolean;
  /** Workers of a group instead of the standard run. */
  readonly drain: boolean;
  /** Short things are measured so many times; the median counts. */
  readonly runs: number;
  /** Where the files are written, which is the disk that is measured. */
  readonly folder: string;
  readonly pin: boolean;
  /** The afternoon version is filled to as many keys as ours, too. */
  readonly fullReferences: boolean;
  readonly jsonPath: string | null;
  /** Where the server writes its processor profiles, or null for none. */
  readonly profileFolder: string | null;
  readonly seed: number;
}

/** A flag that cannot be used; the message is one line for the user. */
export class OptionError extends Error {}

export const USAGE = `Measures the server over HTTP next to its references: (a) SQLite without deduplication,
(b) the version of an afternoon, (c) an HTTP server that stores nothing.

usage: npm run bench -- [flags]

  --keys N            the growth run: batches of 1000 until N keys, a line for every 500,000
  --fan-out           of the standard run only this: 1000 live followers, 1000 events/s
  --drain             of the standard run only this: 16 workers of a group drain 200,000 events
  --stalls            how long commits take in the store alone, and for how long sealing and merging hold them up
  --quick             a small version of any run but --keys: under a minute, too short for the bar
  --runs N            how often short things are measured; medians count (default: 3, with --quick 1)
  --full-references   fill reference (b) to as many keys as the server before it is measured
  --dir FOLDER        the folder, and so the disk, for the files (default: the system's for temporary files)
  --no-pin            do not hold the servers to one core and the load to another
  --json FILE         write the results there as JSON, too
  --profile FOLDER    the server writes processor profiles there (node --cpu-prof)
  --seed N            other events in another order (default: 1)
  --help              this text

Results go to stdout, progress to stderr. exit code: 0 measured, whether or not the bar is met; 1 a count was wrong or
something failed; 2 wrong flags.
`;

/** Reads the flags; throws an OptionError on the first that is wrong. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const flags = parse(args);
  if (flags.help === true) return 'help';
  const quick = flags.quick === true;
  const fanOut = flags['fan-out'] === true;
  const drain = flags.drain === true;
  const stalls = flags.stalls === true;
  if ([flags.keys !== undefined, fanOut, drain, stalls].filter(Boolean).length > 1)
    throw new OptionError('--keys, --fan-out, --drain and --stalls are runs of their own: name one');
  if (quick && flags.keys !== undefined) throw new OptionError('--quick is not of --keys');
  return {
    growthKeys: flags.keys === undefined ? null : integer('--keys', flags.keys, 10_000, 1_000_000_000),
    stalls,
    quick,
    fanOut,
    drain,
    runs: flags.runs === undefined ? (quick ? 1 : 3) : integer('--runs', flags.runs, 1, 99),
    folder: resolve(flags.dir ?? tmpdir()),
    pin: flags['no-pin'] !== true,
    fullReferences: flags['full-references'] === true,
    jsonPath: flags.json ?? null,
    profileFolder: flags.profile === undefined ? null : resolve(flags.profile),
    seed: flags.seed === undefined ? 1 : integer('--seed', flags.seed, 0, 0xffff_ffff),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        keys: { type: 'string' },
        stalls: { type: 'boolean' },
        quick: { type: 'boolean' },
        'fan-out': { type: 'boolean' },
        drain: { type: 'boolean' },
        runs: { type: 'string' },
        'full-references': { type: 'boolean' },
        dir: { type: 'string' },
        'no-pin': { type: 'boolean' },
        json: { type: 'string' },
        profile: { type: 'string' },
        seed: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}

function integer(name: string, text: string, min: number, max: number): number {
  const number = /^\d+$/.test(text.replaceAll('_', '')) ? Number(text.replaceAll('_', '')) : NaN;
  if (number >= min && number <= max) return number;
  throw new OptionError(
    `${name} takes a whole number from ${min} to ${max}, not ${JSON.stringify(text)}; see --help`,
  );
}
