import type { BarLine } from '../results.ts';
import type {
  DesignMeasure,
  InstancesRow,
  LiveElsewhere,
  PostgresGrowthResults,
  PostgresGrowthStep,
  PostgresResults,
  PostgresRow,
} from '../results/postgres.ts';
import { median } from '../statistics.ts';
import { fine, tableLines, whole } from './table.ts';

/** The text of a run on PostgreSQL. */
export function postgresLines({ designs, instances, live }: Omit<PostgresResults, 'machine'>): string[] {
  return [
    ...(designs === null ? [] : designsLines(designs)),
    ...instancesLines(instances),
    ...(live === null ? [] : liveLines(live)),
  ];
}

const COLUMNS = [
  'events/s',
  'p50 ms',
  'p99 ms',
  'events/commit',
  'CPU µs/event',
  'of it database',
  'WAL B/event',
  'load',
];

function designsLines({
  rows,
  keys,
  diskBytesPerEvent,
  naiveDiskBytesPerEvent,
  tables,
}: NonNullable<PostgresResults['designs']>): string[] {
  return [
    'naive: a row an event, INSERT … ON CONFLICT DO NOTHING, sorted, one transaction a request, 16 connections, behind',
    'node:http and JSON.parse, without the checks that ours makes. In turn; medians; ÷ is the median of the pairs.',
    ...tableLines([
      ['', 'batch', '÷ naive', 'CPU ÷ naive', ...COLUMNS],
      ...rows.flatMap((row) => [
        ['ChronicleWeaver', String(row.batch), fine(ratio(row)), fine(cpuRatio(row)), ...cells(row.ours)],
        ['naive', String(row.batch), '', '', ...cells(row.naive)],
      ]),
    ]),
    'CPU µs/event: processor time of service and database together, for each event sent; without the load.',
    `disk at ${whole(keys)} keys, tables and indexes: ${fine(diskBytesPerEvent)} bytes an event, naive ${fine(naiveDiskBytesPerEvent)}; ` +
      `ratio ${fine(diskBytesPerEvent / naiveDiskBytesPerEvent)}`,
    `of it, with indexes: ${tables
      .filter(({ bytes }) => bytes > keys / 2)
      .map(({ table, bytes, indexBytes }) => `${table} ${fine(bytes / keys)} (${fine(indexBytes / keys)})`)
      .join(', ')}`,
    '',
  ];
}

function instancesLines(rows: readonly InstancesRow[]): string[] {
  return [
    'instances of ours on one log, the same 16 publishers spread over them; all started anew for each measure',
    ...tableLines([
      ['instances', 'batch', '÷ one', 'slowest', ...COLUMNS],
      ...rows.map((row) => [
        String(row.count),
        String(row.batch),
        row.count === 1 ? '' : fine(byOne(rows, row)),
        row.count === 1 ? '' : fine(slowest(row)),
        ...cells(row.runs),
      ]),
    ]),
    'slowest: what the slowest instance answered, by an even share.',
    '',
  ];
}

function liveLines({ perSecond, events, p50Ms, p99Ms, maxMs, publish }: LiveElsewhere): string[] {
  return [
    `${perSecond} single events/s published on one instance, a follower on another, ${whole(events)} events, from when each was ` +
      `due to its receipt: p50 ${fine(p50Ms)} ms, p99 ${fine(p99Ms)} ms, longest ${fine(maxMs)} ms`,
    `the publishers' answers meanwhile: p50 ${fine(publish.p50Ms)} ms, p99 ${fine(publish.p99Ms)} ms`,
  ];
}

function cells(runs: readonly DesignMeasure[]): string[] {
  const of = (number: (run: DesignMeasure) => number): number => median(runs.map(number));
  return [
    whole(of((run) => run.eventsPerS)),
    fine(of((run) => run.p50Ms)),
    fine(of((run) => run.p99Ms)),
    fine(of((run) => run.eventsPerCommit)),
    fine(of((run) => run.ownCpuUs + run.databaseCpuUs)),
    fine(of((run) => run.databaseCpuUs)),
    whole(of((run) => run.walBytesPerEvent)),
    fine(of((run) => run.loadCpuShare)),
  ];
}

/** The bar for a run on PostgreSQL. */
export function postgresBar({ designs, instances, live }: Omit<PostgresResults, 'machine'>): BarLine[] {
  const lines: BarLine[] = [];
  const atLeast = (what: string, bar: number, seen: number): void => {
    lines.push({ what, bar: `≥ ${fine(bar)}`, seen: fine(seen), met: seen >= bar });
  };
  const atMost = (what: string, bar: number, seen: number): void => {
    lines.push({ what, bar: `≤ ${fine(bar)}`, seen: fine(seen), met: seen <= bar });
  };
  if (designs !== null) {
    for (const row of designs.rows)
      if (row.batch <= 100) atLeast(`batch ${row.batch} by naive`, 1.6, ratio(row));
    atMost('disk by naive', 0.45, designs.diskBytesPerEvent / designs.naiveDiskBytesPerEvent);
  }
  for (const row of instances) {
    if (row.count === 4) atLeast('four instances by one', 0.65, byOne(instances, row));
    if (row.count === 8) atLeast('the slowest of eight by its share', 0.5, slowest(row));
  }
  if (live !== null) atMost('p99 to a follower of another instance, ms', 50, live.p99Ms);
  return lines;
}

function ratio({ ours, naive }: PostgresRow): number {
  return median(ours.map((run, i) => run.eventsPerS / naive[i]!.eventsPerS));
}

function cpuRatio({ ours, naive }: PostgresRow): number {
  const cpuUs = (run: DesignMeasure): number => run.ownCpuUs + run.databaseCpuUs;
  return median(ours.map((run, i) => cpuUs(run) / cpuUs(naive[i]!)));
}

function byOne(rows: readonly InstancesRow[], { runs }: InstancesRow): number {
  const one = rows.find(({ count }) => count === 1)!;
  return median(runs.map((run, i) => run.eventsPerS / one.runs[i]!.eventsPerS));
}

function slowest({ runs }: InstancesRow): number {
  return median(runs.map(({ slowestShare }) => slowestShare ?? 1));
}

const GROWTH_COLUMNS = [12, 10, 9, 9, 14, 13, 14, 7];

function growthCells(cells: readonly string[]): string {
  return cells.map((cell, column) => cell.padStart(GROWTH_COLUMNS[column]!)).join('');
}

/** The growth table's lines have fixed widths, because each is shown as soon as its step is done. */
export function postgresGrowthHead(): string {
  return growthCells([
    'keys',
    'events/s',
    'p50 ms',
    'p99 ms',
    'CPU µs/event',
    'WAL B/event',
    'disk B/event',
    'load',
  ]);
}

export function postgresGrowthLine({
  keys,
  measure,
  diskBytesPerEvent,
  walBytesPerEvent,
}: PostgresGrowthStep): string {
  return growthCells([
    whole(keys),
    whole(measure.eventsPerS),
    fine(measure.p50Ms),
    fine(measure.p99Ms),
    fine(1e6 / measure.eventsPerCpuS),
    whole(walBytesPerEvent),
    fine(diskBytesPerEvent),
    fine(measure.loadCpuShare),
  ]);
}

export function postgresGrowthBar({ steps }: Omit<PostgresGrowthResults, 'machine'>): BarLine[] {
  const seen = steps.at(-1)!.measure.eventsPerS / steps[0]!.measure.eventsPerS;
  return [{ what: 'last step by first step', bar: '≥ 0.80', seen: fine(seen), met: seen >= 0.8 }];
}
