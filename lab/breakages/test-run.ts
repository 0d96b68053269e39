import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { ownGroup } from '../lifetime.ts';

export type TestOutcome =
  | { readonly kind: 'passed' }
  /** `by` is the test that failed first. */
  | { readonly kind: 'failed'; readonly by: string }
  | { readonly kind: 'timed out' };

export interface TestPlace {
  /** The folder of the sources. */
  readonly root: string;
  /** The folder for files that the tests write, emptied before each run. */
  readonly scratch: string;
  /** The folder for Node's compile cache. */
  readonly cache: string;
}

/**
 * Runs test files, one after the other, until a test fails, all have passed, or time is up. Everything that they
 * started has ended when it resolves.
 */
export async function runTests(
  { root, scratch, cache }: TestPlace,
  files: readonly string[],
  limitMs: number,
): Promise<TestOutcome> {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  const { NODE_TEST_CONTEXT: _ofOurOwnTests, ...env } = process.env;
  const child = spawn(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=tap', ...files], {
    cwd: root,
    env: { ...env, TMPDIR: scratch, NODE_COMPILE_CACHE: cache },
    stdio: ['ignore', 'pipe', 'ignore'],
    // A process group of its own, so that services that the tests started end with them.
    detached: true,
  });
  const kill = ownGroup(child);
  const ended = once(child, 'close') as Promise<[code: number | null]>;
  let by: string | undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const failed = FAILED.exec(line)?.[1];
    if (failed === undefined || by !== undefined) return;
    by = failed;
    kill();
  });
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    kill();
  }, limitMs);
  const [code] = await ended;
  clearTimeout(limit);
  kill();
  if (by !== undefined) return { kind: 'failed', by };
  if (isLate) return { kind: 'timed out' };
  return code === 0 ? { kind: 'passed' } : { kind: 'failed', by: `the test run ended with ${code}` };
}

/** Nested tests are reported before the one that contains them. */
const FAILED = /^\s*not ok \d+ - (.*)$/;
