import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The lifetime of a test's resource: usually the test's context. */
export interface Scope {
  after(close: () => unknown): void;
}

/** A new empty folder that is removed with the test. */
export function tempFolder(t: Scope): string {
  const folder = mkdtempSync(join(tmpdir(), 'chronicleweaver-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
