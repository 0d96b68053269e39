/** A signal of several, and what lets go of them again. */
export interface Linked {
  readonly signal: AbortSignal;
  /** Must be called: a signal that outlives many requests would keep a listener for each. */
  release(): void;
}

/**
 * A signal that fires with the first of these, for the same reason, or `timeoutMs` from now with a TimeoutError.
 * `AbortSignal.any` and `AbortSignal.timeout` would do it, but hold on to each other, and the timer cannot be stopped.
 */
export function linkSignals(signals: readonly (AbortSignal | undefined)[], timeoutMs = Infinity): Linked {
  const controller = new AbortController();
  const undo: (() => void)[] = [];
  for (const signal of signals) {
    if (signal === undefined) continue;
    const abort = (): void => controller.abort(signal.reason);
    if (signal.aborted) abort();
    else {
      signal.addEventListener('abort', abort);
      undo.push(() => signal.removeEventListener('abort', abort));
    }
  }
  if (timeoutMs <= TIMER_MS_MAX) {
    const timer = setTimeout(() => controller.abort(new DOMException('', 'TimeoutError')), timeoutMs);
    undo.push(() => clearTimeout(timer));
  }
  return {
    signal: controller.signal,
    release() {
      for (const step of undo) step();
    },
  };
}

/** Resolves after `ms`; rejects with the signal's reason where that comes first. */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await unlessAborted(
      new Promise((resolve) => (timer = setTimeout(resolve, Math.min(ms, TIMER_MS_MAX)))),
      signal,
    );
  } finally {
    clearTimeout(timer);
  }
}

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
