import type { Change } from '../lab/breakages/breakage.ts';
import { INDEX_SHAPE, type IndexShape } from '../packages/aggregator/src/store/sqlite/keys/index-shape.ts';

/**
 * Runs of keys as shipped, and smaller ones. Kills often interrupt the sealing of `small` runs, which takes several
 * commits, and the merging of `tiny` ones, which happens many times a round.
 */
export const RUNS: Readonly<Record<Runs, IndexShape>> = {
  'as shipped': INDEX_SHAPE,
  small: { hotKeysMax: 8192, baseBits: 7 },
  tiny: { hotKeysMax: 1024, baseBits: 4 },
};

export type Runs = 'as shipped' | 'small' | 'tiny';

/** A change to runs of another shape. Only a program with the same shape can use the file that this one makes. */
export function shapeChange({ hotKeysMax, baseBits }: IndexShape): Change {
  return {
    file: 'packages/aggregator/src/store/sqlite/keys/index-shape.ts',
    find: `{ hotKeysMax: 131_072, baseBits: 11 }`,
    replace: `{ hotKeysMax: ${hotKeysMax}, baseBits: ${baseBits} }`,
  };
}
