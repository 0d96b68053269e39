/** The sizes of the index. Tests use small ones, to reach every step with few keys. */
export interface IndexShape {
  /** Keys of a full hot table, and so of a run of level 0. */
  readonly hotKeysMax: number;
  /** A run of level L has 2^(baseBits + MERGE_BITS * L) buckets. */
  readonly baseBits: number;
}

/** 131,072 keys in 2048 buckets of 64: a key block has about 1.5 KiB, less than a page. */
export const INDEX_SHAPE: IndexShape = { hotKeysMax: 131_072, baseBits: 11 };

/** Eight runs of a level become one of the next, so few runs must be searched and a key is rewritten once per level. */
export const MERGE_BITS = 3;
export const MERGE_RUNS = 2 ** MERGE_BITS;

/** Runs of this level, of 4 * 10^9 keys each, are not merged further. */
export const LEVEL_MAX = 5;
