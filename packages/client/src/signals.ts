/** The one signal of a request. It tells whether a timeout or another signal fired it. */
export interface Linked {
  readonly signal: AbortSignal;
  readonly isTimedOut: boolean;
  /**
   * From now on the signal fires after this many milliseconds; Infinity means never. Each of the `graces` delays it a
   * little, so that what has arrived is read first.
   */
  setTimeout(ms: number, graces?: number): void;
  /** Ends whatever still depends on it. Always call it, or a signal that outlives requests keeps a listener for each. */
  release(): void;
}

/**
 * A signal that fires with the first of these, for the same reason, or after a timeout. `AbortSignal.any` and
 * `AbortSignal.timeout` could do that, but they keep each other alive, and the timer could not be reset.
 */
export function linkSignals(...signals: readonly (AbortSignal | undefined)[]): Linked {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isTimedOut = false;
  for (const signal of signals) {
    const abort = (): void => controller.abort(signal?.reason);
    if (signal?.aborted === true) abort();
    // `release` removes it.
    signal?.addEventListener('abort', abort, { signal: controller.signal });
  }
  return {
    signal: controller.signal,
    get isTimedOut() {
      return isTimedOut;
    },
    setTimeout(ms, graces = GRACES) {
      clearTimeout(timer);
      if (ms > TIMER_MS_MAX) return;
      const wait = (nextMs: number): void => {
        const dueAtMs = performance.now() + nextMs;
        timer = setTimeout(() => {
          const lateMs = performance.now() - dueAtMs;
          if (graces-- > 0) return wait(Math.min(ms, Math.max(lateMs, GRACE_MS_MIN)));
          isTimedOut = true;
          controller.abort();
        }, nextMs);
      };
      wait(ms);
    },
    release() {
      clearTimeout(timer);
      controller.abort();
    },
  };
}

/**
 * After a block of the event loop, timers fire first, even if the answer has arrived and is waiting to be read. So a
 * timeout waits again for as long as its timer was late: at least a few turns of the loop, at most its first wait.
 */
const GRACES = 3;
const GRACE_MS_MIN = 10;

/** A timer that is set to more than this fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Counts down the time left for retries. It does so in tenths, by a timer, so a block of the event loop, during which
 * nothing can be tried again, costs one of them at most.
 */
export function startRetryTime(ms: number): { readonly leftMs: number; stop(): void } {
  let tenths = 10;
  const timer = ms <= TIMER_MS_MAX ? setInterval(() => tenths--, ms / 10) : undefined;
  return {
    get leftMs() {
      return (ms * tenths) / 10;
    },
    stop: () => clearInterval(timer),
  };
}

/** Settles as the promise does, or rejects with the signal's reason if that comes first. */
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
