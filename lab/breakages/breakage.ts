/** A change of one file: the text must stand in it exactly once, so that a change that no longer fits is an error. */
export interface Change {
  /** From the root of the repository. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** A small change for the worse, and who should notice it. */
export interface Breakage extends Change {
  /** What goes wrong with it, in a sentence. */
  readonly breaks: string;
  /** Test files of which at least one fails; from the root of the repository, the likeliest first. */
  readonly tests: readonly string[];
  /** Where it takes more than one change. */
  readonly also?: readonly Change[];
  /** The tests notice it by never coming to their end. Without this, a run that takes too long has noticed nothing. */
  readonly hangs?: true;
  /** Why nobody can notice it. Then it must survive. */
  readonly survives?: string;
}

/** The breakages of one folder, whose paths are short: the files' from `sources` on, the tests' from `tests` on. */
export interface Area {
  readonly sources: string;
  readonly tests: string;
  readonly breakages: readonly Breakage[];
}

export function changesOf(breakage: Breakage): readonly Change[] {
  return [breakage, ...(breakage.also ?? [])];
}

/** The text with the change made. Throws where the text to find does not stand there exactly once. */
export function changed(text: string, { file, find, replace }: Change): string {
  const at = placeOf(text, { file, find });
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

/** Where the only place of the text to find begins. */
export function placeOf(text: string, { file, find }: Omit<Change, 'replace'>): number {
  const at = find === '' ? -1 : text.indexOf(find);
  if (at < 0) throw new Error(`${file} does not hold: ${find}`);
  if (text.indexOf(find, at + 1) >= 0) throw new Error(`${file} holds more than once: ${find}`);
  return at;
}
