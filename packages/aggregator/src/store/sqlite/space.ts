import type { OpenFile } from './open-file.ts';

/** Pages given back in one transaction, a few milliseconds of work. */
const STEP_PAGES = 64;

/** The pause between two of these, milliseconds: commits come in between. */
const PAUSE_MS = 25;

/** How often the file is looked at while nothing is given back, milliseconds. */
const LOOK_MS = 1000;

/** So many free pages stay, of so many in all: the next events go there, and a file under a policy keeps its size. */
const FREE_SHARE = 1 / 16;
const FREE_PAGES_MIN = 2048;

/**
 * Gives free pages back to the disk, in the writer's thread, whether or not somebody publishes: the last pages of the file move
 * into free ones, some in each transaction, and the file ends earlier (docs/adr/0016-letting-go.md). A file of an older
 * version cannot move pages: its free pages are used again, but its size stays.
 */
export class Space {
  readonly #file: OpenFile;
  readonly #canShrink: boolean;
  #timer: NodeJS.Timeout | null = null;

  constructor(file: OpenFile) {
    this.#file = file;
    this.#canShrink = this.#pragma('auto_vacuum') === INCREMENTAL;
    this.#later(LOOK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Gives some pages back if too many are free. Returns whether it did. */
  giveBackSome(): boolean {
    const free = this.#pragma('freelist_count');
    if (free <= FREE_PAGES_MIN || free <= this.#pragma('page_count') * FREE_SHARE) return false;
    this.#file.appender.transaction(() => this.#file.db.exec(`PRAGMA incremental_vacuum(${STEP_PAGES})`));
    return true;
  }

  #later(ms: number): void {
    if (this.#canShrink) this.#timer = setTimeout(() => this.#work(), ms);
  }

  #work(): void {
    let isMore = false;
    try {
      isMore = !this.#file.appender.hasStopped && this.giveBackSome();
    } catch {
      // What the transaction met stops the writer or blocks appends, too, and they tell it.
    }
    this.#later(isMore ? PAUSE_MS : LOOK_MS);
  }

  #pragma(name: 'auto_vacuum' | 'freelist_count' | 'page_count'): number {
    return Number(this.#file.db.prepare(`PRAGMA ${name}`).get()![name]);
  }
}

/** Of `PRAGMA auto_vacuum`. */
const INCREMENTAL = 2;
