import type { Terminal } from '../terminal.ts';
import { type PipedEvent, Refused, type Target, linesOf } from './target.ts';

/** How long a reader that takes nothing may hold up a pipe that is to stop. */
const STOP_MS = 5000;

/** Writes to standard output. What a reader does with lines that are in its pipe, nobody can know. */
export class StdoutTarget implements Target {
  readonly takesRepeatsAlone = false;
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async take(events: readonly PipedEvent[], ended: AbortSignal): Promise<void> {
    const over = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const startTimer = (): void => {
        timer = setTimeout(() => reject(new Refused('nobody reads the output')), STOP_MS);
      };
      if (ended.aborted) startTimer();
      else ended.addEventListener('abort', startTimer, { signal: over.signal });
    });
    try {
      await Promise.race([this.#terminal.settled(linesOf(events)), tooLate]);
    } finally {
      over.abort();
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {}
}
