import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { own } from './lifetime.ts';
import { COMPILE_CACHE } from './repository.ts';

/** How a process ended: with an exit code, or killed by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  readonly cwd: string;
  /** The whole environment: of the developer's own, only the search path reaches the program. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Gets every whole line of stdout. */
  readonly onLine?: (line: string) => void;
  /** Its stderr is also shown on ours. */
  readonly showsErrors?: boolean;
}

/**
 * A process that a test or a tool started. Whoever starts it ends it with `kill`; if it still runs when the test run or
 * tool ends, by a signal or otherwise, it is killed as well.
 */
export class Program {
  stdout = '';
  stderr = '';
  /** Resolves after the process has ended and all its output was read. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #name: string;

  constructor(command: readonly string[], { cwd, env = {}, onLine, showsErrors = false }: ProgramOptions) {
    const [file, ...args] = command;
    this.#name = args.find((arg) => /\.[jt]s$/.test(arg)) ?? file!;
    const child = spawn(file!, args, {
      cwd,
      env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    own(child);
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      if (onLine === undefined) return;
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      if (showsErrors) process.stderr.write(text);
    });
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    // Whoever waits gets the error; a test that has ended must not fail because of it.
    this.exited.catch(() => {});
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits for its end; rejects, with its output, if it still runs after `withinMs`. */
  async exit(withinMs: number): Promise<Exit> {
    const late = new AbortController();
    const tooLate = sleep(withinMs, undefined, { signal: late.signal }).then(() => {
      throw new Error(`${this.#name} still runs after ${withinMs} ms\n${this.printed()}`);
    });
    try {
      return await Promise.race([this.exited, tooLate]);
    } finally {
      late.abort();
      tooLate.catch(() => {});
    }
  }

  /** Ends it like a crash: no handler runs, nothing is flushed. Returns after its end. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exit(30_000);
  }

  /** The end of its output, for the message of a failure. */
  printed(): string {
    return `stdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`;
  }
}

/** Repeats the probe until it returns true; on time-out rejects with a message that says what was awaited. */
export async function until(
  what: () => string,
  probe: () => boolean | Promise<boolean>,
  withinMs = 60_000,
): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await probe())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${withinMs} ms: ${what()}`);
    await sleep(10);
  }
}
