import { LEVEL_MAX, MERGE_BITS } from './index-shape.ts';
import type { Run } from './key-runs.ts';
import type { RunLevels } from './run-levels.ts';

/** A share of the work of forgetting many keys in runs. */
export interface Sweep {
  /** Where to go on; 0 at first. */
  readonly position: number;
  readonly isMeant: (offset: number) => boolean;
  /** Whether a run may hold any that are meant. */
  readonly isSought: (run: Readonly<Run>) => boolean;
  readonly bucketsMax: number;
}

export interface Swept {
  readonly ids: number;
  /** Once the transaction is durable; null at the end. */
  readonly position: number | null;
}

/**
 * Forgets some of the meant keys, in the order of the keys and in all runs at once: a seal or a merge may move keys to
 * another run meanwhile, but not past the position.
 *
 * The position is the smallest key that is still to be looked at. A step treats the buckets that begin between it and the
 * next position, in each run. Invariant: each key that is meant lies in a bucket that begins at the position or later. A merge
 * keeps this, because the bucket to which it moves a key is no larger and so begins no earlier (run-levels.ts);
 * a seal keeps it if no key is meant that was not in a run when the sweep began.
 */
export function sweepSome(runs: RunLevels, { position, isMeant, isSought, bucketsMax }: Sweep): Swept {
  const sought = runs.all.filter(isSought);
  const end = 2 ** positionBits(runs);
  const sizes = sought.map((run) => end / 2 ** run.bits);
  // Each run has at most one bucket more than this that begins before the next position.
  const share = Math.max(1, Math.floor(bucketsMax / sought.length));
  const next = Math.min(end, position + share * Math.min(end, ...sizes));
  let ids = 0;
  for (const [i, run] of sought.entries()) {
    const size = sizes[i]!;
    for (let bucket = Math.ceil(position / size); bucket * size < next; bucket++)
      if (runs.holds(run, bucket)) ids += runs.dropFrom(run, bucket, isMeant);
  }
  return { ids, position: next === end ? null : next };
}

/** Those of the smallest buckets that there can be. */
function positionBits({ baseBits }: RunLevels): number {
  return baseBits + MERGE_BITS * LEVEL_MAX;
}
