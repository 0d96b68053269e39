/** How webhooks are tried, milliseconds. */
export interface PushTiming {
  /** How long a target has to answer. */
  readonly answerMs: number;
  /** After each failed attempt, how long until the next; after the last of these always as long. */
  readonly retryMs: readonly [number, ...number[]];
  /** How long all attempts must have failed before a group is paused. */
  readonly pauseAfterMs: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const PUSH_TIMING: PushTiming = {
  answerMs: 15 * SECOND,
  // As the authors of Standard Webhooks propose: soon at first, for a target that restarts, then for one that is repaired.
  retryMs: [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR],
  pauseAfterMs: 24 * HOUR,
};
