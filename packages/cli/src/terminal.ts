import { once } from 'node:events';
import { clearScreenDown, moveCursor } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';
import { Stopped } from '@chronicleweaver/terminal';

type OnInterrupt = (interrupt: (exitCode: number) => void) => void;

type Stdout = Writable & { isTTY?: boolean };

type Style = Parameters<typeof styleText>[0];

/**
 * Where a command reads and writes. What it prints for others goes to stdout, in which a pipe may end at any moment;
 * what it says about its work goes to stderr. Colours are there where stdout is a terminal and nobody has set NO_COLOR.
 */
export class Terminal {
  readonly stdin: Readable;
  readonly stderr: Writable;
  readonly #stdout: Stdout;
  readonly #stop = new AbortController();
  readonly #onInterrupt: OnInterrupt;
  #isListening = false;
  #redrawn = 0;

  /** @param onInterrupt asked, once a command can be interrupted, to say when it is */
  constructor(streams: { stdin: Readable; stdout: Stdout; stderr: Writable }, onInterrupt: OnInterrupt) {
    this.#onInterrupt = onInterrupt;
    this.stdin = streams.stdin;
    this.stderr = streams.stderr;
    this.#stdout = streams.stdout;
    // `chronicleweaver events | head -1`: that nobody reads on is the way it is meant.
    this.#stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#stop.abort(error.code === 'EPIPE' ? new Stopped(0) : error);
    });
  }

  /** Fires, with a Stopped, when the user interrupts or nobody reads stdout any more. */
  get signal(): AbortSignal {
    if (!this.#isListening) {
      this.#isListening = true;
      this.#onInterrupt((exitCode) => this.#stop.abort(new Stopped(exitCode)));
    }
    return this.#stop.signal;
  }

  /** What to say of an error: of one that only tells of the signal, why it has fired. */
  causeOf(error: unknown): unknown {
    if (error instanceof Stopped || !this.#stop.signal.aborted) return error;
    return this.#stop.signal.reason;
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** Writes a line to stdout and waits where it is full. @throws Stopped where nobody reads it */
  async line(text: string): Promise<void> {
    this.write(`${text}\n`);
    await this.drained();
  }

  /** Writes and does not wait: only for what is bounded some other way. */
  write(text: string): void {
    this.#stdout.write(text);
  }

  /** Resolves when stdout takes more. @throws Stopped where nobody reads it */
  async drained(): Promise<void> {
    this.#stop.signal.throwIfAborted();
    if (this.#stdout.writableNeedDrain) await once(this.#stdout, 'drain', { signal: this.#stop.signal });
  }

  async lines(lines: readonly string[]): Promise<void> {
    for (const line of lines) await this.line(line);
  }

  /** Writes the lines in the place of those that were written so before. */
  async redraw(lines: readonly string[]): Promise<void> {
    if (this.#redrawn > 0) {
      moveCursor(this.#stdout, 0, -this.#redrawn);
      clearScreenDown(this.#stdout);
    }
    this.#redrawn = lines.length;
    await this.lines(lines);
  }

  /** Says something about the work. */
  note(text: string): void {
    this.stderr.write(`${text}\n`);
  }

  style(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#stdout });
  }
}

/**
 * Text of others, made harmless: what would move the cursor, change colours or turn the direction of writing stands as
 * its escape.
 */
export function harmless(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Rows as columns, each as wide as its widest cell; numbers, told by their type, stand to the right. */
export function columns(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (widths, row) => row.map((cell, i) => Math.max(widths[i] ?? 0, String(cell).length)),
    [],
  );
  return rows.map((row) =>
    row
      .map((cell, i) =>
        typeof cell === 'number' ? String(cell).padStart(widths[i]!) : cell.padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
