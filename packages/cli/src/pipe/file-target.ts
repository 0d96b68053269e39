import { EventFiles, type Rotation } from './event-files.ts';
import { type Hindrance, type Note, type PipedEvent, type Target, unhindered } from './target.ts';

/** No room is left, for now. */
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** A longer timer would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Appends to files. It ends a file in time also if nothing comes. */
export class FileTarget implements Target {
  /** A file takes whatever it has room for. */
  readonly takesRepeatsAlone = false;
  readonly #files: EventFiles;
  readonly #periodMs: number;
  readonly #note: Note;
  readonly #fail: (error: unknown) => void;
  /** What is under way; appends and rotations take turns. */
  #turn: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(files: EventFiles, periodMs: number, note: Note, fail: (error: unknown) => void) {
    this.#files = files;
    this.#periodMs = periodMs;
    this.#note = note;
    this.#fail = fail;
    this.#rotateInTime();
  }

  /** @param fail is told what goes wrong while nobody waits */
  static async open(
    path: string,
    rotation: Rotation,
    note: Note,
    fail: (error: unknown) => void,
  ): Promise<FileTarget> {
    return new FileTarget(await EventFiles.open(path, rotation, note), rotation.periodMs, note, fail);
  }

  take(events: readonly PipedEvent[], ended: AbortSignal): Promise<void> {
    return unhindered(() => this.#inTurn(() => this.#append(events)), ended, this.#note);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#inTurn(() => this.#files.close());
  }

  async #append(events: readonly PipedEvent[]): Promise<Hindrance | undefined> {
    try {
      await this.#files.append(events);
      return undefined;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === undefined || !NO_ROOM.has(code)) throw error;
      return { reason: message };
    }
  }

  #rotateInTime(): void {
    // A rotation was under way then: another pipe may have the file by now.
    if (this.#isClosed) return;
    const ms = this.#periodMs - (Date.now() % this.#periodMs);
    this.#timer = setTimeout(
      () => {
        this.#inTurn(() => this.#files.rotateIfDue()).then(() => this.#rotateInTime(), this.#fail);
      },
      Math.min(ms, TIMER_MS_MAX),
    ).unref();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}
