import { join } from 'node:path';
import { tempFolder } from '../../lab/lifetime.ts';
import { runScript } from '../process/run-script.ts';
import { say } from '../say.ts';
import type { Machine, StallLoad, StallSize, StallsResults } from '../results.ts';
import { APPENDS_SCRIPT } from '../systems.ts';
import type { Setting } from './references.ts';

/** Commits of one publisher, of several, and of many with full batches; enough of each for a 99.9th percentile. */
const LOADS: readonly StallLoad[] = [
  { batch: 16, commits: 20_000 },
  { batch: 1000, commits: 1000 },
  { batch: 10_000, commits: 100 },
];

const QUICK_SHARE = 0.1;

/** How long commits take in the store itself, and what delays them: without HTTP. */
export async function stallsRun(
  { folder: parent, cores, seed }: Setting,
  { quick, machine }: { quick: boolean; machine: Machine },
): Promise<StallsResults> {
  const loads = LOADS.map(({ batch, commits }) => ({ batch, commits: commits * (quick ? QUICK_SHARE : 1) }));
  for (const { batch, commits } of loads) say(`${commits} commits of ${batch} events`);
  using folder = tempFolder(parent);
  const args = [join(folder.path, 'events.db'), String(seed), JSON.stringify(loads)];
  const sizes = (await runScript(APPENDS_SCRIPT, args, cores)) as StallSize[];
  return { kind: 'stalls', quick, machine, sizes };
}
