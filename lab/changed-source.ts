import { join } from 'node:path';
import { startCommand } from './aggregator-process.ts';
import type { Change } from './breakages/breakage.ts';
import { pathOf } from './repository.ts';
import { SourceCopy } from './source-copy.ts';

/** The service's program: the shipped one, or a copy with changes. */
export interface Source {
  readonly start: readonly string[];
  readonly verify: readonly string[];
}

export function shippedSource(): Source {
  return sourceIn(pathOf(''));
}

/** The sources with these changes, copied into the folder, which must not exist yet. */
export function changedSource(folder: string, changes: readonly Change[]): Source {
  const copy = new SourceCopy(folder);
  copy.change(changes);
  return sourceIn(copy.root);
}

function sourceIn(root: string): Source {
  return {
    start: startCommand(root),
    verify: [process.execPath, join(root, 'packages/aggregator/src/programs/verify.ts')],
  };
}
