// JavaScript like start.js, because it runs before types can be stripped.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../dist');

/**
 * The folder of the bundle that build.ts creates at `npm ci`: the service and its packages in one file for each kind of
 * thread. Undefined if there is none, or if any of its files or of those that went into it has changed: then the sources run
 * instead, so that an edit never needs a build.
 */
export function freshBundle() {
  try {
    const stamps = Object.entries(JSON.parse(readFileSync(join(FOLDER, 'stamps.json'), 'utf8')));
    return stamps.every(([file, seen]) => stampOf(join(FOLDER, file)) === seen) ? FOLDER : undefined;
  } catch {
    return undefined;
  }
}

/** A stamp that changes with an edit, unless that keeps both size and time. The build records the same. */
function stampOf(file) {
  const { size, mtimeMs } = statSync(file);
  return `${size} ${mtimeMs}`;
}
