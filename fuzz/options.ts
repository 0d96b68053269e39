import { Command, TEXT, option, wholeNumber } from '@chronicleweaver/terminal';
import { seedOption } from '../lab/options.ts';

/** What one run is to do. */
export interface Options {
  readonly seed: number;
  /** The first step, */
  readonly from: number;
  /** and the one after the last. */
  readonly to: number;
  /** The run ends after this many findings. */
  readonly findingsMax: number;
  /** How many times to try a finding with fewer bytes; each try starts a service. */
  readonly triesMax: number;
  /** The service asks for keys; some steps have one. */
  readonly guarded: boolean;
}

/** @param replay sends the bytes of a file, instead of a run */
export function fuzzCommand(
  work: (options: Options) => Promise<void>,
  replay: (file: string, guarded: boolean) => Promise<void>,
) {
  return new Command('npm run fuzz --')
    .description(
      'Sends the service what no client would: broken bodies, headers, addresses and bytes, with good publishes among ' +
        'them. No answer may be a 5xx other than 503, every 4xx must be a problem and change nothing, every 200 must be stored ' +
        'as it was sent, a publish must be answered alike on the short way and through Fastify, and the process must live.',
    )
    .addOption(option('--requests <number>', ABOUT.requests, wholeNumber(1, STEPS_MAX)).default(100_000))
    .addOption(seedOption('the steps of an earlier run, which prints it'))
    .addOption(option('--step <number>', 'only this step of the seed, alone', wholeNumber(0, STEPS_MAX)))
    .option('--guarded', 'the service asks for keys; some steps have one, and the others must not get in')
    .addOption(option('--findings <number>', 'end after this many findings', wholeNumber(1, 1000)).default(5))
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
  tries: 'how many times to try to show a finding with fewer bytes',
  replay: 'send the bytes of a finding, and say what is wrong with the answer',
};

const MORE = `
The bytes of each finding, as few as still show it, are written to a file in the working directory.
Exit code: 0 nothing was found; 1 something was; 2 wrong flags.`;
