import { resolve } from 'node:path';
import { Command, Stopped, TEXT, option, wholeNumber } from '@chronicleweaver/terminal';
import { folderOption, jsonFileOption, seedOption } from '../lab/options.ts';

/** What one run is to do. */
export interface Options {
  /** Keys at which the growth run ends, or null for the standard run. */
  readonly growthKeys: number | null;
  /** Commits in the store alone, and what delays them, instead of the standard run. */
  readonly stalls: boolean;
  readonly quick: boolean;
  /** Live followers instead of the standard run. */
  readonly fanOut: boolean;
  /** Workers of a group instead of the standard run. */
  readonly drain: boolean;
  /** Slow answers, cold and warm, instead of the standard run. */
  readonly tails: boolean;
  /** What a commit writes, instead of the standard run. */
  readonly writes: boolean;
  /** Redis beside ours, instead of the standard run. */
  readonly beside: boolean;
  /** How many times short things are measured; the median counts. */
  readonly runs: number;
  /** Where the files are written; this disk is measured. */
  readonly folder: string;
  readonly pin: boolean;
  /** The afternoon version is also filled to as many keys as ours. */
  readonly fullReferences: boolean;
  readonly jsonPath: string | null;
  /** Where the server writes processor profiles, or null for none. */
  readonly profileFolder: string | null;
  readonly seed: number;
}

export function benchCommand(work: (options: Options) => Promise<void>) {
  return new Command('npm run bench --')
    .description(
      'Measures the server over HTTP next to its references: (a) SQLite without deduplication, (b) the version of an ' +
        'afternoon, (c) an HTTP server that stores nothing.',
    )
    .addOption(option('--keys <number>', ABOUT.keys, wholeNumber(10_000, 1_000_000_000)))
    .option('--fan-out', 'only this part of the standard run: 1000 live followers, 1000 events/s')
    .option('--drain', 'only this part of the standard run: 16 workers of a group drain 200,000 events')
    .option(
      '--tails',
      'only this part of the standard run: answers of a process that has just started, and of a warm one',
    )
    .option('--writes', 'only this part of the standard run: pages and syncs of a commit; needs strace')
    .option('--stalls', ABOUT.stalls)
    .option('--beside-redis', ABOUT.beside)
    .option('--quick', 'a small version of any run except --keys: under a minute, too short for the bar')
    .addOption(option('--runs <number>', ABOUT.runs, wholeNumber(1, 99)))
    .option('--full-references', ABOUT.fullReferences)
    .addOption(folderOption())
    .option('--no-pin', 'do not pin the servers to one core and the load to another')
    .addOption(jsonFileOption())
    .addOption(option('--profile <folder>', ABOUT.profile, TEXT))
    .addOption(seedOption('other events in another order').default(1))
    .addHelpText('after', MORE)
    .action(
      ({
        keys,
        fanOut,
        drain,
        tails,
        writes,
        stalls,
        besideRedis,
        quick,
        runs,
        fullReferences,
        dir,
        pin,
        json,
        profile,
        seed,
      }) => {
        if (
          [keys, fanOut, drain, tails, writes, stalls, besideRedis].filter((one) => one !== undefined)
            .length > 1
        )
          throw new Stopped(
            2,
            '--keys, --fan-out, --drain, --tails, --writes, --stalls and --beside-redis are separate runs: choose one',
          );
        if (quick === true && keys !== undefined) throw new Stopped(2, '--quick does not go with --keys');
        return work({
          growthKeys: keys ?? null,
          stalls: stalls === true,
          beside: besideRedis === true,
          quick: quick === true,
          fanOut: fanOut === true,
          drain: drain === true,
          tails: tails === true,
          writes: writes === true,
          runs: runs ?? (quick === true ? 1 : 3),
          folder: dir,
          pin,
          fullReferences: fullReferences === true,
          jsonPath: json ?? null,
          profileFolder: profile === undefined ? null : resolve(profile),
          seed,
        });
      },
    );
}

const ABOUT = {
  keys: 'the growth run: batches of 1000 until this many keys, with a line for every 500,000',
  stalls: 'how long commits take in the store alone, and how long sealing and merging delay them',
  beside:
    'the same load on a Redis that syncs every command, in turn; needs redis-server (in Debian: the package redis-server)',
  runs: 'how many times short things are measured; medians count; by default 3, with --quick 1',
  fullReferences: 'fill reference (b) to as many keys as the server before it is measured',
  profile: 'where the server writes processor profiles (node --cpu-prof)',
};

const MORE = `
Results go to standard output, progress to standard error.
Exit code: 0 measured, whether or not the bar is met; 1 a count was wrong or something failed; 2 wrong flags.`;
