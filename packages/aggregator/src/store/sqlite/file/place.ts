import { existsSync, lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { StoreError } from '../../event-store.ts';
import { openErrorOf } from './errors.ts';
import { sync } from './sync.ts';
import { messageOf } from '../../errors.ts';

/**
 * Resolves a path to the only path of its file. Log and lock are beside the file under its name, so a file opened by two
 * names would have two of each, and two writers. Creates the folder. Throws a StoreError `unusable` if it cannot, if the
 * path leads to anything but a file, is a dangling link or is too long, or if the file has several hard links, which no
 * path resolves.
 */
export function placeOf(path: string): string {
  // `basename` drops the slash, so a file would be created that this path never finds again.
  if (path.endsWith('/') || path.endsWith(sep)) throw folderError(path);
  try {
    makeFolder(dirname(path));
  } catch (cause) {
    throw new StoreError('unusable', `cannot create the folder of ${path}: ${messageOf(cause)}`, { cause });
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
    throw new StoreError('unusable', `${place} is a device, pipe or socket: name a file`);
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

/** The longest suffix that SQLite adds to a path, and the longest path (MAX_PATHNAME in os_unix.c) and name, bytes. */
const SUFFIX_BYTES = Buffer.byteLength('-lock-journal');
const PATH_BYTES_MAX = 512;
const NAME_BYTES_MAX = 255;

function refuseLongName(place: string): void {
  const fault = longNameFault(place);
  if (fault !== undefined) throw new StoreError('unusable', fault);
}

/** What is wrong with an absolute path if it is too long for SQLite to name the files beside it. */
export function longNameFault(place: string): string | undefined {
  const pathMax = PATH_BYTES_MAX - SUFFIX_BYTES;
  const nameMax = NAME_BYTES_MAX - SUFFIX_BYTES;
  if (Buffer.byteLength(place) <= pathMax && Buffer.byteLength(basename(place)) <= nameMax) return undefined;
  return `${place} is too long: the name of the file may have ${nameMax} bytes, and its whole path ${pathMax}`;
}

/** SQLite syncs the file's folder, so that the file survives a power loss. New folders are ours to create and sync. */
function makeFolder(folder: string): void {
  const missing: string[] = [];
  for (let place = folder; !existsSync(place); place = dirname(place)) missing.unshift(place);
  // One by one, because under /proc Node's own recursive mkdir never returns.
  for (const place of missing) {
    try {
      mkdirSync(place);
    } catch (error) {
      // Another process created it first.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    // Windows cannot sync folders.
    if (process.platform !== 'win32') sync(dirname(place));
  }
  // Throws if it is not a folder.
  mkdirSync(folder, { recursive: true });
}
