import type { BarLine, GrowthResults, GrowthStep } from '../results.ts';
import { readyBar, readyLines } from './ready.ts';
import { NONE, fine, megabytes, whole } from './table.ts';

const COLUMNS = [12, 10, 9, 9, 11, 9, 14, 7, 7, 14];

/** A line of the growth table. Columns have fixed widths, because each line is shown as soon as its step is done. */
function line(cells: readonly string[]): string {
  return cells.map((cell, column) => cell.padStart(COLUMNS[column]!)).join('');
}

export function growthHead(): string {
  return line([
    'keys',
    'events/s',
    'p50 ms',
    'p99 ms',
    'memory MB',
    'peak MB',
    'disk B/event',
    'CPU',
    'load',
    'events/CPU s',
  ]);
}

export function growthLine({ keys, measure, memory, diskBytesPerEvent }: GrowthStep): string {
  return line([
    whole(keys),
    whole(measure.eventsPerS),
    fine(measure.p50Ms),
    fine(measure.p99Ms),
    memory === null ? NONE : megabytes(memory.bytes),
    memory === null ? NONE : megabytes(memory.peakBytes),
    fine(diskBytesPerEvent),
    fine(measure.serverCpuShare),
    fine(measure.loadCpuShare),
    whole(measure.eventsPerCpuS),
  ]);
}

/** The lines below the table. */
export function growthLines({ steps, ready, diskBytesPerEventStopped }: GrowthResults): string[] {
  return [
    `last step ÷ first step: ${fine(lastByFirst(steps))}`,
    `disk after a clean stop: ${fine(diskBytesPerEventStopped)} bytes per stored event`,
    ...readyLines(ready),
  ];
}

/** The bar for the growth run. */
export function growthBar({ steps, ready, diskBytesPerEventStopped }: GrowthResults): BarLine[] {
  const { keys, memory } = steps.at(-1)!;
  const memoryMax = 250e6 + 2 * keys;
  const ratio = lastByFirst(steps);
  const disk = Math.max(steps.at(-1)!.diskBytesPerEvent, diskBytesPerEventStopped);
  return [
    { what: 'last step by first step', bar: '≥ 0.85', seen: fine(ratio), met: ratio >= 0.85 },
    {
      what: 'peak memory, MB (250 MB + 2 bytes a key)',
      bar: `< ${megabytes(memoryMax)}`,
      seen: memory === null ? NONE : megabytes(memory.peakBytes),
      met: memory !== null && memory.peakBytes < memoryMax,
    },
    { what: 'disk per stored event, bytes', bar: '< 100', seen: fine(disk), met: disk < 100 },
    ...readyBar(ready),
  ];
}

function lastByFirst(steps: readonly GrowthStep[]): number {
  return steps.at(-1)!.measure.eventsPerS / steps[0]!.measure.eventsPerS;
}
