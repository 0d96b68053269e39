import type { Drain } from '../results.ts';
import { NONE, fine, megabytes, tableLines, whole } from './table.ts';

/** The text of a drain run. */
export function drainLines({ events, runs, memory }: Drain): string[] {
  return [
    `16 workers of a group drain ${whole(events)} events and acknowledge each:`,
    ...tableLines([
      [
        'at a time',
        'events/s',
        'published at',
        'ratio',
        'events/CPU s',
        'published at',
        'pull p50 ms',
        'p99',
        'ack p50 ms',
        'p99',
        'CPU',
        'load',
      ],
      ...runs.map((run) => [
        String(run.batch),
        whole(run.eventsPerS),
        whole(run.ingestEventsPerS),
        fine(run.eventsPerS / run.ingestEventsPerS),
        whole(run.eventsPerCpuS),
        whole(run.ingestEventsPerCpuS),
        fine(run.p50PullMs),
        fine(run.p99PullMs),
        fine(run.p50AcknowledgeMs),
        fine(run.p99AcknowledgeMs),
        fine(run.serverCpuShare),
        fine(run.loadCpuShare),
      ]),
    ]),
    'Published: the rate at which these events came in, in batches of as many, duplicates counted; events/CPU s and what',
    "follows: the same two by the server's processor time. Each event was delivered once.",
    `memory of the server: ${memory === null ? NONE : `${megabytes(memory.bytes)} MB, peak ${megabytes(memory.peakBytes)} MB`}`,
  ];
}
