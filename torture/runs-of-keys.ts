import type { Change } from '../lab/breakages/breakage.ts';
import { INDEX_SHAPE, type IndexShape } from '../packages/aggregator/src/store/sqlite/keys/key-index.ts';

/**
 * Runs of keys as they are shipped, and smaller ones. A kill meets the sealing of `small` ones often, which takes some
 * commits, and the merging of `tiny` ones, of which each round has many.
 */
export const RUNS: Readonly<Record<Runs, IndexShape>> = {
  'as shipped': INDEX_SHAPE,
  small: { hotKeysMax: 8192, baseBits: 7 },
  tiny: { hotKeysMax: 1024, baseBits: 4 },
};

export type Runs = 'as shipped' | 'small' | 'tiny';

/** The program with runs of another shape. A file that it made is for no program with another. */
export function shapeChange({ hotKeysMax, baseBits }: IndexShape): Change {
  return {
    file: 'packages/aggregator/src/store/sqlite/keys/key-index.ts',
    find: `{ hotKeysMax: 131_072, baseBits: 11 }`,
    replace: `{ hotKeysMax: ${hotKeysMax}, baseBits: ${baseBits} }`,
  };
}
