import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { damaged, messageOf } from '../../errors.ts';
import { StoreError } from '../../event-store.ts';

/** Primary result codes of SQLite, the low byte of each: https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
/** The index of the log could not grow. It is derived from the log, so only lack of space can be the reason. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** Free bytes that a start needs: the index of the log alone takes half of them. */
const START_BYTES_MIN = 64 * 1024;

export const MOVE_IT =
  'move it away, or set DEDUPLICATION_DB_PATH to another path; it was not changed; if it was a file of this program, restore a backup';

/** What an operator should do about a file or a disk that cannot be trusted. */
const MEND =
  'check the disk, check a copy of the file with npm run verify, and restore a backup if it is not sound';

/** Why a file cannot be opened, and what to do, in one line. */
export function openErrorOf(path: string, cause: unknown): StoreError {
  if (!(cause instanceof StoreError)) return new StoreError('unusable', openMessage(path, cause), { cause });
  switch (cause.code) {
    case 'damaged':
      return new StoreError('unusable', openMessage(path, cause), { cause });
    case 'blocked':
    case 'failed':
      // A transaction of the start failed. The message of its StoreError is meant for publishers, so use the cause.
      return openErrorOf(path, cause.cause);
    case 'in_doubt':
    case 'unusable':
    case 'closed':
      return cause;
  }
}

function openMessage(path: string, cause: unknown): string {
  const code = sqliteCode(cause);
  const primary = (code ?? 0) & 0xff;
  if (primary === SQLITE_FULL || (primary === SQLITE_IOERR && freeBytes(path) < START_BYTES_MIN))
    return `no space is left on the disk of ${path}: free some space and start again; nothing was changed`;
  switch (primary) {
    case SQLITE_NOTADB:
      return `${path} is not an SQLite file: ${MOVE_IT}`;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return `cannot open ${path}: user ${process.getuid?.() ?? ''} must be able to write the file and its folder`;
    case SQLITE_IOERR:
      return `the disk of ${path} fails (${messageOf(cause)}): ${MEND}`;
    case SQLITE_CORRUPT:
      return `${path} is damaged (${messageOf(cause)}): ${MEND}`;
    default:
      return cause instanceof StoreError
        ? `${path} is damaged (${cause.message}): ${MEND}`
        : `cannot open ${path}: ${messageOf(cause)}`;
  }
}

/** Why a transaction failed: `blocked` if the next one may succeed, else `failed`. */
export function writeErrorOf(cause: unknown): StoreError {
  const code = sqliteCode(cause);
  if (code !== undefined && ((code & 0xff) === SQLITE_FULL || code === SQLITE_IOERR_SHMSIZE)) {
    return noSpaceLeft(cause);
  }
  if (code !== undefined && (code & 0xff) === SQLITE_BUSY) {
    return new StoreError('blocked', `another program holds the database file: ${messageOf(cause)}`, {
      cause,
    });
  }
  const whatToDo = isOfFileOrDisk(cause)
    ? 'its log says what to do'
    : 'the disk is not at fault: restart the service, and report what its log says';
  return new StoreError('failed', `the store has stopped writing: ${messageOf(cause)}; ${whatToDo}`, {
    cause,
  });
}

/** What an operator should do once the writer has stopped for this reason. */
export function remedyFor({ cause }: StoreError): string {
  return isOfFileOrDisk(cause)
    ? MEND
    : 'a fault of the service, not of the disk: restart it, and report this line';
}

/** What another thread has said of the file or the disk. */
export class FileOrDiskFault extends Error {}

/** Whether the file or the disk cannot be trusted; else what was asked of them was wrong. */
export function isOfFileOrDisk(cause: unknown): boolean {
  // A sync of our own fails as a call to the system.
  if (cause instanceof FileOrDiskFault || (cause instanceof Error && 'syscall' in cause)) return true;
  if (cause instanceof StoreError) return cause.code === 'damaged';
  const primary = (sqliteCode(cause) ?? 0) & 0xff;
  return [SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_CANTOPEN, SQLITE_READONLY].includes(primary);
}

export function noSpaceLeft(cause?: unknown): StoreError {
  return new StoreError('blocked', 'no space is left for the database file', { cause });
}

/** Why a read failed: `blocked` if the next one may succeed, `damaged` if the disk or the file is at fault. */
export function readErrorOf(cause: unknown): unknown {
  switch ((sqliteCode(cause) ?? 0) & 0xff) {
    case SQLITE_BUSY:
      return new StoreError('blocked', `another program holds the database file: ${messageOf(cause)}`, {
        cause,
      });
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damaged(messageOf(cause), cause);
    default:
      return cause;
  }
}

/** Data that can be rebuilt from the events cannot be read. */
export function damagedIndex(what: string): StoreError {
  return new StoreError('damaged', `${what}; npm run verify -- --rebuild FILE rebuilds the key index`);
}

/** Free bytes on the disk of the file. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** Whether SQLite failed with this primary result code. */
export function isSqliteError(error: unknown, code: number): boolean {
  return ((sqliteCode(error) ?? 0) & 0xff) === code;
}

function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) : undefined;
}
