/** A change to one file. Its `find` must occur exactly once, so that an outdated change is an error. */
export interface Change {
  /** From the root of the repository. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** A small change that breaks something, and the tests that should notice. */
export interface Breakage extends Change {
  /** What then goes wrong, in one sentence. */
  readonly breaks: string;
  /** Test files, of which at least one must fail, the likeliest first; paths from the root of the repository. */
  readonly tests: readonly string[];
  /** Further changes, if it takes more than one. */
  readonly also?: readonly Change[];
  /** The tests notice it by never ending. Without this, a run that takes too long has noticed nothing. */
  readonly hangs?: true;
  /** Why no test can notice it. If set, it must survive. */
  readonly survives?: string;
}

/** The breakages of one folder. Paths of files are relative to `sources`, those of tests to `tests`. */
export interface Area {
  readonly sources: string;
  readonly tests: string;
  readonly breakages: readonly Breakage[];
}

export function changesOf(breakage: Breakage): readonly Change[] {
  return [breakage, ...(breakage.also ?? [])];
}

/** The text with the change made. Throws if the text to find does not occur exactly once. */
export function changed(text: string, { file, find, replace }: Change): string {
  const at = placeOf(text, { file, find });
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

/** Where the text to find begins. Throws if it does not occur exactly once. */
export function placeOf(text: string, { file, find }: Omit<Change, 'replace'>): number {
  const at = find === '' ? -1 : text.indexOf(find);
  if (at < 0) throw new Error(`${file} does not hold: ${find}`);
  if (text.indexOf(find, at + 1) >= 0) throw new Error(`${file} holds more than once: ${find}`);
  return at;
}
