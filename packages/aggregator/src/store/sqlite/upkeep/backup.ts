import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DatabaseSync, backup as copyPages } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { StoreError } from '../../event-store.ts';
import { openForCopying } from '../file/database.ts';
import { longNameFault } from '../file/place.ts';
import { messageOf } from '../file/errors.ts';
import { markCopy } from '../file/epochs.ts';
import { readLedger } from '../file/ledger.ts';
import { FileLock } from '../file/lock.ts';
import type { Findings } from './verify.ts';
import type { FromVerifyThread } from './verify-thread.ts';

export interface BackupOptions {
  /** The file to copy; a service may be writing it. */
  readonly from: string;
  /** Where the copy goes; its folder must be there. */
  readonly to: string;
  /** Puts the copy in the place of a file that is there. */
  readonly replace?: boolean;
  /** Whether the copy is walked from end to end before it takes its name; true where nothing is said. */
  readonly verify?: boolean;
  /** Called with how far a step is: `copying` in bytes, `verifying` in events. */
  readonly progress?: (step: 'copying' | 'verifying', done: number, total: number) => void;
  /** Aborted, it ends the work within a step and leaves nothing behind. */
  readonly signal?: AbortSignal;
  /** Pages copied at once; what a test makes smaller. */
  readonly stepPages?: number;
}

/** A copy that stands where it was asked for. */
export interface Backup {
  readonly bytes: number;
  readonly events: number;
  /** The offset of the newest event in the copy: what was acknowledged behind it is not there. */
  readonly lastOffset: number;
  /** When the state was, milliseconds since 1970. */
  readonly takenMs: number;
  /** How long the copying held up the reuse of the source's WAL, milliseconds. */
  readonly copyMs: number;
}

/**
 * - `source`: there is nothing to copy, or it cannot be read.
 * - `target`: the copy cannot stand there.
 * - `unsound`: the copy was made, and something is wrong with it; `problems` says what.
 */
export class BackupError extends Error {
  readonly code: 'source' | 'target' | 'unsound';
  readonly problems: readonly string[];

  constructor(
    code: BackupError['code'],
    message: string,
    options?: ErrorOptions & { problems?: readonly string[] },
  ) {
    super(message, options);
    this.name = 'BackupError';
    this.code = code;
    this.problems = options?.problems ?? [];
  }
}

/**
 * Pages a step, 8 MiB of them, each synced before the next: what the disk has still to write when a publish wants its
 * own sync stays small. Without it the slowest answers during a copy took two to three times as long.
 */
const STEP_PAGES = 2048;

/** What SQLite and the service put beside a file. */
const BESIDE = ['-wal', '-shm', '-journal', '-lock'];

/**
 * Makes a copy of one state of the file, whether or not a service writes it meanwhile, and returns when the copy is on
 * the disk under its name. Until then it is under a name of its own beside it, so that what has the name is whole.
 *
 * The state is that of one read transaction, held while pages are copied: with it SQLite copies each page once, whereas
 * without it every commit of the service would make the copy begin anew. The service goes on writing its WAL, whose
 * beginning it can use again only after the copy. The file itself is not changed.
 *
 * Rejects with a BackupError, and leaves nothing behind; with the signal's reason where that is aborted.
 */
export async function backup(options: BackupOptions): Promise<Backup> {
  const { from, to } = placesOf(options);
  refuseTarget(from, to, options.replace === true);
  const partial = `${to}.partial-${randomBytes(4).toString('hex')}`;
  const fault = longNameFault(partial);
  if (fault !== undefined) throw new BackupError('target', fault);
  try {
    const copied = await copy(from, partial, options);
    if (options.verify !== false) await verify(partial, options);
    options.signal?.throwIfAborted();
    const bytes = named(partial, to, options.replace === true);
    return { ...copied, bytes };
  } finally {
    for (const suffix of ['', ...BESIDE]) rmSync(partial + suffix, { force: true });
  }
}

