import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What must not outlive the benchmark: its children and its folders. Whatever ends this process short of SIGKILL, an
 * error, a signal or the last line of main, takes them along.
 */
const children = new Set<ChildProcess>();
const folders = new Set<string>();

process.on('exit', () => {
  // SIGKILL ends a child that is held by SIGSTOP, too.
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => process.exit(code));
}

/** Takes care that the child ends with us. */
export function own(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}

/** A new folder that is removed with everything in it when it is disposed, at the latest when we end. */
export function tempFolder(parent: string): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(parent, 'chronicleweaver-bench-'));
  folders.add(path);
  return {
    path,
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true });
      folders.delete(path);
    },
  };
}
