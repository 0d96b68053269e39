/** What the exit codes of a command mean, each in a few words. */
export interface ExitCodes {
  readonly 0: string;
  readonly 1: string;
  /** Wrong usage where left out. */
  readonly 2?: string;
  /** What a command alone knows. */
  readonly 3?: string;
  /** Whether a signal is a way for it to do what it should, and not an interruption. */
  readonly endsBySignal?: boolean;
}

/** The part of a command's help that tells its exit codes, in the one form that all have. */
export function exitCodesText({ endsBySignal = false, ...codes }: ExitCodes): string {
  const rows = Object.entries({ 2: 'wrong usage', ...codes });
  if (!endsBySignal) rows.push(['130, 143', 'interrupted by SIGINT, SIGTERM']);
  return ['\nExit codes:', ...rows.map(([code, meaning]) => `  ${code.padEnd(8)}  ${meaning}`)].join('\n');
}
