import type { Logger } from 'pino';
import { shortened } from '../../event/json-scanner.ts';
import type { Refusal } from '../../sources/source.ts';

/** Between two lines about the same, milliseconds: anybody may send what is refused, and the log must not grow with it. */
const EVERY_MS = 10_000;

/** What is remembered at most; then all of it is forgotten. */
const KNOWN_MAX = 4096;

/**
 * Tells the operator why deliveries are refused, which their senders are not told. In: each refusal. Out: a line for the first of
 * its source and reason, and then at most one in ten seconds, with the number of those in between.
 */
export class RefusalLog {
  readonly #log: Logger;
  readonly #told = new Map<string, { atMs: number; since: number }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param kind of the source; those that there are not count as one */
  note(name: string, kind: string, { code, message }: Refusal): void {
    const subject = kind === 'unknown' ? kind : `${name} ${code}`;
    const now = performance.now();
    const told = this.#told.get(subject);
    if (told !== undefined && now - told.atMs < EVERY_MS) {
      told.since += 1;
      return;
    }
    if (told === undefined && this.#told.size >= KNOWN_MAX) this.#told.clear();
    this.#told.set(subject, { atMs: now, since: 0 });
    const more = told !== undefined && told.since > 0 ? { untold: told.since } : {};
    this.#log.warn(
      { source: shortened(name), kind, reason: code, ...more },
      `a delivery was refused: ${message}`,
    );
  }
}
