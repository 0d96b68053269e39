import { once } from 'node:events';
import { fdatasyncSync, fstatSync } from 'node:fs';
import { clearScreenDown, moveCursor } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';
import { Stopped } from '@chronicleweaver/terminal';

type OnInterrupt = (interrupt: (exitCode: number) => void) => void;

type Stdin = Readable & { isTTY?: boolean };

type Stdout = Writable & { isTTY?: boolean; columns?: number; fd?: number };

type Style = Parameters<typeof styleText>[0];

type Row = readonly (string | number)[];

/**
 * Where a command reads and writes. Its output goes to stdout, a pipe that may close at any moment; messages about
 * its work go to stderr. Colours are used if stdout is a terminal and NO_COLOR is not set.
 */
export class Terminal {
  readonly stdin: Stdin;
  readonly stderr: Writable;
  readonly #stdout: Stdout;
  readonly #stop = new AbortController();
  readonly #onInterrupt: OnInterrupt;
  #isListening = false;
  #redrawn = 0;

  /** @param onInterrupt called once a command can be interrupted, with the function to call when it is */
  constructor(streams: { stdin: Stdin; stdout: Stdout; stderr: Writable }, onInterrupt: OnInterrupt) {
    this.#onInterrupt = onInterrupt;
    this.stdin = streams.stdin;
    this.stderr = streams.stderr;
    this.#stdout = streams.stdout;
    // `chronicleweaver events | head -1`: it is intended that the reader stops reading.
    this.#stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#stop.abort(error.code === 'EPIPE' ? new Stopped(0) : error);
    });
  }

  /** Aborts, with a Stopped, when the user interrupts or nobody reads stdout any more. */
  get signal(): AbortSignal {
    if (!this.#isListening) {
      this.#isListening = true;
      this.#onInterrupt((exitCode) => this.#stop.abort(new Stopped(exitCode)));
    }
    return this.#stop.signal;
  }

  /** The error to report: if the signal has fired, its reason. */
  causeOf(error: unknown): unknown {
    if (error instanceof Stopped || !this.#stop.signal.aborted) return error;
    return this.#stop.signal.reason;
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** How many characters a line of stdout holds. */
  get width(): number {
    // Some terminals say 0: they do not know.
    return this.#stdout.columns || (this.isTerminal ? 80 : Infinity);
  }

  /** Whether somebody is there to answer a question. */
  get canAsk(): boolean {
    return this.stdin.isTTY === true;
  }

  /** Writes a line to stdout and waits while it is full. @throws Stopped if nobody reads it */
  async line(text: string): Promise<void> {
    this.write(`${text}\n`);
    await this.drained();
  }

  /** Writes without waiting: only for output that is bounded in another way. */
  write(text: string): void {
    this.#stdout.write(text);
  }

  /** Resolves when stdout accepts more. @throws Stopped if nobody reads it */
  async drained(): Promise<void> {
    this.#stop.signal.throwIfAborted();
    if (this.#stdout.writableNeedDrain) await once(this.#stdout, 'drain', { signal: this.#stop.signal });
  }

  /**
   * Writes text and resolves when it needs us no more: once it is in a pipe, or on disk if stdout is a file.
   * @throws Stopped if nobody reads it
   */
  async settled(text: string): Promise<void> {
    this.#stop.signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      this.#stdout.write(text, (error) => (error ? reject(error) : resolve()));
    });
    const { fd } = this.#stdout;
    if (fd !== undefined && fstatSync(fd).isFile()) fdatasyncSync(fd);
  }

  async lines(lines: readonly string[]): Promise<void> {
    for (const line of lines) await this.line(line);
  }

  /** Writes rows in columns, under a head that stands out. */
  async table(head: readonly string[], rows: readonly Row[]): Promise<void> {
    const [title, ...lines] = columns([head, ...rows]);
    await this.line(this.style('bold', title!));
    await this.lines(lines);
  }

  /** Writes the lines in place of those from the previous call. */
  async redraw(lines: readonly string[]): Promise<void> {
    if (this.#redrawn > 0) {
      moveCursor(this.#stdout, 0, -this.#redrawn);
      clearScreenDown(this.#stdout);
    }
    this.#redrawn = lines.length;
    await this.lines(lines);
  }

  /** Writes a message about the work to stderr. */
  note(text: string): void {
    this.stderr.write(`${text}\n`);
  }

  style(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#stdout });
  }
}

/**
 * Makes foreign text harmless: escapes anything that would move the cursor, change colours or reverse the direction
 * of writing.
 */
export function harmless(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Lays rows out in columns as wide as their widest cells; numbers, recognized by their type, are aligned right. */
export function columns(rows: readonly Row[]): string[] {
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

/** `1 event`, `2 events`. */
export function eventsText(events: number): string {
  return `${events} ${events === 1 ? 'event' : 'events'}`;
}
