import { StoreError } from '../../event-store.ts';
import type { OpenFile } from '../open-file.ts';
import { SETTLED_AT_ONCE } from '../repeats/repeats.ts';
import type { Tell } from '../../tell.ts';

/** The writer starts background work after this many milliseconds without an append. */
const IDLE_MS = 100;

/** Keys sealed or merged in one idle transaction: a few milliseconds of work. */
const KEYS_WORTH = 4096;

/** Bytes of text merged in one idle transaction: a few milliseconds of work. */
const BYTES_WORTH = 512 * 1024;

/**
 * The writer's work while nobody publishes: it brings the rows of the books up to date, merges the tail of the log,
 * counts repeats and then continues with the index, one small transaction at a time, so that an append that arrives meanwhile waits a few
 * milliseconds at most.
 */
export class Background {
  readonly #file: OpenFile;
  readonly #tell: Tell;
  #timer: NodeJS.Timeout | null = null;
  /** Whether the last work failed, and this was logged. */
  #isTold = false;

  constructor(file: OpenFile, tell: Tell) {
    this.#file = file;
    this.#tell = tell;
    this.later();
  }

  /** An append is under way: postpones the work. */
  later(): void {
    if (this.#timer === null) this.#timer = setTimeout(() => this.#work(), IDLE_MS);
    else this.#timer.refresh();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #work(): void {
    const { appender, index, log } = this.#file;
    const { repeats } = appender;
    this.stop();
    const mustSettle = !appender.isSettled;
    if (!mustSettle && !log.isMergeable && !repeats.arePending && !index.isBusy) return;
    try {
      if (mustSettle) appender.settle();
      else if (log.isMergeable) appender.transaction(() => log.mergeSome(BYTES_WORTH));
      else if (repeats.arePending) appender.transaction(() => repeats.settleSome(SETTLED_AT_ONCE));
      else appender.transaction(() => index.step(KEYS_WORTH));
    } catch (error) {
      // Without space the rows of the books stay behind, which nobody notices: readers add what the blocks hold.
      if (mustSettle && error instanceof StoreError && error.code === 'blocked') return;
      // The next append reports the same error to its publisher; until then only the log shows it.
      if (!this.#isTold) this.#tell({ err: String(error) }, 'background work on the store failed', 'error');
      this.#isTold = true;
      return;
    }
    this.#isTold = false;
    this.#timer = setTimeout(() => this.#work(), 0);
  }
}
