import * as progress from '../packages/aggregator/src/programs/progress.ts';

/** Says on stderr what is being done. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** How far one step is, in keys. */
export function createProgress(what: string, total: number): progress.Progress {
  return progress.createProgress(what, total, 'keys');
}
