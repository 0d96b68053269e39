import {
  Command,
  type Kind,
  Stopped,
  TEXT,
  decimalNumber,
  option,
  wholeNumber,
} from '@chronicleweaver/terminal';
import { folderOption, jsonFileOption, seedOption } from '../lab/options.ts';

/** What one run is to do. */
export interface Options {
  readonly seed: number;
  /** The run ends after this many minutes, */
  readonly minutes: number;
  /** or after this many kills, whichever comes first. */
  readonly kills: number;
  /** Where the files are written; this disk is tested. */
  readonly folder: string;
}

/** What a run on PostgreSQL is to do. */
export interface DatabaseOptions extends Options {
  /** The address of somebody else's database, or null for one of the run's own. */
  readonly address: string | null;
  readonly instances: number;
  /** Whether commits wait for a standby, which takes over when the primary is killed. */
  readonly failover: boolean;
  /** Where the programs of a server are; undefined for the one that npm brings. */
  readonly programs: string | undefined;
}

const MINUTES = 10;
const MINUTES_MAX = 100_000;

export function tortureCommand(
  onFile: (options: Options, jsonPath?: string) => Promise<void>,
  onDatabase: (options: DatabaseOptions, jsonPath?: string) => Promise<void>,
) {
  return new Command('npm run torture --')
    .description(
      'Kills the service again and again while it starts, serves, works in the background and stops, and checks after ' +
        'each start that nothing it acknowledged is lost, moved, changed or stored twice, and that what it let go of is ' +
        'gone. With --store postgres many ' +
        'instances share a database, and these, the database and the network between them fail in turn.',
    )
    .addOption(
      option(
        '--store <store>',
        'file; postgres, a server of its own that syncs; or the address of a server, such as postgres://user@host/database, ' +
          'which gets a schema that is removed at the end, and is never stopped',
        STORE,
      ).default('file'),
    )
    .addOption(option('--minutes <number>', `how long, such as 0.5 or 600; by default ${MINUTES}`, LENGTH))
    .addOption(
      option(
        '--kills <number>',
        'end after this many kills (on postgres: faults), if that comes first; without --minutes, end only then',
        wholeNumber(1, 1_000_000),
      ),
    )
    .addOption(
      option('--instances <number>', 'on postgres: instances of the service', wholeNumber(2, 50)).default(4),
    )
    .option(
      '--failover',
      'on postgres: commits wait for a standby, and most faults kill the primary and promote it',
    )
    .addOption(
      option(
        '--postgres-bin <folder>',
        "on postgres: where the server's programs are, such as /usr/lib/postgresql/15/bin; by default npm's",
        TEXT,
      ),
    )
    .addOption(folderOption())
    .addOption(seedOption('the choices of an earlier run, which prints it'))
    .addOption(jsonFileOption())
    .addHelpText('after', MORE)
    .action(({ store, minutes, kills, dir, seed, json, instances, failover = false, postgresBin }) => {
      const options = {
        seed,
        minutes: minutes ?? (kills === undefined ? MINUTES : Infinity),
        kills: kills ?? Infinity,
        folder: dir,
      };
      if (store === 'file') return onFile(options, json);
      const address = store === 'postgres' ? null : store;
      if (address !== null && failover)
        throw new Stopped(2, '--failover needs servers of its own: --store postgres');
      return onDatabase({ ...options, address, instances, failover, programs: postgresBin }, json);
    });
}

const STORE: Kind<string> = {
  takes: 'file, postgres, or an address like postgres://user@host/database',
  read: (text) => (['file', 'postgres'].includes(text) || /^postgres(ql)?:/.test(text) ? text : undefined),
};

const LENGTH = decimalNumber(
  `above 0 and up to ${MINUTES_MAX}`,
  (number) => number > 0 && number <= MINUTES_MAX,
);

const MORE = `
Results go to standard output, progress to standard error.
Exit code: 0 every promise was kept; 1 one was broken, or the service failed: what was expected, what was found, the
seed and the round are printed, and on a file its folder is kept; 2 wrong flags; 130 or 143 interrupted, nothing found until then.`;
