import { closeSync, openSync } from 'node:fs';
import type { StatementSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { StoreError } from '../../event-store.ts';
import { FileOrDiskFault, writeErrorOf } from '../file/errors.ts';
import { sync } from '../file/sync.ts';
import { messageOf } from '../../errors.ts';
import type { OpenFile } from '../open-file.ts';
import type { Folded, FoldingCall, FoldingData } from './calls.ts';
import type { Tell } from '../../tell.ts';

/** Bounds on the log, in pages. Tests reduce them. */
export interface FoldingShape {
  /** At this length the other thread folds the log. */
  readonly pages: number;
  /** The most that the writer folds itself, a few milliseconds of work. */
  readonly restPages: number;
  /** If the log could not restart, this much is written before the next attempt. */
  readonly againPages: number;
  /** At this length the writer folds whatever the other thread has left. */
  readonly overduePages: number;
  /** However short it is, the log is folded this many milliseconds after the last time. */
  readonly everyMs: number;
  /** The program of the other thread. */
  readonly program: URL;
}

export const FOLDING_SHAPE: FoldingShape = {
  pages: 1000,
  restPages: 256,
  againPages: 256,
  overduePages: 8000,
  everyMs: 10_000,
  program: new URL('../../../start.js', import.meta.url),
};

const DIED = 'the thread that checkpoints the log died; another one is started when it is needed';

/**
 * Keeps the write-ahead log short without making a commit wait for the file: a commit is writes and one sync of the
 * log. Lives in the writer's thread. Another thread, started when it is first needed, folds (checkpoints) the log into
 * the file and syncs the file (folding-thread.ts).
 *
 * The log restarts only when all of it is in the file, and while the writer continues, the other thread is always a few
 * pages behind. So when that is done, the writer folds the rest itself, between two commits: little, because everything
 * else is in the file and synced. The next commit then restarts the log, unless somebody still reads from it (a backup, a
 * long read); then the log grows, and the attempt is repeated now and then.
 *
 * If folding fails, the writer stops, because it would fill the disk with a log that nobody can fold. Lack of space is
 * retried. If the other thread dies, another one is started when needed; as long as none runs, the writer folds
 * everything itself, late but in time.
 */
export class Folding {
  readonly #file: OpenFile;
  readonly #tell: Tell;
  readonly #shape: FoldingShape;
  readonly #look: StatementSync;
  readonly #empty: StatementSync;
  readonly #timer: NodeJS.Timeout;
  #thread: Worker | null = null;
  /** A descriptor of the file, for the other thread to sync; see `release`. */
  #fd: number | null = null;
  #isFolding = false;
  /** Whether the last thread died, and this was logged. */
  #isTold = false;
  #isLeaving = false;
  /** The last known length of the log, and the length at which it is folded next. In pages. */
  #pages = 0;
  #foldAt: number;
  #foldedMs = performance.now();

  constructor(file: OpenFile, tell: Tell, shape = FOLDING_SHAPE) {
    this.#file = file;
    this.#tell = tell;
    this.#shape = shape;
    this.#foldAt = shape.pages;
    file.db.exec('PRAGMA wal_autocheckpoint = 0');
    // Takes no lock and folds nothing; about 2 µs.
    this.#empty = file.db.prepare('PRAGMA wal_checkpoint(TRUNCATE)');
    this.#look = file.db.prepare('PRAGMA wal_checkpoint(NOOP)');
    file.appender.whenCommitted(() => this.#committed());
    this.#timer = setInterval(() => this.#timePassed(), shape.everyMs);
  }

  /** Ends the other thread. Call it before the file is closed: the last connection to close folds the whole log. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    clearInterval(this.#timer);
    if (this.#thread === null) return;
    const ended = new Promise((resolve) => this.#thread!.once('exit', resolve));
    this.#thread.postMessage({ name: 'leave' } satisfies FoldingCall, []);
    await ended;
  }

  /**
   * Call it after the file is closed, not earlier: a process that closes any descriptor of a file loses all its locks on
   * the file. https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
   */
  release(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  /**
   * Folds all of the log into the file and empties it, for erasure: what the log holds of a text is gone then, also after a power
   * loss. Returns false if somebody still reads from it.
   */
  foldAll(): boolean {
    try {
      // Without waiting: the caller tries again, and appends come in between.
      this.#file.db.exec('PRAGMA busy_timeout = 0');
      const { busy } = this.#empty.get() as { busy: number };
      if (busy !== 0) return false;
      // SQLite cuts the log off without a sync, and until there is one a power loss may bring back all that it held.
      sync(`${this.#file.db.location()!}-wal`);
      return true;
    } catch (cause) {
      const error = writeErrorOf(cause);
      if (error.code === 'blocked') return false;
      this.#failed(error);
      throw error;
    } finally {
      this.#file.db.exec('PRAGMA busy_timeout = 5000');
    }
  }

  #committed(): void {
    const { pages } = this.#log();
    if (pages < this.#pages) this.#foldAt = this.#shape.pages;
    this.#pages = pages;
    if (pages >= this.#foldAt) this.#ask();
  }

  #timePassed(): void {
    const { rest } = this.#log();
    const isLate = performance.now() > this.#foldedMs + this.#shape.everyMs / 2;
    if (rest === 0 || !isLate) return;
    if (rest <= this.#shape.restPages) this.#foldHere();
    else this.#ask();
  }

  #ask(): void {
    if (this.#isFolding || this.#isLeaving || this.#file.appender.hasStopped) return;
    this.#isFolding = true;
    try {
      this.#thread ??= this.#start();
    } catch (cause) {
      this.#died(messageOf(cause));
      return;
    }
    this.#thread.postMessage({ name: 'fold' } satisfies FoldingCall, []);
  }

  #start(): Worker {
    const path = this.#file.db.location()!;
    this.#fd ??= openSync(path, 'r+');
    const thread = new Worker(this.#shape.program, {
      name: 'store-folder',
      workerData: {
        role: 'folder',
        path,
        fd: this.#fd,
        restPages: this.#shape.restPages,
      } satisfies FoldingData,
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    let why = 'it ended';
    thread.on('message', (folded: Folded) => this.#folded(folded));
    thread.on('error', (error) => (why = messageOf(error)));
    thread.on('exit', () => this.#died(why));
    return thread;
  }

  #folded({ error }: Folded): void {
    this.#isTold = false;
    if (error !== null) {
      const cause = error.isOfFileOrDisk ? new FileOrDiskFault(error.message) : undefined;
      this.#failed(new StoreError(error.code, error.message, { cause }));
    }
    this.#ended();
  }

  #failed(error: StoreError): void {
    // Lack of space is retried; the appends report it once the log itself finds none.
    if (error.code === 'failed') this.#file.appender.stop(error);
  }

  #died(why: string): void {
    this.#thread = null;
    if (this.#isLeaving) return;
    if (!this.#isTold) this.#tell({ err: why }, DIED, 'error');
    this.#isTold = true;
    this.#ended();
  }

  /** Called when the other thread has folded what it could. */
  #ended(): void {
    this.#isFolding = false;
    const { pages, rest } = this.#log();
    const { restPages, overduePages, againPages } = this.#shape;
    if (rest > 0 && (rest <= restPages || pages >= overduePages)) this.#foldHere();
    this.#foldedMs = performance.now();
    this.#foldAt = pages + againPages;
  }

  #foldHere(): void {
    this.#file.appender.foldLog();
    this.#foldedMs = performance.now();
  }

  /** The length of the log, and how much of it is not in the file yet. In pages. */
  #log(): { pages: number; rest: number } {
    try {
      const { log, checkpointed } = this.#look.get() as { log: number; checkpointed: number };
      return { pages: log, rest: log - checkpointed };
    } catch (cause) {
      this.#failed(writeErrorOf(cause));
      return { pages: this.#pages, rest: 0 };
    }
  }
}
