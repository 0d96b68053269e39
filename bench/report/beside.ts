import type { BarLine, Beside } from '../results.ts';
import { fine, tableLines, whole } from './table.ts';

/** The text of a side-by-side run. */
export function besideLines({ rows }: Beside): string[] {
  return [
    'Redis with appendfsync always: a hash of the keys, a stream of the events, a script a batch',
    ...tableLines([
      ['', 'batch', 'events/s', '÷ Redis', 'p50 ms', 'p99 ms', 'p99.9 ms', 'CPU', 'load'],
      ...rows.flatMap(({ ours, redis }) =>
        [
          { name: 'ChronicleWeaver', scenario: ours },
          { name: 'Redis', scenario: redis },
        ].map(({ name, scenario }) => [
          name,
          String(scenario.batch),
          whole(scenario.eventsPerS),
          fine(scenario.eventsPerS / redis.eventsPerS),
          fine(scenario.p50Ms),
          fine(scenario.p99Ms),
          fine(scenario.p999Ms),
          fine(scenario.serverCpuShare),
          fine(scenario.loadCpuShare),
        ]),
      ),
    ]),
  ];
}

/** The bar for the side-by-side run. */
export function besideBar({ rows }: Beside): BarLine[] {
  const { ours, redis } = rows.find(({ ours }) => ours.batch === 1)!;
  const seen = ours.eventsPerS / redis.eventsPerS;
  return [{ what: 'batch 1 by Redis', bar: '≥ 1.2', seen: fine(seen), met: seen >= 1.2 }];
}
