import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { type Kind, TEXT, option, wholeNumber } from '@chronicleweaver/terminal';
import { newSeed } from './random.ts';

/** Options that several tools have, each with the same name and meaning everywhere. */

const PATH: Kind<string> = { takes: '', read: (text) => resolve(text) };

/** `--seed`; by default a new one. */
export function seedOption(about: string) {
  return option('--seed <number>', about, wholeNumber(0, 0xffff_ffff)).default(newSeed(), 'a new one');
}

/** `--dir`: where the files of a run are written, and so the disk that is tested. */
export function folderOption() {
  return option('--dir <folder>', 'the folder, and so the disk, for the files', PATH).default(
    tmpdir(),
    "the system's for temporary files",
  );
}

/** `--json`: a file for the results. */
export function jsonFileOption() {
  return option('--json <file>', 'also write the results there, as JSON', TEXT);
}
