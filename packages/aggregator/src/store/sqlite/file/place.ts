import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { StoreError } from '../../event-store.ts';
import { messageOf, openErrorOf } from './errors.ts';

/**
 * The one path of the file, whatever links lead to it, since log and lock lie beside it under its name: by two names the
 * same file would have two of each, and two writers. Makes the folder. Throws a StoreError `unusable` where that cannot
 * be, where what is there is no file, where a link leads nowhere, where a name is too long, or where the file has more
 * than one name, which no path resolves.
 */
export function placeOf(path: string): string {
  // SQLite passes over a slash at the end and makes a file, which no later look at the path finds.
  if (path.endsWith('/') || path.endsWith(sep)) throw folderError(path);
  try {
    makeFolder(dirname(path));
  } catch (cause) {
    throw new StoreError('unusable', `cannot make the folder of ${path}: ${messageOf(cause)}`, { cause });
  }
  try {
    return resolvedPlaceOf(path);
  } catch (cause) {
    throw openErrorOf(path, cause);
  }
}

function resolvedPlaceOf(path: string): string {
  refuseLongName(resolve(path));
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    const place = join(realpathSync(dirname(path)), basename(path));
    refuseLongName(place);
    return place;
  }
  let place: string;
  try {
    place = realpathSync(path);
  } catch (cause) {
    throw new StoreError('unusable', `${path} is a link that leads nowhere: ${messageOf(cause)}`, { cause });
  }
  refuseLongName(place);
  const stats = statSync(place);
  if (stats.isDirectory()) throw folderError(place);
  if (!stats.isFile()) {
    throw new StoreError('unusable', `${place} is a device, pipe or socket: name a file, or a place for one`);
  }
  if (stats.nlink > 1) {
    throw new StoreError(
      'unusable',
      `${place} has ${stats.nlink} names (hard links), so another process could write to it unseen: remove the others, ` +
        'or copy it',
    );
  }
  return place;
}

function folderError(path: string): StoreError {
  return new StoreError(
    'unusable',
    `${path} is a folder: name a file in it, such as ${join(path, 'chronicle.db')}`,
  );
}

/** The longest that SQLite puts behind a path, and what it and Linux take of it in all, bytes: os_unix.c, MAX_PATHNAME. */
const SUFFIX_BYTES = Buffer.byteLength('-lock-journal');
const PATH_BYTES_MAX = 512;
const NAME_BYTES_MAX = 255;

function refuseLongName(place: string): void {
  const fault = longNameFault(place);
  if (fault !== undefined) throw new StoreError('unusable', fault);
}

/** What is wrong with an absolute path that leaves SQLite no room for the files beside it. */
export function longNameFault(place: string): string | undefined {
  const pathMax = PATH_BYTES_MAX - SUFFIX_BYTES;
  const nameMax = NAME_BYTES_MAX - SUFFIX_BYTES;
  if (Buffer.byteLength(place) <= pathMax && Buffer.byteLength(basename(place)) <= nameMax) return undefined;
  return `${place} is too long: the name of the file may have ${nameMax} bytes, and its whole path ${pathMax}`;
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
