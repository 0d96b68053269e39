import type { Epoch } from '../store/event-store.ts';
import { ProblemError } from './request/problems.ts';

/** The header with the epoch of an answer. */
export const EPOCH_HEADER = 'chronicle-epoch';

/** The epoch of new events. */
export function currentEpoch(epochs: readonly Epoch[]): string {
  return epochs.at(-1)!.name;
}

/**
 * Throws a ProblemError `log_restored` if the cursor belongs to an epoch that had ended before it, or to one that
 * this log never had [EPO-2]. Without an epoch nothing can be checked.
 */
export function requireCursorOf(
  epochs: readonly Epoch[],
  epoch: string | undefined,
  cursor: number | undefined,
): void {
  if (epoch === undefined || cursor === undefined) return;
  const at = epochs.findIndex(({ name }) => name === epoch);
  // A later one may have begun further back than the next.
  const validTo = Math.min(...epochs.slice(at + 1).map(({ afterOffset }) => afterOffset));
  if (at >= 0 && cursor <= validTo) return;
  const now = `the epoch is now ${currentEpoch(epochs)}`;
  throw new ProblemError(
    'log_restored',
    at >= 0
      ? `this log was restored from a copy that ends at offset ${validTo}, before the cursor ${cursor}: the events ` +
          `after that are gone, or have other offsets; continue with after=${validTo}; ${now}`
      : `this log never had the epoch ${JSON.stringify(epoch)}: it is a different log, or was restored from an older copy; ` +
          `continue from an offset obtained in one of its epochs, or from the beginning; ${now}`,
  );
}
