import { Command, TEXT, option, wholeNumber } from '@chronicleweaver/terminal';
import { seedOption } from '../options.ts';
import { SeededRandom } from '../random.ts';
import type { Breakage } from './breakage.ts';

export interface Options {
  /** Only breakages whose file or sentence contains the text. */
  readonly only: string;
  /** How many of them, drawn with the seed; undefined means all. */
  readonly sample: number | undefined;
  readonly seed: number;
  /** How many are tried at once. */
  readonly workers: number;
}

export function breakagesCommand(work: (options: Options) => Promise<void>) {
  return new Command('npm run breakages --')
    .description(
      'Breaks the sources in one small way at a time, in a copy, and runs the tests that should notice. A breakage that ' +
        'no test notices shows that a test is missing.',
    )
    .addOption(option('--only <text>', 'only those whose file or sentence contains the text', TEXT))
    .addOption(option('--sample <number>', 'only this many of them, drawn at random', wholeNumber(1, 10_000)))
    .addOption(seedOption('the choice of an earlier run, which prints it'))
    .addOption(option('--workers <number>', 'how many at once', wholeNumber(1, 64)).default(2))
    .addHelpText('after', MORE)
    .action(({ only = '', sample, seed, workers }) => work({ only, sample, seed, workers }));
}

const MORE = `
Results go to standard output, progress to standard error.
Exit code: 0 each was noticed, or survived as expected; 1 at least one was not; 2 wrong flags; 130 or 143 interrupted.`;

/** The selected breakages, in the order of the lists, or of a sample in the order in which it was drawn. */
export function chosen(
  all: readonly Breakage[],
  { only, sample, seed }: Omit<Options, 'workers'>,
): Breakage[] {
  const meant = all.filter(({ file, breaks }) => file.includes(only) || breaks.includes(only));
  if (sample === undefined) return meant;
  const random = new SeededRandom(seed);
  const drawn: Breakage[] = [];
  while (drawn.length < sample && meant.length > 0)
    drawn.push(...meant.splice(random.whole(0, meant.length - 1), 1));
  return drawn;
}
