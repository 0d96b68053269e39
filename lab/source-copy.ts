import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { type Change, changed } from './breakages/breakage.ts';
import { pathOf } from './repository.ts';

/** What is not part of the sources, or is linked instead. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'data']);

/** In node_modules: our own packages, which must lead into the copy, and what is written while programs run. */
const OWN_PACKAGES = '@chronicleweaver';
const CACHE = '.cache';

/**
 * A copy of the sources to break. No change here reaches the original. Packages of others are linked, but our own are
 * those of the copy.
 */
export class SourceCopy {
  readonly root: string;

  /** @param root the folder for it, which must not exist yet; @param original the sources to copy */
  constructor(root: string, original = pathOf('')) {
    this.root = root;
    const isSource = (path: string): boolean => !LEFT_OUT.has(basename(path));
    for (const name of readdirSync(original).filter(isSource))
      cpSync(join(original, name), join(root, name), { recursive: true, filter: isSource });
    linkPackages(join(original, 'node_modules'), join(root, 'node_modules'));
    for (const name of readdirSync(join(original, 'packages'))) {
      const ofPackage = join('packages', name, 'node_modules');
      if (existsSync(join(original, ofPackage)))
        symlinkSync(join(original, ofPackage), join(root, ofPackage));
    }
  }

  /** Makes the changes. If one does not fit, throws and changes nothing. Returns a function that undoes them. */
  change(changes: readonly Change[]): () => void {
    const before = new Map<string, string>();
    const after = new Map<string, string>();
    for (const change of changes) {
      const path = join(this.root, change.file);
      const text = after.get(path) ?? readFileSync(path, 'utf8');
      if (!before.has(path)) before.set(path, text);
      after.set(path, changed(text, change));
    }
    for (const [path, text] of after) writeFileSync(path, text);
    return () => {
      for (const [path, text] of before) writeFileSync(path, text);
    };
  }
}

function linkPackages(from: string, to: string): void {
  mkdirSync(join(to, OWN_PACKAGES), { recursive: true });
  for (const name of readdirSync(from)) {
    if (name !== OWN_PACKAGES && name !== CACHE) symlinkSync(join(from, name), join(to, name));
  }
  const own = join(from, OWN_PACKAGES);
  // These links are relative, so they lead into the copy.
  for (const name of readdirSync(own))
    symlinkSync(readlinkSync(join(own, name)), join(to, OWN_PACKAGES, name));
}
