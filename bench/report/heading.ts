import type { BarLine, Machine } from '../results.ts';
import { tableLines } from './table.ts';

/** Describes what every number of the run depends on. */
export function headingLines(machine: Machine): string[] {
  const { at, processor, cores, node, folder, pinned, publishers, eventBytes, zstdShare } = machine;
  return [
    `ChronicleWeaver bench, ${at}`,
    `${processor}, ${cores} cores, Node ${node}, files in ${folder}`,
    pinned === null
      ? 'NOT PINNED: servers and load share the cores'
      : `pinned: servers to core ${pinned.server}, load to core ${pinned.load}`,
    `${publishers} publishers; events of ${Math.round(eventBytes)} bytes on average, zstd makes a body of 1000 ` +
      `${Math.round(zstdShare * 100)} % of its size; 20 % duplicates, half of them recent, half of any age`,
    '',
  ];
}

export function barLines(bar: readonly BarLine[], note: string): string[] {
  return [
    '',
    `The bar${note}`,
    ...tableLines(
      bar.map(({ what, bar, seen, met }) => [what, `bar ${bar}`, `seen ${seen}`, met ? 'met' : 'not met']),
    ),
  ];
}
