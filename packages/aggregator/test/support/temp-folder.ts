import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a thing of a test lasts as long as: the test's context, mostly. */
export interface Scope {
  after(close: () => unknown): void;
}

/** A new empty folder that goes away with the test. */
export function tempFolder(t: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'chronicleweaver-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
