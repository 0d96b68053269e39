import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { newSeed } from '../lab/random.ts';

/** What one run is to do: checked and complete. */
export interface Options {
  readonly seed: number;
  /** Ends after so many minutes, */
  readonly minutes: number;
  /** or after so many kills, whichever is first. */
  readonly kills: number;
  /** Where the files are written, which is the disk that is put to the test. */
  readonly folder: string;
  readonly jsonPath: string | null;
}

/** A flag that cannot be used; the message is one line for the user. */
export class OptionError extends Error {}

const MINUTES = 10;

export const USAGE = `Kills the service again and again while it starts, serves, works in the background and stops, and
checks after each start that nothing it acknowledged is lost, moved, changed or stored twice.

usage: npm run torture -- [flags]

  --minutes N     how long, such as 0.5 or 600 (default: ${MINUTES})
  --kills N       end after so many kills, if that comes first; without --minutes, only then
  --dir FOLDER    the folder, and so the disk, for the files (default: the system's for temporary files)
  --seed N        the choices of an earlier run, which prints it
  --json FILE     write the results there as JSON, too
  --help          this text

Results go to stdout, progress to stderr. exit code: 0 every promise was kept; 1 one was broken, or the service failed:
what was expected, what was found, the seed and the round are printed, and the folder is kept; 2 wrong flags; 130 or 143
interrupted, nothing found until then.
`;

/** Reads the flags; throws an OptionError on the first that is wrong. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const flags = readFlags(args, ['minutes', 'kills', 'dir', 'seed', 'json']);
  if (flags === 'help') return 'help';
  const kills = flags.kills === undefined ? Infinity : whole('--kills', flags.kills, 1, 1_000_000);
  const minutes = flags.kills === undefined ? MINUTES : Infinity;
  return {
    seed: flags.seed === undefined ? newSeed() : whole('--seed', flags.seed, 0, 0xffff_ffff),
    minutes: flags.minutes === undefined ? minutes : decimal('--minutes', flags.minutes, 100_000),
    kills,
    folder: resolve(flags.dir ?? tmpdir()),
    jsonPath: flags.json ?? null,
  };
}

/** The flags' values by name; throws an OptionError on one that is not listed. */
export function readFlags<N extends string>(
  args: readonly string[],
  names: readonly N[],
): Partial<Record<N, string>> | 'help' {
  const strings = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  try {
    const { values } = parseArgs({ args: [...args], options: { ...strings, help: { type: 'boolean' } } });
    if (values['help'] === true) return 'help';
    return values as Partial<Record<N, string>>;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}

/** The number that a flag takes. */
export function whole(name: string, text: string, min: number, max: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new OptionError(
    `${name} takes a whole number from ${min} to ${max}, not ${JSON.stringify(text)}; see --help`,
  );
}

function decimal(name: string, text: string, max: number): number {
  const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (number > 0 && number <= max) return number;
  throw new OptionError(
    `${name} takes a number above 0 and up to ${max}, not ${JSON.stringify(text)}; see --help`,
  );
}
