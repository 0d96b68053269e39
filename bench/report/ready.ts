import type { BarLine, Ready } from '../results.ts';
import { median } from '../statistics.ts';
import { NONE, megabytes, tableLines, whole } from './table.ts';

export function readyLines(ready: readonly Ready[]): string[] {
  return tableLines([
    ['ready after kill -9', 'ms', 'memory at rest MB'],
    ...ready.map(({ keys, ms, restBytes }) => [
      `at ${whole(keys)} keys`,
      ms.map(whole).join(' '),
      restBytes === null ? NONE : megabytes(restBytes),
    ]),
  ]);
}

/** The bars at some numbers of keys; between two of them, and beyond the last, they are on a line. */
const BARS = [
  { keys: 0, ms: 700, restBytes: 110e6 },
  { keys: 5e6, ms: 1000, restBytes: 147.5e6 },
  { keys: 20e6, ms: 1300, restBytes: 260e6 },
] as const;

export function readyBar(ready: readonly Ready[]): BarLine[] {
  return ready.flatMap(({ keys, ms, restBytes }) => {
    const [low, high] = keys < BARS[1].keys ? [BARS[0], BARS[1]] : [BARS[1], BARS[2]];
    const share = (keys - low.keys) / (high.keys - low.keys);
    const msMax = low.ms + share * (high.ms - low.ms);
    const bytesMax = low.restBytes + share * (high.restBytes - low.restBytes);
    const seen = median(ms);
    const at = `${whole(keys)} keys`;
    return [
      { what: `ready at ${at}, ms`, bar: `≤ ${whole(msMax)}`, seen: whole(seen), met: seen <= msMax },
      {
        what: `memory at rest at ${at}, MB`,
        bar: `< ${megabytes(bytesMax)}`,
        seen: restBytes === null ? NONE : megabytes(restBytes),
        met: restBytes !== null && restBytes < bytesMax,
      },
    ];
  });
}
