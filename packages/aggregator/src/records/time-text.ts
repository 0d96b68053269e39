/** Whole seconds since 1970 as `yyyy-mm-ddThh:mm:ss`, in UTC. */
export function secondsText(seconds: number): string {
  if (seconds !== lastSeconds) {
    lastSeconds = seconds;
    lastText = new Date(seconds * 1000).toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length);
  }
  return lastText;
}

/** Nanoseconds since 1970 with nine decimals, in UTC. */
export function nanosecondsText(ns: bigint): string {
  const seconds = secondsText(Number(ns / 1_000_000_000n));
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}

// Consecutive records mostly share a second.
let lastSeconds = -1;
let lastText = '';
