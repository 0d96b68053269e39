import { resolve } from 'node:path';
import { Command, type Kind, Stopped, TEXT, option, wholeNumber } from '@chronicleweaver/terminal';
import { folderOption, jsonFileOption, seedOption } from '../lab/options.ts';

/** What one run is to do. */
export interface Options {
  /** Keys at which the growth run ends, or null for the standard run. */
  readonly growthKeys: number | null;
  /** Commits in the store alone, and what delays them, instead of the standard run. */
  readonly stalls: boolean;
  readonly quick: boolean;
  /** `postgres` or the address of a server, to measure our store there; null for the one in a file. */
  readonly store: string | null;
  /** How many instances on PostgreSQL are measured beside one, alone; null for the usual numbers, beside all else. */
  readonly instances: number | null;
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
  /** The service with this setting beside one without it, instead of the standard run. */
  readonly besideSetting: readonly [name: string, value: string] | null;
  /** Letting go of events instead of the standard run. */
  readonly retention: RetentionSizes | null;
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

interface RetentionSizes {
  /** Published before nine tenths of them go. */
  readonly events: number;
  /** Of the steady state. */
  readonly minutes: number;
}

const RETENTION: RetentionSizes = { events: 5_000_000, minutes: 10 };
const RETENTION_QUICK: RetentionSizes = { events: 100_000, minutes: 0.25 };

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
    .addOption(option('--beside-setting <NAME=VALUE>', ABOUT.besideSetting, VARIABLE))
    .option('--retention', ABOUT.retention)
    .addOption(option('--events <number>', ABOUT.events, wholeNumber(10_000, 1_000_000_000)))
    .addOption(option('--minutes <number>', ABOUT.minutes, wholeNumber(1, 10_000)))
    .addOption(option('--store <name>', ABOUT.store, STORE))
    .addOption(option('--instances <number>', ABOUT.instances, wholeNumber(2, 64)))
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
        besideSetting,
        retention,
        events,
        minutes,
        store,
        instances,
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
          [keys, fanOut, drain, tails, writes, stalls, besideRedis, besideSetting, retention].filter(
            (one) => one !== undefined,
          ).length > 1
        )
          throw new Stopped(
            2,
            '--keys, --fan-out, --drain, --tails, --writes, --stalls, --beside-redis, --beside-setting and --retention are separate runs: choose one',
          );
        if (store !== undefined) {
          if (
            [fanOut, drain, tails, writes, stalls, besideRedis, retention].includes(true) ||
            besideSetting !== undefined
          )
            throw new Stopped(2, '--store goes with --keys, --instances and --quick, not with another run');
          if (keys !== undefined && instances !== undefined)
            throw new Stopped(2, '--keys and --instances are separate runs: choose one');
        } else if (instances !== undefined) throw new Stopped(2, '--instances goes with --store');
        if (quick === true && keys !== undefined) throw new Stopped(2, '--quick does not go with --keys');
        if (retention === undefined && (events ?? minutes) !== undefined)
          throw new Stopped(2, '--events and --minutes go with --retention');
        const retentionSizes = quick === true ? RETENTION_QUICK : RETENTION;
        return work({
          growthKeys: keys ?? null,
          stalls: stalls === true,
          beside: besideRedis === true,
          besideSetting: besideSetting ?? null,
          quick: quick === true,
          store: store ?? null,
          instances: instances ?? null,
          fanOut: fanOut === true,
          drain: drain === true,
          tails: tails === true,
          writes: writes === true,
          retention:
            retention === true
              ? { events: events ?? retentionSizes.events, minutes: minutes ?? retentionSizes.minutes }
              : null,
          runs: runs ?? (quick === true ? 1 : 3),
          folder: dir,
          // A database has processes of its own.
          pin: pin && store === undefined,
          fullReferences: fullReferences === true,
          jsonPath: json ?? null,
          profileFolder: profile === undefined ? null : resolve(profile),
          seed,
        });
      },
    );
}

const STORE: Kind<string> = {
  takes: 'postgres, or an address like postgres://user@host:5432/database',
  read: (text) => (text === 'postgres' || /^postgres(ql)?:\/\//.test(text) ? text : undefined),
};

const VARIABLE: Kind<readonly [string, string]> = {
  takes: 'a name and a value, like AUDIT=true',
  read(text) {
    const [, name, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(text) ?? [];
    return name === undefined || value === undefined ? undefined : [name, value];
  },
};

const ABOUT = {
  store:
    'our store on PostgreSQL beside the naive design there, 4 and 8 instances, a follower of another instance; with --keys its ' +
    'growth. postgres starts a server of its own',
  instances: 'on PostgreSQL, only so many instances beside one',
  keys: 'the growth run: batches of 1000 until this many keys, with a line for every 500,000',
  stalls: 'how long commits take in the store alone, and how long sealing and merging delay them',
  beside:
    'the same load on a Redis that syncs every command, in turn; needs redis-server (in Debian: the package redis-server)',
  besideSetting: 'what a setting of the service costs: with it and without, in turn',
  retention:
    'publishes while a policy lets nine tenths of the events go: answers and the size of the file; then a file under a policy for ' +
    'minutes',
  events: 'with --retention, how many are published before; by default 5,000,000, with --quick 100,000',
  minutes: 'with --retention, how long a file stands under a policy; by default 10, with --quick a quarter',
  runs: 'how many times short things are measured; medians count; by default 3, with --quick 1',
  fullReferences: 'fill reference (b) to as many keys as the server before it is measured',
  profile: 'where the server writes processor profiles (node --cpu-prof)',
};

const MORE = `
Results go to standard output, progress to standard error.
Exit code: 0 measured, whether or not the bar is met; 1 a count was wrong or something failed; 2 wrong flags.`;
