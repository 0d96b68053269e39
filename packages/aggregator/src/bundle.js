// JavaScript like start.js, because it runs before types can be stripped.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../dist');

/**
 * The folder of the bundle that build.ts creates at `npm ci`: the service and its packages in one file for each kind of
 * thread. Undefined if there is none, or if any file that went into it has changed: then the sources run instead, so
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

/** A stamp that changes with every edit. The build records the same. */
function stampOf(file) {
  const { size, mtimeMs } = statSync(file);
  return `${size} ${mtimeMs}`;
}
