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
import type { Findings } from '../../findings.ts';
import type { FromVerifyThread } from './verify-thread.ts';

export interface BackupOptions {
  /** The file to copy; a service may be writing it. */
  readonly from: string;
  /** Where the copy goes; its folder must exist. */
  readonly to: string;
  /** Whether to replace an existing file. */
  readonly replace?: boolean;
  /** Whether to verify the copy before it gets its name; true by default. */
  readonly verify?: boolean;
  /** Called with the progress of a step: `copying` in bytes, `verifying` in events. */
  readonly progress?: (step: 'copying' | 'verifying', done: number, total: number) => void;
  /** Aborting it ends the work within a step and leaves nothing behind. */
  readonly signal?: AbortSignal;
  /** Pages copied at once; tests use fewer. */
  readonly stepPages?: number;
}

/** A finished copy. */
export interface Backup {
  readonly bytes: number;
  readonly events: number;
  /** The offset of the newest event in the copy. Events acknowledged with higher offsets are not in it. */
  readonly lastOffset: number;
  /**
   * The time of the last commit in the copy by the clock of the service that made it, milliseconds since 1970; null if there
   * was none. Whatever the copy lacks was committed then or later, whether the file was in use or is itself a copy. The
   * time of the copying would promise too much: it says nothing about the file.
   */
  readonly lastCommitMs: number | null;
  /** How long the copying kept the source's WAL from being reused, milliseconds. */
  readonly copyMs: number;
}

/**
 * Pages per step: 8 MiB, synced before the next step. So the disk never has much left to write when a publish needs its
 * own sync. Without this the slowest answers during a copy took two to three times as long.
 */
const STEP_PAGES = 2048;

/**
 * Copies one state of the file, whether or not a service is writing to it, and resolves when the copy is on disk under
 * its name. Until then it has a temporary name in the same folder, so a file with the final name is always complete.
 *
 * The state is that of one read transaction, held while pages are copied. Thanks to it SQLite copies each page once;
 * without it every commit of the service would restart the copy. The service keeps appending to its WAL, and cannot
 * reuse the beginning of it until the copy is done. The file itself is not changed.
 *
 * Rejects with a BackupError, or with the signal's reason if that is aborted, and leaves nothing behind.
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
    const { received, accepted, lastOffset, lastMs } = readAnyLedger(source);
    const fixedMs = Date.now();
    const pageBytes = Number(source.prepare('PRAGMA page_size').get()!['page_size']);
    bytes = pageBytes * Number(source.prepare('PRAGMA page_count').get()!['page_count']);
    // The copy must not be readable by anyone who cannot read the file.
    const file = (partialFile = openSync(partial, 'wx+', statSync(from).mode & 0o777));
    await copyPages(source, partial, {
      rate: stepPages,
      progress: ({ totalPages, remainingPages }) => {
        signal?.throwIfAborted();
        fdatasyncSync(file);
        progress?.('copying', (totalPages - remainingPages) * pageBytes, bytes);
      },
    });
    const lastCommitMs = received === 0 ? null : lastMs;
    return { events: accepted, lastOffset, lastCommitMs, copyMs: Date.now() - fixedMs };
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

/** Verifies the copy in a thread, so that a signal can stop it and the progress can be shown. */
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
  worker.on('exit', () => reject(new Error('the verifying thread ended without an answer')));
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop);
  try {
    const { problems, problemsFound } = await promise;
    if (problemsFound === 0) return;
    const message =
      `the copy has ${problemsFound} problems and was deleted; most likely the file itself is damaged: ` +
      'stop the service on it and run verify (--no-verify copies it anyway)';
    throw new BackupError('unsound', message, { problems });
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}
