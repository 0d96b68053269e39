import type { OpenFile } from '../open-file.ts';
import type { Tell } from './calls.ts';

/** How long nothing must be appended before the writer works on its own, milliseconds. */
const IDLE_MS = 100;

/** Keys' worth of sealing and merging in one idle transaction: some milliseconds. */
const KEYS_WORTH = 4096;

/** Bytes of text worth of merging blocks in one idle transaction: some milliseconds. */
const BYTES_WORTH = 512 * 1024;

/** How often it is seen whether the log can be folded back into the file, milliseconds. */
const FOLD_EVERY_MS = 10_000;

/**
 * What the writer does when nobody publishes: merges the tail of the log and goes on with the index, a small
 * transaction at a time, so that an append that comes meanwhile waits a few milliseconds at most. And, whether or not
 * somebody publishes, it sees now and then that the disk still takes what the log holds.
 */
export class Background {
  readonly #file: OpenFile;
  readonly #tell: Tell;
  #timer: NodeJS.Timeout | null = null;
  readonly #foldTimer: NodeJS.Timeout;
  /** Whether something was written since the log was folded. */
  #isWritten = false;
  /** Whether the last work failed, and the log says so. */
  #isTold = false;

  constructor(file: OpenFile, tell: Tell) {
    this.#file = file;
    this.#tell = tell;
    this.#foldTimer = setInterval(() => this.#fold(), FOLD_EVERY_MS);
    this.later();
  }

  /** Something is being appended: not now. */
  later(): void {
    this.#isWritten = true;
    if (this.#timer === null) this.#timer = setTimeout(() => this.#work(), IDLE_MS);
    else this.#timer.refresh();
  }

  stop(): void {
    clearInterval(this.#foldTimer);
    this.#rest();
  }

  #rest(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #fold(): void {
    if (!this.#isWritten) return;
    this.#isWritten = false;
    this.#file.appender.foldLog();
  }

  #work(): void {
    const { appender, index, log } = this.#file;
    this.#rest();
    if (!log.isMergeable && !index.isBusy) return;
    try {
      appender.transaction(() => {
        if (log.isMergeable) log.mergeSome(BYTES_WORTH);
        else index.step(KEYS_WORTH);
      });
    } catch (error) {
      // The next append says the same to whoever publishes; without one, the log is where it shows.
      if (!this.#isTold) this.#tell({ err: String(error) }, 'background work on the store failed', 'error');
      this.#isTold = true;
      return;
    }
    this.#isTold = false;
    this.#timer = setTimeout(() => this.#work(), 0);
  }
}
