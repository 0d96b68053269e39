import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { StoreError } from '../../event-store.ts';
import { messageOf } from './errors.ts';

/**
 * The one path of the file, whatever links lead to it, since log and lock lie beside it under its name: by two names the
 * same file would have two of each, and two writers. Makes the folder. Throws a StoreError `unusable` where that cannot
 * be, where a link leads nowhere, or where the file has more than one name, which no path resolves.
 */
export function placeOf(path: string): string {
  const folder = dirname(path);
  try {
    makeFolder(folder);
  } catch (cause) {
    throw new StoreError('unusable', `cannot make the folder of ${path}: ${messageOf(cause)}`, { cause });
  }
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined)
    return join(realpathSync(folder), basename(path));
  let place: string;
  try {
    place = realpathSync(path);
  } catch (cause) {
    throw new StoreError('unusable', `${path} is a link that leads nowhere: ${messageOf(cause)}`, { cause });
  }
  const { nlink } = statSync(place);
  if (nlink > 1 && !statSync(place).isDirectory()) {
    throw new StoreError(
      'unusable',
      `${place} has ${nlink} names (hard links), so another process could write to it unseen: remove the others, or copy it`,
    );
  }
  return place;
}

/** SQLite syncs the folder, so that the file is found after a loss of power; that the folder is found is for us to see to. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  // Windows syncs no folders.
  if (first === undefined || process.platform === 'win32') return;
  const top = dirname(resolve(first));
  for (let made = resolve(folder); made !== top; made = dirname(made)) sync(dirname(made));
}

function sync(folder: string): void {
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
