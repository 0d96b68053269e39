import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

const STDOUT = 1;

/** How long one line waits for a reader that is slow to take it, milliseconds. */
const WAIT_MS_MAX = 100;

/**
 * The log, on standard output. A line that cannot be written is dropped, and the next one that can is preceded by one that
 * tells how many were: a service must not stop, wait or end because the disk of its log is full or the log's reader is gone.
 * pino's own destination does all three.
 */
export function createLog(level: string): Logger {
  const lines = new LogLines(writeSync);
  const log: Logger = pino({ level }, { write: (line) => lines.write(line) });
  lines.onRecovery((dropped) =>
    log.warn({ dropped }, 'lines of the log could not be written and were dropped'),
  );
  return log;
}

type Write = (fd: number, bytes: Uint8Array) => number;

/** Lines on standard output, or none. */
export class LogLines {
  readonly #write: Write;
  #dropped = 0;
  /** What of a line is still to be written, so that the next one begins on a line of its own. */
  #rest: Uint8Array | null = null;
  #recovered: (dropped: number) => void = () => {};

  constructor(write: Write) {
    this.#write = write;
  }

  /** Called before the first line that can be written again, with how many could not. */
  onRecovery(recovered: (dropped: number) => void): void {
    this.#recovered = recovered;
  }

  write(line: string): void {
    if (this.#rest !== null && !this.#put(this.#rest)) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      // It comes back here, and may itself be dropped.
      this.#recovered(dropped);
      if (this.#dropped > 0) this.#dropped += dropped - 1;
    }
    if (!this.#put(Buffer.from(line)) && this.#rest === null) this.#dropped += 1;
  }

  /** Writes all of it, or keeps what is left of it once some of it was written; says whether all was. */
  #put(bytes: Uint8Array): boolean {
    const untilMs = performance.now() + WAIT_MS_MAX;
    let left = bytes;
    while (left.length > 0) {
      try {
        left = left.subarray(this.#write(STDOUT, left));
      } catch (error) {
        const isBusy = (error as NodeJS.ErrnoException).code === 'EAGAIN' && performance.now() < untilMs;
        if (!isBusy) {
          this.#rest = left.length < bytes.length || this.#rest !== null ? left : null;
          return false;
        }
        // Until a pipe is read from: this is the only way to wait without a turn of the loop.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
    this.#rest = null;
    return true;
  }
}
