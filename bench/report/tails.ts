import type { BarLine, Scenario, Tails } from '../results.ts';
import { fine, tableLines, whole } from './table.ts';

/** The text of a tails run. */
export function tailsLines({ rows }: Tails): string[] {
  return [
    '16 publishers, each its next publish when it has an answer; cold: the first events of a process; warm: those after them:',
    ...tableLines([
      ['', 'batch', 'events/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'p99 ÷ p50', 'CPU'],
      ...rows.flatMap(({ cold, warm }) => [tailRow('cold', cold), tailRow('warm', warm)]),
    ]),
  ];
}

function tailRow(state: string, scenario: Scenario): string[] {
  const { batch, eventsPerS, p50Ms, p99Ms, p999Ms, maxMs, serverCpuShare } = scenario;
  return [
    state,
    String(batch),
    whole(eventsPerS),
    fine(p50Ms),
    fine(p99Ms),
    fine(p999Ms),
    fine(maxMs),
    fine(p99Ms / p50Ms),
    fine(serverCpuShare),
  ];
}

/** The bar for the tails run. */
export function tailsBar({ rows }: Tails): BarLine[] {
  return rows
    .filter(({ batch }) => batch > 1)
    .flatMap(({ batch, cold, warm }) => [
      atMost(`p99 by p50, batch ${batch}, cold`, 4, cold.p99Ms / cold.p50Ms),
      atMost(`p99 by p50, batch ${batch}, warm`, 3, warm.p99Ms / warm.p50Ms),
    ]);
}

function atMost(what: string, bar: number, seen: number): BarLine {
  return { what, bar: `≤ ${fine(bar)}`, seen: fine(seen), met: seen <= bar };
}