/** Both without symbolic links: SQLite keeps its log beside the file itself. */
function placesOf(options: BackupOptions): { from: string; to: string } {
  if (!existsSync(options.from)) throw new BackupError('source', `there is no file ${options.from}`);
  const to = resolve(options.to);
  const folder = dirname(to);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new BackupError('target', `there is no folder ${folder}; make it first`);
  }
  const real = existsSync(to) ? realpathSync(to) : join(realpathSync(folder), basename(to));
  return { from: realpathSync(options.from), to: real };
}

function refuseTarget(from: string, to: string, replace: boolean): void {
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

async function copy(
  from: string,
  partial: string,
  { progress, signal, stepPages = STEP_PAGES }: BackupOptions,
): Promise<Omit<Backup, 'bytes'>> {
  const source = sourceAt(from);
  let partialFile: number | null = null;
  let bytes = 0;
  try {
    // The first read fixes the state.
    source.exec('BEGIN');
    const { accepted, lastOffset } = readLedger(source);
    const takenMs = Date.now();
    const pageBytes = Number(source.prepare('PRAGMA page_size').get()!['page_size']);
    bytes = pageBytes * Number(source.prepare('PRAGMA page_count').get()!['page_count']);
    // Nobody may read the copy who may not read the file.
    const file = (partialFile = openSync(partial, 'wx+', statSync(from).mode & 0o777));
    await copyPages(source, partial, {
      rate: stepPages,
      progress: ({ totalPages, remainingPages }) => {
        signal?.throwIfAborted();
        fdatasyncSync(file);
        progress?.('copying', (totalPages - remainingPages) * pageBytes, bytes);
      },
    });
    return { events: accepted, lastOffset, takenMs, copyMs: Date.now() - takenMs };
  } catch (error) {
    signal?.throwIfAborted();
    throw copyError(error, { from, folder: dirname(partial), bytes });
  } finally {
    source.close();
    if (partialFile !== null) closeSync(partialFile);
  }
}

function sourceAt(from: string): DatabaseSync {
  try {
    return openForCopying(from);
  } catch (error) {
    if (error instanceof StoreError) throw new BackupError('source', error.message, { cause: error });
    throw error;
  }
}

/** https://sqlite.org/rescode.html */
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;

function copyError(
  error: unknown,
  { from, folder, bytes }: { from: string; folder: string; bytes: number },
): BackupError {
  const message = messageOf(error);
  const errcode = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
  if (errcode === SQLITE_CORRUPT) {
    const advice = 'stop the service on it and run verify';
    return new BackupError('source', `${from} is damaged (${message}): ${advice}`, { cause: error });
  }
  if (errcode === SQLITE_FULL) {
    return new BackupError('target', `no space is left in ${folder}: the copy needs some ${bytes} bytes`, {
      cause: error,
    });
  }
  return new BackupError('target', `cannot write the copy in ${folder}: ${message}`, { cause: error });
}

/** Walks the copy in a thread: a signal can stop it, and the progress can be shown. */
async function verify(partial: string, { progress, signal }: BackupOptions): Promise<void> {
  const worker = new Worker(new URL('./verify-thread.ts', import.meta.url), {
    workerData: { path: partial },
  });
  const { promise, resolve: found, reject } = Promise.withResolvers<Findings>();
  const stop = (): void => reject(signal?.reason as Error);
  worker.on('message', (message: FromVerifyThread) => {
    if ('findings' in message) found(message.findings);
    else progress?.('verifying', message.walked, message.total);
  });
  worker.on('error', reject);
  worker.on('exit', () => reject(new Error('the verifying thread ended without a word')));
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop);
  try {
    const { problems, problemsFound } = await promise;
    if (problemsFound === 0) return;
    const message =
      `the copy is not sound, ${problemsFound} problems, and was thrown away; most likely the file is damaged: ` +
      'stop the service on it and run verify (--no-verify copies it all the same)';
    throw new BackupError('unsound', message, { problems });
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}

/** Gives the copy its name, whole or not at all. Returns its bytes. */
function named(partial: string, to: string, replace: boolean): number {
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
