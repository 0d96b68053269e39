import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { markCopy } from '../file/epochs.ts';
import { messageOf } from '../file/errors.ts';
import { FileLock } from '../file/lock.ts';
import { BackupError, copyError } from './backup-error.ts';

/** What SQLite and the service put beside a file. */
export const BESIDE = ['-wal', '-shm', '-journal', '-lock'];

/** Both without symbolic links: SQLite keeps its log beside the file itself. */
export function placesOf(options: { readonly from: string; readonly to: string }): {
  from: string;
  to: string;
} {
  if (!existsSync(options.from)) throw new BackupError('source', `there is no file ${options.from}`);
  const to = resolve(options.to);
  const folder = dirname(to);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new BackupError('target', `there is no folder ${folder}; make it first`);
  }
  const real = existsSync(to) ? realpathSync(to) : join(realpathSync(folder), basename(to));
  return { from: realpathSync(options.from), to: real };
}

/** Throws a BackupError where a copy at `to` would harm something. */
export function refuseTarget(from: string, to: string, replace: boolean): void {
  if ([from, ...BESIDE.map((suffix) => from + suffix)].includes(to) || isSameFile(from, to)) {
    throw new BackupError('target', `${to} belongs to the file that is to be copied; name another`);
  }
  if (existsSync(to)) {
    if (statSync(to).isDirectory()) {
      throw new BackupError(
        'target',
        `${to} is a folder; name a file in it, such as ${to}/${basename(from)}`,
      );
    }
    if (!replace) throw new BackupError('target', `${to} is there already; name another, or say --replace`);
  }
  for (const suffix of ['-wal', '-shm', '-journal']) {
    // SQLite would take it for this file's, and write the pages of another into it.
    if (existsSync(to + suffix)) {
      throw new BackupError(
        'target',
        `${to}${suffix} belongs to another file of that name and would damage the copy; ` +
          'stop the service on it, and move the file away with all that stands beside it',
      );
    }
  }
}

function isSameFile(from: string, to: string): boolean {
  if (!existsSync(to)) return false;
  const [a, b] = [statSync(from), statSync(to)];
  return a.dev === b.dev && a.ino === b.ino;
}

/** Gives the copy its name, whole or not at all. Returns its bytes. */
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

/** Makes the copy one file that needs nothing beside it, not even to be read, and syncs it. Returns its bytes. */
function finish(partial: string): number {
  const db = new DatabaseSync(partial);
  try {
    // In WAL mode it could not be opened on a disk that is mounted read-only; the service's own start sets it again.
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
    // A service that has the old file open would go on writing it, nameless, and lose what it acknowledges.
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

/** Unlike a rename, a link does not go over a file that came there meanwhile. */
function nameFile(partial: string, to: string): void {
  try {
    linkSync(partial, to);
  } catch (cause) {
    if (existsSync(to)) {
      throw new BackupError('target', `${to} came there meanwhile; name another, or say --replace`, {
        cause,
      });
    }
    // Not every file system knows links.
    renameSync(partial, to);
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
