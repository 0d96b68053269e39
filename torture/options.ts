import { Command, decimalNumber, option, wholeNumber } from '@chronicleweaver/terminal';
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

const MINUTES = 10;
const MINUTES_MAX = 100_000;

export function tortureCommand(work: (options: Options, jsonPath?: string) => Promise<void>) {
  return new Command('npm run torture --')
    .description(
      'Kills the service again and again while it starts, serves, works in the background and stops, and checks after ' +
        'each start that nothing it acknowledged is lost, moved, changed or stored twice.',
    )
    .addOption(option('--minutes <number>', `how long, such as 0.5 or 600; by default ${MINUTES}`, LENGTH))
    .addOption(
      option(
        '--kills <number>',
        'end after this many kills, if that comes first; without --minutes, end only then',
        wholeNumber(1, 1_000_000),
      ),
    )
    .addOption(folderOption())
    .addOption(seedOption('the choices of an earlier run, which prints it'))
    .addOption(jsonFileOption())
    .addHelpText('after', MORE)
    .action(({ minutes, kills, dir, seed, json }) =>
      work(
        {
          seed,
          minutes: minutes ?? (kills === undefined ? MINUTES : Infinity),
          kills: kills ?? Infinity,
          folder: dir,
        },
        json,
      ),
    );
}

const LENGTH = decimalNumber(
  `above 0 and up to ${MINUTES_MAX}`,
  (number) => number > 0 && number <= MINUTES_MAX,
);

const MORE = `
Results go to standard output, progress to standard error.
Exit code: 0 every promise was kept; 1 one was broken, or the service failed: what was expected, what was found, the
seed and the round are printed, and the folder is kept; 2 wrong flags; 130 or 143 interrupted, nothing found until then.`;
