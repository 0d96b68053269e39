import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCommand } from '../lab/aggregator-process.ts';
import { INDEX_SHAPE, type IndexShape } from '../packages/aggregator/src/store/sqlite/keys/key-index.ts';
import { pathOf } from '../lab/repository.ts';

/** The service's program: what is shipped, or a copy in which something was changed. */
export interface Source {
  readonly start: readonly string[];
  readonly verify: readonly string[];
}

/** A change of a file of packages/aggregator/src: the text must stand there exactly once. */
export interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export function shippedSource(): Source {
  return sourceIn(pathOf(''));
}

/** Copies the service into the folder, which must not be there yet, and changes the copy. */
export function changedSource(folder: string, changes: readonly Change[]): Source {
  const aggregator = join(folder, 'packages/aggregator');
  mkdirSync(aggregator, { recursive: true });
  for (const part of ['src', 'package.json'])
    cpSync(pathOf(`packages/aggregator/${part}`), join(aggregator, part), { recursive: true });
  symlinkSync(pathOf('node_modules'), join(folder, 'node_modules'));
  for (const { file, from, to } of changes) {
    const path = join(aggregator, 'src', file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
    writeFileSync(path, parts.join(to));
  }
  return sourceIn(folder);
}

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
    file: 'store/sqlite/keys/key-index.ts',
    from: `{ hotKeysMax: 131_072, baseBits: 11 }`,
    to: `{ hotKeysMax: ${hotKeysMax}, baseBits: ${baseBits} }`,
  };
}

function sourceIn(root: string): Source {
  return {
    start: startCommand(root),
    verify: [process.execPath, join(root, 'packages/aggregator/src/programs/verify.ts')],
  };
}
