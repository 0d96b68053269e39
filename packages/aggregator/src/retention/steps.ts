import { setTimeout as sleep } from 'node:timers/promises';

/** The longest pause after a step, milliseconds. */
const PAUSE_MS_MAX = 100;

/**
 * Takes steps until one says that it was the last, the signal fires, or so many milliseconds are over; says whether all are done.
 * Each step is followed by a pause as long as itself, so that publishes get at least half of the writer's time.
 */
export async function inSteps(
  step: () => Promise<boolean>,
  signal: AbortSignal,
  forMs = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const untilMs = performance.now() + forMs;
  while (!signal.aborted && performance.now() < untilMs) {
    const startMs = performance.now();
    if (await step()) return true;
    const pauseMs = Math.min(performance.now() - startMs, PAUSE_MS_MAX);
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
