/** The one signal of a request, and why it fired. */
export interface Linked {
  readonly signal: AbortSignal;
  readonly isTimedOut: boolean;
  /** From now on it fires after so many milliseconds; Infinity is never. */
  setTimeout(ms: number): void;
  /** Ends what still hangs on it. Must be called: a signal that outlives many requests would keep a listener for each. */
  release(): void;
}

/**
 * A signal that fires with the first of these, for the same reason, or after a time. `AbortSignal.any` and
 * `AbortSignal.timeout` would do it, but hold on to each other, and the timer could not be moved.
 */
export function linkSignals(...signals: readonly (AbortSignal | undefined)[]): Linked {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isTimedOut = false;
  const wait = (ms: number, chances: number): void => {
    const dueAtMs = performance.now() + ms;
    timer = setTimeout(() => {
      const lateMs = performance.now() - dueAtMs;
      if (lateMs > LATE_MS && chances > 0) return wait(Math.min(ms, lateMs), chances - 1);
      isTimedOut = true;
      controller.abort();
    }, ms);
  };
  for (const signal of signals) {
    const abort = (): void => controller.abort(signal?.reason);
    if (signal?.aborted === true) abort();
    // It goes with the release.
    signal?.addEventListener('abort', abort, { signal: controller.signal });
  }
  return {
    signal: controller.signal,
    get isTimedOut() {
      return isTimedOut;
    },
    setTimeout(ms) {
      clearTimeout(timer);
      if (ms <= TIMER_MS_MAX) wait(ms, LATE_CHANCES);
    },
    release() {
      clearTimeout(timer);
      controller.abort();
    },
  };
}

/**
 * A timer that is later than this had to wait for a loop that was blocked, and what it waits for may be there unread. So it
 * waits again, for as long as it was late but no longer than at first, and no more often than this.
 */
const LATE_MS = 50;
const LATE_CHANCES = 3;

/** A timer that is set to more goes off at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The promise, or the signal's reason where that comes first. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  let abort = (): void => {};
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort);
      }),
    ]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
