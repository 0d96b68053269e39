/** The timing of webhook attempts, milliseconds. */
export interface PushTiming {
  /** How long a target has to answer. */
  readonly answerMs: number;
  /** Delays after each failed attempt; the last one repeats. */
  readonly retryMs: readonly [number, ...number[]];
  /** A group is paused once all attempts have failed for this long. */
  readonly pauseAfterMs: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const PUSH_TIMING: PushTiming = {
  answerMs: 15 * SECOND,
  // As the authors of Standard Webhooks propose: soon at first, for a target that is restarting, then slower, for one
  // that needs repair.
  retryMs: [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR],
  pauseAfterMs: 24 * HOUR,
};
