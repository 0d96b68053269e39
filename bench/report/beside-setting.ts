import type { Measure } from '../load/measure.ts';
import type { BesideSetting } from '../results.ts';
import { median } from '../statistics.ts';
import { fine, tableLines, whole } from './table.ts';

/** The text of a run with a setting and without it. */
export function besideSettingLines({ variable, rows, diskBytesPerEvent }: BesideSetting): string[] {
  const name = variable.join('=');
  return [
    `with ${name} and without, in turn; medians; ÷ is the median of the pairs`,
    ...tableLines([
      ['', 'batch', 'events/s', '÷ without', 'CPU µs/event', '÷ without', 'p50 ms', 'p99 ms'],
      ...rows.flatMap(({ batch, without, with: withIt }) => [
        ['without', String(batch), ...cells(without, null)],
        [name, String(batch), ...cells(withIt, without)],
      ]),
    ]),
    `file and log: ${fine(diskBytesPerEvent.without)} bytes an event without, ${fine(diskBytesPerEvent.with)} with it`,
  ];
}

function cells(measures: readonly Measure[], without: readonly Measure[] | null): string[] {
  const of = (number: (measure: Measure) => number): number => median(measures.map(number));
  const ratio = (number: (measure: Measure) => number): string =>
    without === null ? '' : fine(median(measures.map((one, i) => number(one) / number(without[i]!))));
  const cpuUs = ({ eventsPerCpuS }: Measure): number => 1e6 / eventsPerCpuS;
  const rate = ({ eventsPerS }: Measure): number => eventsPerS;
  return [
    whole(of(rate)),
    ratio(rate),
    fine(of(cpuUs)),
    ratio(cpuUs),
    fine(of(({ p50Ms }) => p50Ms)),
    fine(of(({ p99Ms }) => p99Ms)),
  ];
}
