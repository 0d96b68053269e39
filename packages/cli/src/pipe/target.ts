import { setTimeout as sleep } from 'node:timers/promises';

/** An event on its way out. */
export interface PipedEvent {
  /** As `GET /events` gives it, digit for digit. */
  readonly text: string;
  readonly offset: number;
  /** How often it was delivered, this time included. */
  readonly delivery: number;
}

/** Where a pipe hands events over. */
export interface Target {
  /** An event that was delivered before is handed over alone, so that a bad one does not take others with it. */
  readonly takesRepeatsAlone: boolean;
  /**
   * Resolves once the events need us no more: only then are they acknowledged. Once `ended` fires no further attempt
   * begins, but one under way is finished.
   *
   * @throws Refused if it does not take these events. After any other error it takes none at all.
   */
  take(events: readonly PipedEvent[], ended: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The target does not take these events now: they are given back, and delivered again. */
export class Refused extends Error {
  override name = 'Refused';
}

/** Why an attempt failed that may be repeated, and how long to wait at least. */
export interface Hindrance {
  readonly reason: string;
  readonly waitMs?: number;
}

/** Says something about the work to whoever watches the pipe. */
export type Note = (text: string) => void;

const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 60_000;

/** Repeats the attempt until nothing hinders it. @throws Refused if `ended` fires before that */
export async function unhindered(
  attempt: () => Promise<Hindrance | undefined>,
  ended: AbortSignal,
  note: Note,
): Promise<void> {
  for (let failures = 0; ; failures++) {
    const hindrance = await attempt();
    if (hindrance === undefined) {
      if (failures > 0) note('it works again');
      return;
    }
    const { reason, waitMs = 0 } = hindrance;
    if (failures === 0) note(`${reason}; trying again until it works`);
    // A random part, so that pipes that failed together do not come back together.
    const ms = waitMs + Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** failures) * (0.5 + Math.random() / 2);
    try {
      await sleep(ms, undefined, { signal: ended });
    } catch {
      throw new Refused(reason);
    }
  }
}

/** The events as targets get them: one per line. */
export function linesOf(events: readonly PipedEvent[]): string {
  return events.map(({ text }) => `${text}\n`).join('');
}

const OFFSET = /,"offset":(\d+),"received_at":"[^"]*"\}$/;

/** The offset in the text of a stored event, or in the end of it; undefined if it is none. */
export function offsetIn(text: string): number | undefined {
  const match = OFFSET.exec(text);
  return match === null ? undefined : Number(match[1]);
}
