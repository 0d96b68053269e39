import { textIn } from '../json/fields.ts';
import { askJson } from '../service/ask.ts';
import { EventStream } from '../service/stream.ts';
import { Watched } from '../watched.ts';
import { EventWindow } from './event-window.ts';

/** What the page holds at most: the newest of these, or fewer if they are large. */
export const EVENTS_MAX = 20_000;
export const CHARS_MAX = 32 * 1024 * 1024;

/** How many events of the log come before the first new one. */
export const LAST_EVENTS = 100;
/** The time that the rate is the mean of, milliseconds. */
const RATE_MS = 2_000;

/**
 * What the page of live events shows: one stream, and the newest of what came. However many events come, the page is drawn once a
 * frame at most: frames are left out, never events.
 */
export class Following {
  readonly window = new EventWindow({ eventsMax: EVENTS_MAX, charsMax: CHARS_MAX });
  readonly stream: EventStream;
  /** Changes with each drawing. */
  readonly drawn = new Watched(0);
  #frame = 0;
  #ticks: { atMs: number; came: number }[] = [];

  constructor(topics: readonly string[], after: string) {
    this.stream = new EventStream(topics, after, (items) => {
      this.window.add(items);
      this.draw();
    });
  }

  draw(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.drawn.set(this.drawn.value + 1);
    });
  }

  /** Events per second that came lately. Ask once a drawing. */
  rate(): number {
    const now = { atMs: performance.now(), came: this.window.came };
    this.#ticks = [...this.#ticks.filter(({ atMs }) => now.atMs - atMs <= RATE_MS), now];
    const first = this.#ticks[0]!;
    const elapsedS = (now.atMs - first.atMs) / 1000;
    return elapsedS < 0.2 ? 0 : (now.came - first.came) / elapsedS;
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.stream.pause();
  }
}

/** The cursor for a choice of where to begin: that of the last events needs the end of the log. */
export async function cursorFor(from: string, signal: AbortSignal): Promise<string> {
  if (from !== 'last') return from;
  try {
    const end = BigInt(textIn(await askJson('/stats', { signal }), 'last_offset') || '0');
    return end > BigInt(LAST_EVENTS) ? String(end - BigInt(LAST_EVENTS)) : 'earliest';
  } catch {
    // A key that may not see the end of the log, or a service that is away: then from now on.
    return 'latest';
  }
}
