import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from '../lifetime.ts';
import { SourceCopy } from '../source-copy.ts';
import { type Breakage, type Change, changesOf, placeOf } from './breakage.ts';

/**
 * The errors of TypeScript in the broken sources, or null if there are none. An invalid breakage proves nothing, because
 * its tests fail whatever they check. Changes in different places are made at once, so that few checks are needed.
 */
export function typeFaults(breakages: readonly Breakage[]): string | null {
  using folder = tempFolder();
  const copy = new SourceCopy(join(folder.path, 'copy'));
  for (let left = breakages.flatMap(changesOf); left.length > 0;) {
    const { texts, later } = changedTogether(copy.root, left);
    const before = [...texts.keys()].map((path) => [path, readFileSync(path, 'utf8')] as const);
    for (const [path, text] of texts) writeFileSync(path, text);
    for (const project of ['.', 'packages/client']) {
      const compiler = join(copy.root, 'node_modules/.bin/tsc');
      const options = { cwd: copy.root, encoding: 'utf8' } as const;
      const { status, stdout } = spawnSync(compiler, ['-p', project, '--pretty'], options);
      if (status !== 0) return stdout;
    }
    for (const [path, text] of before) writeFileSync(path, text);
    left = later;
  }
  return null;
}

/** The files with as many changes as possible that do not overlap, and the changes that must wait. */
function changedTogether(
  root: string,
  changes: readonly Change[],
): { texts: ReadonlyMap<string, string>; later: Change[] } {
  const placed = new Map<string, { change: Change; from: number; to: number }[]>();
  const later: Change[] = [];
  for (const change of changes) {
    const path = join(root, change.file);
    const from = placeOf(readFileSync(path, 'utf8'), change);
    const to = from + change.find.length;
    const others = placed.get(path) ?? [];
    if (others.some((other) => from <= other.to && other.from <= to)) later.push(change);
    else placed.set(path, [...others, { change, from, to }]);
  }
  const texts = new Map<string, string>();
  for (const [path, ones] of placed) {
    let text = readFileSync(path, 'utf8');
    for (const { change, from, to } of ones.toSorted((a, b) => b.from - a.from))
      text = text.slice(0, from) + change.replace + text.slice(to);
    texts.set(path, text);
  }
  return { texts, later };
}
