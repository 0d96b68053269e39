import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem } from '@chronicleweaver/protocol';
import { Group, leasesOf } from '../../packages/aggregator/test/support/group.ts';
import { SeededRandom } from '../../lab/random.ts';

/**
 * A worker of a group in a process of its own, to be killed at any moment: `node group-worker.ts URL NAME SEED`. It
 * pulls, leaves some events to their leases, gives some back and acknowledges the others, for ever. Its output is
 * written before it continues, so the answers it got are known whenever it dies.
 */
export type WorkerLine =
  | {
      readonly got: readonly [offset: number, delivery: number][];
      readonly askedMs: number;
      readonly atMs: number;
    }
  | { readonly acknowledged: readonly number[]; readonly atMs: number }
  | { readonly gaveBack: readonly number[]; readonly askedMs: number }
  | { readonly fault: string };

const [url, name, seed] = process.argv.slice(2);
const group = new Group(url!, name);
const random = new SeededRandom(Number(seed));

function say(line: WorkerLine): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** The same clock in every process of the machine, milliseconds. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Retries until there is an answer: an acknowledgement may be repeated, and the state after a crash shows for the
 * others.
 */
async function settle(resource: 'ack' | 'nack', ids: { lease_ids: string[] }): Promise<ReadonlySet<number>> {
  for (;;) {
    let response: Response;
    try {
      response = await group.post(resource, ids);
    } catch {
      await sleep(20);
      continue;
    }
    const text = await response.text();
    if (response.status === 503) continue;
    const { errors = [], code } = JSON.parse(text) as Problem;
    if (response.status !== 200 && code !== 'lease_expired') say({ fault: `${resource}: ${text}` });
    return new Set(errors.map(({ index }) => index!));
  }
}

for (;;) {
  const askedMs = now();
  let events: Awaited<ReturnType<Group['pull']>>;
  try {
    events = await group.pull({ max: random.whole(1, 60), wait_ms: 1000 });
  } catch (error) {
    if (!(error instanceof TypeError)) say({ fault: String(error) });
    await sleep(20);
    continue;
  }
  if (events.length === 0) continue;
  say({ got: events.map(({ offset, delivery }) => [offset, delivery]), askedMs, atMs: now() });
  const fates = events.map(() => random.whole(0, 19));
  const returned = events.filter((_, i) => fates[i] === 0);
  const done = events.filter((_, i) => fates[i]! > 1);
  if (returned.length > 0) {
    say({ gaveBack: returned.map(({ offset }) => offset), askedMs: now() });
    await settle('nack', leasesOf(returned));
  }
  if (done.length > 0) {
    const lost = await settle('ack', leasesOf(done));
    const acknowledged = done.filter((_, i) => !lost.has(i)).map(({ offset }) => offset);
    say({ acknowledged, atMs: now() });
  }
}
