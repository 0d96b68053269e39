import { Agent } from 'node:http';
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf } from '../lab/proc.ts';
import { type AggregatorProcess, Endings, Site } from '../lab/aggregator-process.ts';
import { SeededRandom } from '../lab/random.ts';
import { straceMissing } from '../lab/strace.ts';
import { Batches } from './batch.ts';
import { type HealthSeen, HealthWatch } from './health.ts';
import type { Options } from './options.ts';
import { type Answers, publishUntil } from './publisher.ts';
import { readBack } from './read-back.ts';
import { Strangers } from './strangers.ts';

export interface OverloadSeen {
  readonly answers: Answers;
  readonly health: HealthSeen;
  /** The peak of the service's resident memory. */
  readonly peakBytes: number;
  readonly strangersClosed: number;
  readonly eventsStored: number;
}

/**
 * Runs a real service on a disk with slow syncs, more publishers than it can serve, and strangers who only hold
 * connections. Resolves when everything was read back and is right; throws at the first wrong answer, or if the service
 * does not stop cleanly.
 */
export async function runOverload(options: Options): Promise<OverloadSeen> {
  const missing = straceMissing();
  if (missing !== null) throw new Error(missing);
  await using endings = new Endings();
  const aggregator = await new Site(endings).start({ under: slowSyncs(options.syncMs) });
  const seen = await overload(aggregator, options);
  await aggregator.stop();
  return seen;
}

/** https://man7.org/linux/man-pages/man7/sched.7.html, "The nice value". */
const CROWD_PRIORITY = 10;

/** Delays only the thread that syncs; all other calls of the service run at full speed. */
function slowSyncs(syncMs: number): string[] {
  const inject = `inject=fsync,fdatasync:delay_exit=${syncMs * 1000}`;
  return [
    'strace',
    '-D',
    '-f',
    '--seccomp-bpf',
    '-o',
    '/dev/null',
    '-e',
    'trace=fsync,fdatasync',
    '-e',
    inject,
    '--',
  ];
}

async function overload(aggregator: AggregatorProcess, options: Options): Promise<OverloadSeen> {
  const { port } = aggregator;
  const batches = new Batches(options.seed, options.batchBytes);
  const answers: Answers = { acknowledged: 0, refused: 0, acknowledgedMs: [], refusedMs: [] };
  const done = AbortSignal.timeout(options.seconds * 1000);
  const agent = new Agent({ keepAlive: true });
  const strangers = new Strangers(port);
  const health = new HealthWatch(port);
  const random = new SeededRandom(options.seed);
  // The crowd stands for other machines, so the service and the thread that asks for its health come first when cores are
  // scarce. On Linux this sets the priority of this thread alone.
  if (process.platform === 'linux') setPriority(CROWD_PRIORITY);
  try {
    strangers.silent(options.strangers);
    strangers.slowHeaders(options.strangers);
    strangers.halfBodies(Math.min(2, options.strangers), 8 * 1024 * 1024);
    const readers = sleep((options.seconds * 1000) / 4, undefined, { signal: done }).then(() =>
      strangers.readersThatDoNotRead(options.strangers),
    );
    const published = await Promise.all(
      Array.from({ length: options.publishers }, (_, i) =>
        publishUntil(done, i, batches, answers, random.fork(i), { agent, port }),
      ),
    );
    await readers;
    const healthSeen = await health.end();
    const peakBytes = memoryOf(aggregator.program.pid)?.peakBytes ?? NaN;
    strangers.leave();
    const eventsStored = await readBack(aggregator.url, batches, published);
    const stats = await aggregator.stats();
    if (stats.received !== eventsStored || stats.unique_processed !== eventsStored) {
      throw new Error(`${eventsStored} events are stored, the books say ${JSON.stringify(stats)}`);
    }
    return { answers, health: healthSeen, peakBytes, strangersClosed: strangers.closed, eventsStored };
  } finally {
    strangers.leave();
    agent.destroy();
  }
}
