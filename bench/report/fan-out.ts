import type { BarLine, FanOut } from '../results.ts';
import { median } from '../statistics.ts';
import { NONE, fine, megabytes, tableLines, whole } from './table.ts';

/** The text of a fan-out run. */
export function fanOutLines({ followers, perSecond, batch, runs, memory }: FanOut): string[] {
  return [
    `${whole(followers)} live followers of one topic, ${whole(perSecond)} events/s in publishes of ${batch}:`,
    ...tableLines([
      ['run', 'deliveries', 'p50 ms', 'p99 ms', 'max ms', 'p99 since answer', 'CPU', 'load'],
      ...runs.map((run, i) => [
        String(i + 1),
        whole(run.deliveries),
        fine(run.p50Ms),
        fine(run.p99Ms),
        fine(run.maxMs),
        fine(run.p99SinceAnswerMs),
        fine(run.serverCpuShare),
        fine(run.loadCpuShare),
      ]),
    ]),
    'From `received_at`, which is taken before the commit is synced, to when the follower has the event; nothing was',
    'missing, twice or out of order. The answer to a publish is sent after the sync, in the same moment as the events.',
    `memory of the server: ${memory === null ? NONE : `${megabytes(memory.bytes)} MB, peak ${megabytes(memory.peakBytes)} MB`}`,
  ];
}

/** The bar for the fan-out run. */
export function fanOutBar({ runs }: FanOut): BarLine[] {
  const p99Ms = median(runs.map((run) => run.p99Ms));
  return [{ what: 'p99 from commit to receipt, ms', bar: '< 50', seen: fine(p99Ms), met: p99Ms < 50 }];
}
