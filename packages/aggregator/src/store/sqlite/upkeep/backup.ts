import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type DatabaseSync, backup as copyPages } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { StoreError } from '../../event-store.ts';
import { openForCopying } from '../file/database.ts';
import { longNameFault } from '../file/place.ts';
import { readAnyLedger } from '../file/ledger.ts';
import { BackupError, copyError } from './backup-error.ts';
import { BESIDE, nameCopy, placesOf, refuseTarget } from './backup-place.ts';
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
 * Pages a step, 8 MiB of them, each synced before the next: what the disk has still to write when a publish wants its
 * own sync stays small. Without it the slowest answers during a copy took two to three times as long.
 */
const STEP_PAGES = 2048;

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
    const bytes = nameCopy(partial, to, options.replace === true);
    return { ...copied, bytes };
  } finally {
    for (const suffix of ['', ...BESIDE]) rmSync(partial + suffix, { force: true });
  }
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
    const { accepted, lastOffset } = readAnyLedger(source);
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
