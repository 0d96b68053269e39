import { Command, option, wholeNumber } from '@chronicleweaver/terminal';
import { folderOption, jsonFileOption, seedOption } from '../../lab/options.ts';

/** What one run is to do. */
export interface PowerLossOptions {
  readonly seed: number;
  /** How many losses of power to examine. */
  readonly losses: number;
  readonly folder: string;
}

export function powerLossCommand(work: (options: PowerLossOptions, jsonPath?: string) => Promise<void>) {
  return new Command('npm run power-loss --')
    .description(
      'Records with strace everything that the service writes, syncs and answers, and builds the files as a loss of power ' +
        'would leave them: what was synced, and of the rest nothing, some writes, some sectors, or everything. Each is ' +
        'opened, walked from end to end, and compared with every answer that was sent before.',
    )
    .addOption(
      option('--losses <number>', 'how many losses of power', wholeNumber(1, 1_000_000)).default(400),
    )
    .addOption(folderOption())
    .addOption(seedOption('the choices of an earlier run, which prints it; not its timing'))
    .addOption(jsonFileOption())
    .addHelpText('after', MORE)
    .action(({ losses, dir, seed, json }) => work({ seed, losses, folder: dir }, json));
}

const MORE = `
Results go to standard output, progress to standard error.
Exit code: 0 every promise was kept; 1 one was broken, or the service failed: the files are kept as they were found;
2 wrong flags, or strace cannot be used here.`;
