import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCommand } from './aggregator-process.ts';
import { pathOf } from './repository.ts';

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

function sourceIn(root: string): Source {
  return {
    start: startCommand(root),
    verify: [process.execPath, join(root, 'packages/aggregator/src/programs/verify.ts')],
  };
}
