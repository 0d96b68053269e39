import { parentPort, workerData } from 'node:worker_threads';
import type { Findings } from '../../findings.ts';
import { verifyFile } from './verify.ts';

/** What the thread posts: its progress now and then, and its findings at the end. */
export type FromVerifyThread =
  { readonly walked: number; readonly total: number } | { readonly findings: Findings };

const WALKED_EVERY_MS = 100;

/** Verifies a file in a thread of its own, so that the main thread can still react to signals. */
function walk(port: NonNullable<typeof parentPort>, { path }: { path: string }): void {
  let nextMs = 0;
  const findings = verifyFile(path, (walked, total) => {
    if (performance.now() < nextMs) return;
    nextMs = performance.now() + WALKED_EVERY_MS;
    port.postMessage({ walked, total } satisfies FromVerifyThread);
  });
  port.postMessage({ findings } satisfies FromVerifyThread);
}

if (parentPort !== null) walk(parentPort, workerData as { path: string });
