import { writeSync } from 'node:fs';
import { type Logger, type SerializedError, pino, stdSerializers } from 'pino';

const STDOUT = 1;

/** How long one line waits for a slow reader, milliseconds. */
const WAIT_MS_MAX = 100;

/**
 * The log, on standard output. A line that cannot be written is dropped, and the next one that can be is preceded by a
 * count of the dropped ones: a service must not stop, wait or end because its log's disk is full or its reader is gone.
 * pino's own destination does all three.
 *
 * @param toText what is written of a line of JSON: the line itself, or something for a person
 */
export function createLog(level: string, toText = (line: string): string => line): Logger {
  const lines = new LogLines(writeSync);
  const log: Logger = pino(
    { level, serializers: { err: errorFields } },
    { write: (line) => lines.write(toText(line)) },
  );
  lines.onRecovery((dropped) =>
    log.warn({ dropped }, 'lines of the log could not be written and were dropped'),
  );
  return log;
}

/**
 * An error as pino tells it, with stacks, codes and causes, but without the message of a cause that stands in the error's own
 * already: pino appends it in any case.
 */
export function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const fields: SerializedError = stdSerializers.err(error);
  let message = inOneLine(error);
  const told = new Set<unknown>([error]);
  for (let { cause } = error; cause instanceof Error && !told.has(cause); cause = cause.cause) {
    told.add(cause);
    if (!message.includes(inOneLine(cause))) message += `: ${inOneLine(cause)}`;
  }
  fields.message = message;
  return fields;
}

function inOneLine({ message }: Error): string {
  return message.replaceAll(/\s+/g, ' ');
}

type Write = (fd: number, bytes: Uint8Array) => number;

/** Writes lines to standard output, whole or not at all. */
export class LogLines {
  readonly #write: Write;
  #dropped = 0;
  /** The rest of a line that was partly written, to be completed before the next one. */
  #rest: Uint8Array | null = null;
  #recovered: (dropped: number) => void = () => {};

  constructor(write: Write) {
    this.#write = write;
  }

  /** Calls back with the number of dropped lines before the first one that can be written again. */
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
      // The callback logs through here, and its line may be dropped, too.
      this.#recovered(dropped);
      if (this.#dropped > 0) this.#dropped += dropped - 1;
    }
    if (!this.#put(Buffer.from(line)) && this.#rest === null) this.#dropped += 1;
  }

  /** Writes the bytes; if only some could be written, keeps the rest for later. Returns whether all were written. */
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
        // Wait for the pipe's reader. This is the only way to wait without returning to the event loop.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
    this.#rest = null;
    return true;
  }
}
