import { Command, TEXT, option, wholeNumber } from '@chronicleweaver/terminal';
import { seedOption } from '../lab/options.ts';

/** What one run is to do. */
export interface Options {
  readonly seed: number;
  /** The steps from this number on, */
  readonly from: number;
  /** up to before this one. */
  readonly to: number;
  /** Ends after so many findings. */
  readonly findingsMax: number;
  /** How often bytes are left out of a finding: each time a service is started. */
  readonly triesMax: number;
  /** Keys are in force; some of the steps have one. */
  readonly guarded: boolean;
}

/** @param replay takes a file of bytes that are sent alone, in place of a run */
export function fuzzCommand(
  work: (options: Options) => Promise<void>,
  replay: (file: string, guarded: boolean) => Promise<void>,
) {
  return new Command('npm run fuzz --')
    .description(
      'Sends the service what no client would: broken bodies, headers, addresses and bytes, with good publishes among ' +
        'them. No answer may be a 5xx but 503, every 4xx must be a problem and change nothing, every 200 must be stored ' +
        'as it was sent, and the process must live.',
    )
    .addOption(option('--requests <number>', ABOUT.requests, wholeNumber(1, STEPS_MAX)).default(100_000))
    .addOption(seedOption('the steps of an earlier run, which prints it'))
    .addOption(option('--step <number>', 'only this step of the seed, alone', wholeNumber(0, STEPS_MAX)))
    .option('--guarded', 'with keys in force, of which some steps have one: the others must not get in')
    .addOption(option('--findings <number>', 'end after so many findings', wholeNumber(1, 1000)).default(5))
    .addOption(option('--tries <number>', ABOUT.tries, wholeNumber(0, 100_000)).default(60))
    .addOption(option('--replay <file>', ABOUT.replay, TEXT))
    .addHelpText('after', MORE)
    .action(({ requests, seed, step, guarded: isGuarded, findings, tries, replay: file }) => {
      const guarded = isGuarded === true;
      if (file !== undefined) return replay(file, guarded);
      const [from, to] = step === undefined ? [0, requests] : [step, step + 1];
      return work({ seed, from, to, findingsMax: findings, triesMax: tries, guarded });
    });
}

const STEPS_MAX = 1_000_000_000;

const ABOUT = {
  requests: 'how many steps, each a connection with one request or a few',
  tries: 'how often to try to show a finding with fewer bytes',
  replay: 'send the bytes of a finding, and say what is wrong with the answer',
};

const MORE = `
The bytes of each finding are written to a file in the working directory, as few of them as still show it.
Exit code: 0 nothing was found; 1 something was; 2 wrong flags.`;
