import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * What must not outlive this process: its children and its temporary folders. Unless it ends by SIGKILL, they end with it.
 */
const children = new Map<ChildProcess, () => void>();
const works = new Set<() => void>();
const folders = new Set<string>();

process.on('exit', () => {
  // SIGKILL also ends a child that SIGSTOP has paused.
  for (const kill of children.values()) kill();
  for (const work of works) work();
  for (const folder of folders) remove(folder);
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  // Not once: npm repeats a Ctrl-C, and the second one must not end the process before all is cleaned up.
  process.on(signal, () => process.exit(code));
}

/** Makes the child end with us. */
export function own(child: ChildProcess): void {
  children.set(child, () => child.kill('SIGKILL'));
  child.once('exit', () => children.delete(child));
}

/**
 * Makes a child that was spawned `detached` end with us, together with everything that it started. Returns a function
 * that ends them now. Call it even after the child has ended, because processes that it started may still run.
 */
export function ownGroup(child: ChildProcess): () => void {
  const kill = (): void => {
    children.delete(child);
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch (error) {
      // All of them have ended.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  children.set(child, kill);
  return kill;
}

/** Does something before the folders are removed, if it was not forgotten by the function that this returns. */
export function atEnd(work: () => void): () => boolean {
  works.add(work);
  return () => works.delete(work);
}

/** A folder that is removed when it is disposed, or at the latest when this process ends. */
export interface TempFolder extends Disposable {
  readonly path: string;
  /** Keeps the folder, for somebody to look at. */
  keep(): void;
}

/** A new folder in `parent`, which is created if it is missing. */
export function tempFolder(parent = tmpdir(), prefix = 'chronicleweaver-'): TempFolder {
  mkdirSync(parent, { recursive: true });
  const path = mkdtempSync(join(parent, prefix));
  folders.add(path);
  let isKept = false;
  return {
    path,
    keep() {
      isKept = true;
      folders.delete(path);
    },
    [Symbol.dispose]() {
      if (isKept) return;
      remove(path);
      folders.delete(path);
    },
  };
}

/** What was ended a moment ago may still write into it, and Node.js does not always say that something is left. */
function remove(folder: string): void {
  for (let tries = 1; tries <= 5 && existsSync(folder); tries++) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
