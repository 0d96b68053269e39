import { parentPort, workerData } from 'node:worker_threads';
import { type Findings, verifyFile } from './verify.ts';

/** What the thread posts: now and then how far it is, and at the end what it found. */
export type FromVerifyThread =
  { readonly walked: number; readonly total: number } | { readonly findings: Findings };

const WALKED_EVERY_MS = 100;

/** Walks a file in a thread of its own, so that whoever waits for it can still be told to stop. */
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
