import type { Epoch } from '../store/event-store.ts';
import { ProblemError } from './request/problems.ts';

/** The header that tells the epoch of what is answered. */
export const EPOCH_HEADER = 'chronicle-epoch';

/** The epoch that new events are of. */
export function currentEpoch(epochs: readonly Epoch[]): string {
  return epochs.at(-1)!.name;
}

/**
 * Throws a ProblemError `log_restored` where the cursor is of an epoch that had ended before it, or of one that this log
 * never had [EPO-2]. Without an epoch nothing can be told.
 */
export function requireCursorOf(
  epochs: readonly Epoch[],
  epoch: string | undefined,
  cursor: number | undefined,
): void {
  if (epoch === undefined || cursor === undefined) return;
  const at = epochs.findIndex(({ name }) => name === epoch);
  const next = epochs[at + 1];
  if (at >= 0 && (next === undefined || cursor <= next.afterOffset)) return;
  const now = `the epoch is now ${currentEpoch(epochs)}`;
  throw new ProblemError(
    'log_restored',
    at >= 0
      ? `this log was restored from a copy that ends at offset ${next!.afterOffset}, before the cursor ${cursor}: events ` +
          `behind that end are gone, or have other offsets; read on with after=${next!.afterOffset}; ${now}`
      : `this log never had the epoch ${JSON.stringify(epoch)}: it is another log, or was restored from an older copy; ` +
          `read on from an offset that was got in an epoch which it had, or from the beginning; ${now}`,
  );
}
