import type { AppendOnly, BarLine, Scenario, StandardResults, System } from '../results.ts';
import { median } from '../statistics.ts';
import { drainLines } from './drain.ts';
import { tailsBar, tailsLines } from './tails.ts';
import { writesLines } from './writes.ts';
import { fanOutBar, fanOutLines } from './fan-out.ts';
import { readyBar, readyLines } from './ready.ts';
import { NONE, fine, megabytes, tableLines, whole } from './table.ts';

/** The text of a standard run. */
export function standardLines(results: StandardResults): string[] {
  const { server, afternoon, sink, appendOnly } = results;
  return [
    ...tableLines([
      [
        '',
        'batch',
        'events/s',
        '÷(a)',
        '÷(b)',
        '÷(c)',
        'p50 ms',
        '÷(b)',
        'p99 ms',
        '÷(b)',
        'CPU',
        'load',
        'events/CPU s',
      ],
      ...server.scenarios.map((scenario) => scenarioRow(results, server, scenario)),
      appendOnlyRow(appendOnly),
      ...[afternoon, sink].flatMap((system) =>
        system.scenarios.map((scenario) => scenarioRow(results, system, scenario)),
      ),
    ]),
    "CPU and load: cores that the server and the load kept busy. events/CPU s: per second of the server's processor",
    'time, which does not include waiting for the disk or for other work on the machine.',
    '',
    ...tableLines([
      ['', 'keys', 'memory MB', 'peak MB', 'disk B/event', 'ready after kill -9, ms'],
      systemRow(server),
      ['(a) append-only', NONE, NONE, NONE, fine(appendOnly.diskBytesPerEvent), NONE],
      systemRow(afternoon),
      systemRow(sink),
      ['ChronicleWeaver ÷(b)', '', ...ratios(server, afternoon)],
    ]),
    '',
    ...otherLines(results),
    '',
    ...readyLines(results.ready),
    '',
    ...fanOutLines(results.fanOut),
    '',
    ...drainLines(results.drain),
    '',
    ...tailsLines(results.tails),
    '',
    ...writesLines(results.writes),
  ];
}

function appendOnlyRow({ eventsPerS, eventsPerCpuS }: AppendOnly): string[] {
  const cpu = fine(eventsPerS / eventsPerCpuS);
  const row = ['(a) append-only', '1000', whole(eventsPerS), '1.00', '', '', '', '', '', '', cpu, ''];
  return [...row, whole(eventsPerCpuS)];
}

function scenarioRow(
  { server, ...references }: StandardResults,
  system: System,
  scenario: Scenario,
): string[] {
  const { batch, eventsPerS, p50Ms, p99Ms, serverCpuShare, loadCpuShare, eventsPerCpuS } = scenario;
  const isOurs = system === server;
  const b = atBatch(references.afternoon, batch);
  const c = atBatch(references.sink, batch);
  const by = (number: number, reference: number): string => (isOurs ? fine(number / reference) : '');
  return [
    system.name,
    String(batch),
    whole(eventsPerS),
    fine(eventsPerS / references.appendOnly.eventsPerS),
    by(eventsPerS, b.eventsPerS),
    by(eventsPerS, c.eventsPerS),
    fine(p50Ms),
    by(p50Ms, b.p50Ms),
    fine(p99Ms),
    by(p99Ms, b.p99Ms),
    fine(serverCpuShare),
    fine(loadCpuShare),
    whole(eventsPerCpuS),
  ];
}

function systemRow({ name, keys, memory, diskBytesPerEvent, readyMs }: System): string[] {
  return [
    name,
    keys === null ? NONE : `${whole(keys[0])}..${whole(keys[1])}`,
    memory === null ? NONE : megabytes(memory.bytes),
    memory === null ? NONE : megabytes(memory.peakBytes),
    diskBytesPerEvent === null ? NONE : fine(diskBytesPerEvent),
    readyMs === null ? NONE : whole(median(readyMs)),
  ];
}

function ratios(ours: System, theirs: System): string[] {
  const by = (number: number | undefined, reference: number | undefined): string =>
    number === undefined || reference === undefined ? NONE : fine(number / reference);
  return [
    by(ours.memory?.bytes, theirs.memory?.bytes),
    by(ours.memory?.peakBytes, theirs.memory?.peakBytes),
    by(ours.diskBytesPerEvent ?? undefined, theirs.diskBytesPerEvent ?? undefined),
    by(median(ours.readyMs ?? []), median(theirs.readyMs ?? [])),
  ];
}

function otherLines({ openLoop, reading, diskBytesPerEventStopped }: StandardResults): string[] {
  const { memoryAfter } = reading;
  return [
    `open loop, ${openLoop.perSecond} single events/s: p50 ${fine(openLoop.p50Ms)} ms, p99 ${fine(openLoop.p99Ms)} ms, ` +
      `p99.9 ${fine(openLoop.p999Ms)} ms`,
    `disk after a clean stop: ${fine(diskBytesPerEventStopped)} bytes per stored event`,
    `GET /events of ${whole(reading.events)} events: ${whole(reading.eventsPerS)} events/s, ` +
      `${megabytes(reading.bytesPerS)} MB/s; the same blocks in a bare loop: ${whole(reading.bareEventsPerS)} events/s; ` +
      `ratio ${fine(reading.eventsPerS / reading.bareEventsPerS)}`,
    `by processor time: ${whole(reading.eventsPerCpuS)} and ${whole(reading.bareEventsPerCpuS)} events/CPU s; ` +
      `ratio ${fine(reading.eventsPerCpuS / reading.bareEventsPerCpuS)}`,
    ...(memoryAfter === null
      ? []
      : [
          `memory after reading: ${megabytes(memoryAfter.bytes)} MB, peak ${megabytes(memoryAfter.peakBytes)} MB`,
        ]),
  ];
}

/** The bar for the standard run. */
export function standardBar(results: StandardResults): BarLine[] {
  const { server, afternoon, sink, appendOnly, openLoop, reading } = results;
  const rate = (system: System, batch: number): number => atBatch(system, batch).eventsPerS;
  const disk = Math.max(server.diskBytesPerEvent ?? 0, results.diskBytesPerEventStopped);
  const atLeast = (what: string, bar: number, seen: number): BarLine => ({
    what,
    bar: `≥ ${fine(bar)}`,
    seen: fine(seen),
    met: seen >= bar,
  });
  const below = (what: string, bar: number, seen: number): BarLine => ({
    what,
    bar: `< ${fine(bar)}`,
    seen: fine(seen),
    met: seen < bar,
  });
  return [
    atLeast('batch 100 by (b) afternoon', 6, rate(server, 100) / rate(afternoon, 100)),
    atLeast('batch 100 by (a) append-only', 0.8, rate(server, 100) / appendOnly.eventsPerS),
    atLeast('batch 1000 by (a) append-only', 1, rate(server, 1000) / appendOnly.eventsPerS),
    atLeast('batch 1 by (c) sink', 0.4, rate(server, 1) / rate(sink, 1)),
    below('p99 at 1000 single events/s, ms', 5, openLoop.p99Ms),
    below('p99.9 at 1000 single events/s, ms', 15, openLoop.p999Ms),
    below('disk per stored event, bytes', 100, disk),
    atLeast('GET /events by a bare loop', 1 / 3, reading.eventsPerS / reading.bareEventsPerS),
    ...readyBar(results.ready),
    ...fanOutBar(results.fanOut),
    ...tailsBar(results.tails),
  ];
}

function atBatch({ scenarios }: System, batch: number): Scenario {
  return scenarios.find((scenario) => scenario.batch === batch)!;
}
