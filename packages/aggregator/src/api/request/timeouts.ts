/**
 * How long a request may take to arrive, milliseconds. Reading an answer may take any time: a reader of the whole log may
 * take hours.
 */
export interface Timeouts {
  /** From the start of a connection, or from a request's first byte, to the end of its headers. */
  readonly headersMs: number;
  /** From a request's first byte to the last of its body. */
  readonly requestMs: number;
  /** The longest pause within a body. */
  readonly bodyPauseMs: number;
  /** How long a connection may wait for its next request. */
  readonly keepAliveMs: number;
  /** A reader that takes nothing for this long gives way when others need its room. */
  readonly readStalledMs: number;
  /** How often the first two are checked. */
  readonly checkedEveryMs: number;
}

export const TIMEOUTS: Timeouts = {
  /** Headers are a few kilobytes at most, which take seconds even on a poor line. */
  headersMs: 15_000,
  /** Enough for a batch of 1 MiB at 30 kbit/s, and for the largest body at half a Mbit/s. */
  requestMs: 300_000,
  /** Enough for a phone that changes cells or passes through a tunnel. */
  bodyPauseMs: 30_000,
  /** Longer than the usual minute of proxies, so that they close the connection and not we. */
  keepAliveMs: 72_000,
  readStalledMs: 60_000,
  checkedEveryMs: 5_000,
};
