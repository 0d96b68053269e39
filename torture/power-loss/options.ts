import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { newSeed } from '../../lab/random.ts';
import { readFlags, whole } from '../options.ts';

/** What one run is to do: checked and complete. */
export interface PowerLossOptions {
  readonly seed: number;
  /** Losses of power to be looked at. */
  readonly losses: number;
  readonly folder: string;
  readonly jsonPath: string | null;
}

const LOSSES = 400;

export const USAGE = `Records with strace all that the service writes, syncs and answers, and makes from it the files as a loss of
power would leave them: what was synced, and of the rest nothing, some writes, some sectors, or all. Each is opened,
walked from end to end and held to every answer that was sent before.

usage: npm run power-loss -- [flags]

  --losses N      how many losses of power (default: ${LOSSES})
  --dir FOLDER    the folder for the files (default: the system's for temporary files)
  --seed N        the choices of an earlier run, which prints it; not the timing
  --json FILE     write the results there as JSON, too
  --help          this text

Results go to stdout, progress to stderr. exit code: 0 every promise was kept; 1 one was broken, or the service failed:
the files are kept as they were found; 2 wrong flags, or strace cannot be used here.
`;

/** Reads the flags; throws an OptionError on the first that is wrong. */
export function readPowerLossOptions(args: readonly string[]): PowerLossOptions | 'help' {
  const flags = readFlags(args, ['losses', 'dir', 'seed', 'json']);
  if (flags === 'help') return 'help';
  return {
    seed: flags.seed === undefined ? newSeed() : whole('--seed', flags.seed, 0, 0xffff_ffff),
    losses: flags.losses === undefined ? LOSSES : whole('--losses', flags.losses, 1, 1_000_000),
    folder: resolve(flags.dir ?? tmpdir()),
    jsonPath: flags.json ?? null,
  };
}
