// JavaScript, as start.js is: it runs before any type could be stripped.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../dist');

/**
 * The folder of the bundle that build.ts makes at `npm ci`: the service and its packages in one file for each kind of
 * thread. Undefined where there is none, or where any file that went into it is not as it was: then the sources run, so
 * that an edit never needs a build.
 */
export function freshBundle() {
  try {
    const inputs = Object.entries(JSON.parse(readFileSync(join(FOLDER, 'inputs.json'), 'utf8')));
    return inputs.every(([file, seen]) => stampOf(join(FOLDER, file)) === seen) ? FOLDER : undefined;
  } catch {
    return undefined;
  }
}

/** What an edit changes; the build notes the same. */
function stampOf(file) {
  const { size, mtimeMs } = statSync(file);
  return `${size} ${mtimeMs}`;
}
