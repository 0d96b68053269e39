/**
 * How long a request may take to come, milliseconds. How long an answer takes to be read is not limited: a reader of the
 * whole log may take hours.
 */
export interface Timeouts {
  /** From the opening of a connection, or from a request's first byte, to the end of its headers. */
  readonly headersMs: number;
  /** From a request's first byte to the last of its body. */
  readonly requestMs: number;
  /** How long nothing may come in the middle of a body. */
  readonly bodyPauseMs: number;
  /** How long a connection may wait for its next request. */
  readonly keepAliveMs: number;
  /** A reader who takes nothing for so long gives way where there is no room for others. */
  readonly readStalledMs: number;
  /** How often the first two are looked at. */
  readonly checkedEveryMs: number;
}

export const TIMEOUTS: Timeouts = {
  /** Some kilobytes at most: seconds even on a poor line. */
  headersMs: 15_000,
  /** A batch of 1 MiB comes through in this time at 30 kbit/s, the largest body at half a Mbit/s. */
  requestMs: 300_000,
  /** A phone that changes cells, or drives through a tunnel, comes back within it. */
  bodyPauseMs: 30_000,
  /** Longer than the minute after which proxies commonly let go, so that it is they who do. */
  keepAliveMs: 72_000,
  readStalledMs: 60_000,
  checkedEveryMs: 5_000,
};
