import { Command, option, wholeNumber } from '@chronicleweaver/terminal';
import { seedOption } from '../lab/options.ts';

/** What one run is to do. */
export interface Options {
  readonly seed: number;
  readonly seconds: number;
  readonly publishers: number;
  /** Approximate size of one publish. */
  readonly batchBytes: number;
  /** How long a sync of the disk takes, milliseconds. */
  readonly syncMs: number;
  /** How many of each kind: silent connections, slow headers, readers that do not read. */
  readonly strangers: number;
  /** The limits: the service's resident memory, and how long `/health` may take. */
  readonly memoryBytesMax: number;
  readonly healthMsMax: number;
}

const KIB = 1024;

export function overloadCommand(work: (options: Options) => Promise<void>) {
  return new Command('npm run overload --')
    .description(
      'Publishes far more than a slow disk can take, and checks that the service refuses what it cannot hold, stays small, ' +
        'stays alive, and has stored what it acknowledged and nothing else.',
    )
    .addOption(option('--seconds <number>', 'how long', wholeNumber(2, 86_400)).default(60))
    .addOption(option('--publishers <number>', 'how many publish at once', wholeNumber(1, 5000)).default(200))
    .addOption(option('--batch-kib <number>', 'size of a publish', wholeNumber(1, 15 * KIB)).default(1024))
    .addOption(
      option('--sync-ms <number>', 'how long a sync takes, by strace', wholeNumber(1, 10_000)).default(500),
    )
    .addOption(option('--strangers <number>', ABOUT.strangers, wholeNumber(0, 1000)).default(50))
    .addOption(option('--memory-mib <number>', ABOUT.memory, wholeNumber(1, 65_536)).default(512))
    .addOption(option('--health-ms <number>', ABOUT.health, wholeNumber(1, 60_000)).default(100))
    .addOption(seedOption('the batches of an earlier run, which prints it'))
    .addHelpText('after', '\nExit code: 0 all held; 1 something did not; 2 wrong flags.')
    .action(({ batchKib, memoryMib, healthMs, ...options }) =>
      work({
        ...options,
        batchBytes: batchKib * KIB,
        memoryBytesMax: memoryMib * KIB * KIB,
        healthMsMax: healthMs,
      }),
    );
}

const ABOUT = {
  strangers: 'how many silent connections, slow headers and readers that do not read, each',
  memory: 'the resident memory that the service may reach',
  health: 'how long GET /health may take; on a busy machine this includes waiting for a core',
};
