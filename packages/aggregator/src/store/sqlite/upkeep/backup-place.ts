import { existsSync, linkSync, realpathSync, renameSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { markCopy } from '../file/epochs.ts';
import { messageOf } from '../../errors.ts';
import { FileLock } from '../file/lock.ts';
import { sync } from '../file/sync.ts';
import { BackupError, copyError } from './backup-error.ts';

/** The suffixes of the files that SQLite and the service put beside a file. */
export const BESIDE = ['-wal', '-shm', '-journal', '-lock'];

/** Resolves symbolic links in both, because SQLite keeps its log beside the file itself. */
export function placesOf(options: { readonly from: string; readonly to: string }): {
  from: string;
  to: string;
} {
  if (!existsSync(options.from)) throw new BackupError('source', `${options.from} does not exist`);
  const to = resolve(options.to);
  const folder = dirname(to);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new BackupError('target', `the folder ${folder} does not exist; create it first`);
  }
  const real = existsSync(to) ? realpathSync(to) : join(realpathSync(folder), basename(to));
  return { from: realpathSync(options.from), to: real };
}

/** Throws a BackupError if a copy at `to` would do harm. */
export function refuseTarget(from: string, to: string, replace: boolean): void {
  if ([from, ...BESIDE.map((suffix) => from + suffix)].includes(to) || isSameFile(from, to)) {
    throw new BackupError('target', `${to} belongs to the file to be copied; choose another name`);
  }
  if (existsSync(to)) {
    if (statSync(to).isDirectory()) {
      throw new BackupError(
        'target',
        `${to} is a folder; name a file in it, such as ${to}/${basename(from)}`,
      );
    }
    if (!replace)
      throw new BackupError('target', `${to} already exists; choose another name, or use --replace`);
  }
  for (const suffix of ['-wal', '-shm', '-journal']) {
    // SQLite would take it for the copy's own and write another file's pages into the copy.
    if (existsSync(to + suffix)) {
      throw new BackupError(
        'target',
        `${to}${suffix} belongs to another file of that name and would damage the copy; ` +
          'stop the service on that file, and move it away together with the files beside it',
      );
    }
  }
}

function isSameFile(from: string, to: string): boolean {
  if (!existsSync(to)) return false;
  const [a, b] = [statSync(from), statSync(to)];
  return a.dev === b.dev && a.ino === b.ino;
}

/** Gives the finished copy its name in one step. Returns its size in bytes. */
export function nameCopy(partial: string, to: string, replace: boolean): number {
  try {
    const bytes = finish(partial);
    if (replace) replaceFile(partial, to);
    else nameFile(partial, to);
    sync(dirname(to));
    return bytes;
  } catch (error) {
    throw error instanceof BackupError
      ? error
      : copyError(error, { from: to, folder: dirname(to), bytes: 0 });
  }
}

/** Makes the copy a single file, which needs no other even to be read, and syncs it. Returns its size in bytes. */
function finish(partial: string): number {
  const db = new DatabaseSync(partial);
  try {
    // In WAL mode it could not be opened on a read-only disk. The service sets that mode again when it starts.
    markCopy(db);
    db.exec('PRAGMA journal_mode = DELETE');
  } finally {
    db.close();
  }
  sync(partial);
  return statSync(partial).size;
}

function replaceFile(partial: string, to: string): void {
  let lock: FileLock | undefined;
  try {
    // A service with the old file open would keep writing to the nameless file and lose what it acknowledges.
    if (existsSync(`${to}-lock`)) lock = FileLock.take(to);
  } catch (cause) {
    throw new BackupError('target', messageOf(cause), { cause });
  }
  try {
    renameSync(partial, to);
  } finally {
    lock?.release();
  }
}

/** A link, unlike a rename, does not overwrite a file that was created in the meantime. */
function nameFile(partial: string, to: string): void {
  try {
    linkSync(partial, to);
  } catch (cause) {
    if (existsSync(to)) {
      throw new BackupError(
        'target',
        `${to} was created in the meantime; choose another name, or use --replace`,
        {
          cause,
        },
      );
    }
    // Not every file system supports hard links.
    renameSync(partial, to);
  }
}
