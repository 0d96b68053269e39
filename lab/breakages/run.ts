import { join } from 'node:path';
import { tempFolder } from '../lifetime.ts';
import { SourceCopy } from '../source-copy.ts';
import { type Breakage, changesOf } from './breakage.ts';
import { type TestOutcome, type TestPlace, runTests } from './test-run.ts';

export interface RunOptions {
  /** How many breakages are tried at once, each with its own copy of the sources and process for the tests. */
  readonly workers: number;
  /** Time allowed beyond a multiple of the time that the tests take unbroken, milliseconds. */
  readonly graceMs: number;
  /** The sources to copy and break; by default this repository. */
  readonly original?: string;
}

export const OUTCOMES = ['noticed', 'survived', 'timed out', 'fails unbroken'] as const;

export type Outcome = (typeof OUTCOMES)[number];

export interface Result {
  readonly breakage: Breakage;
  readonly outcome: Outcome;
  /** The test that failed. */
  readonly by: string | null;
  /** How long its tests took with the breakage. */
  readonly ms: number;
}

/** Whether the outcome is the one that the breakage expects. */
export function isExpected({ outcome, breakage }: Result): boolean {
  switch (outcome) {
    case 'noticed':
      return breakage.survives === undefined;
    case 'timed out':
      return breakage.hangs === true && breakage.survives === undefined;
    case 'survived':
      return breakage.survives !== undefined;
    case 'fails unbroken':
      return false;
  }
}

/** A run may take this many times as long as its tests do unbroken. */
const SLOWER_MAX = 3;

/**
 * Tries the breakages, each by itself: its tests must pass on the unbroken sources, and at least one must fail on the
 * broken ones. Changes only copies in a temporary folder. Calls back with each result.
 */
export async function runBreakages(
  breakages: readonly Breakage[],
  { workers, graceMs, original }: RunOptions,
  advanced: (result: Result) => void,
): Promise<void> {
  using folder = tempFolder();
  const waiting = breakages.values();
  const unbroken = new Map<string, Promise<Unbroken>>();
  const work = async (worker: number): Promise<void> => {
    const copy = new SourceCopy(join(folder.path, `copy-${worker}`), original);
    const place = {
      root: copy.root,
      scratch: join(folder.path, `scratch-${worker}`),
      cache: join(folder.path, `cache-${worker}`),
    };
    for (const breakage of waiting) {
      advanced(await tried(breakage, { copy, place, unbroken, graceMs }));
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, breakages.length) }, (_, i) => work(i)));
}

interface Unbroken {
  readonly outcome: TestOutcome;
  readonly ms: number;
}

interface Bench {
  readonly copy: SourceCopy;
  readonly place: TestPlace;
  /** Results on the unbroken sources, by test file, shared by all workers. */
  readonly unbroken: Map<string, Promise<Unbroken>>;
  readonly graceMs: number;
}

async function tried(breakage: Breakage, bench: Bench): Promise<Result> {
  const { copy, place, graceMs } = bench;
  let unbrokenMs = 0;
  for (const file of breakage.tests) {
    const { outcome, ms } = await unbrokenRun(file, bench);
    if (outcome.kind !== 'passed') {
      return { breakage, outcome: 'fails unbroken', by: outcome.kind === 'failed' ? outcome.by : null, ms };
    }
    unbrokenMs += ms;
  }
  const restore = copy.change(changesOf(breakage));
  try {
    const startMs = performance.now();
    const limitMs = SLOWER_MAX * unbrokenMs + (breakage.hangs ? graceMs / 25 : graceMs);
    const outcome = await runTests(place, breakage.tests, limitMs);
    const ms = performance.now() - startMs;
    switch (outcome.kind) {
      case 'passed':
        return { breakage, outcome: 'survived', by: null, ms };
      case 'failed':
        return { breakage, outcome: 'noticed', by: outcome.by, ms };
      case 'timed out':
        return { breakage, outcome: 'timed out', by: null, ms };
    }
  } finally {
    restore();
  }
}

const UNBROKEN_MS_MAX = 300_000;

function unbrokenRun(file: string, { place, unbroken }: Bench): Promise<Unbroken> {
  let run = unbroken.get(file);
  if (run === undefined) {
    const startMs = performance.now();
    run = runTests(place, [file], UNBROKEN_MS_MAX).then((outcome) => ({
      outcome,
      ms: performance.now() - startMs,
    }));
    unbroken.set(file, run);
  }
  return run;
}
