import { setTimeout as sleep } from 'node:timers/promises';
import { callErrorOf, doubtOf, remedyFor } from './errors.ts';

/** How long a commit is tried again before its callers are asked to come back, milliseconds. */
export const PATIENCE_MS = 20_000;

/** Between two tries after the connection was lost. */
const RECONNECT_MS = 50;

interface Patience {
  readonly patienceMs: number;
  /** Whether a commit of the work was sent that may be done or yet be done. */
  readonly isInDoubt: () => boolean;
  /** Called where it is given up without a connection. */
  readonly lostInVain?: () => void;
}

/**
 * Does work that finds out whether its last try was committed; again where that was undone, or the connection lost. Rejects with a
 * StoreError once its callers have waited for long enough, or where another try would fail in the same way.
 */
export async function patiently<T>(
  work: () => Promise<T>,
  { patienceMs, isInDoubt, lostInVain }: Patience,
): Promise<T> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const remedy = remedyFor(error);
      if (remedy === 'give_up' || performance.now() > giveUpAt) {
        if (remedy === 'reconnect') lostInVain?.();
        throw isInDoubt() ? doubtOf(error) : callErrorOf(error);
      }
      if (remedy === 'reconnect') await sleep(RECONNECT_MS);
    }
  }
}
