/** When retention works, milliseconds. Tests shorten it. */
export interface RetentionTiming {
  /** Between two rounds. */
  readonly tickMs: number;
  /**
   * How long events that may go are gathered until a round lets go of them: each time a block of the log is written anew, however
   * few of its events go.
   */
  readonly gatherMs: number;
  /** So many of them go at once, or so many bytes. */
  readonly gatherEventsMax: number;
  readonly gatherBytesMax: number;
  /**
   * After a look that found nothing to let go of there is none for so many times as long as it took, and for a minute at most: it
   * walks through all that groups hold up.
   */
  readonly restsAfterLook: number;
  /** The longest pause after failures. */
  readonly faultMsMax: number;
  /** A clock that says when to look, and that nobody can set; what is due is judged by the store's. */
  readonly now: () => number;
}

export const RETENTION_TIMING: RetentionTiming = {
  tickMs: 1000,
  gatherMs: 60_000,
  gatherEventsMax: 10_000,
  gatherBytesMax: 16 * 1024 * 1024,
  restsAfterLook: 9,
  faultMsMax: 60_000,
  now: () => performance.now(),
};
