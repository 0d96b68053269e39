import type { Check } from './check.ts';
import type { Plan } from './events.ts';
import type { Options } from './options.ts';
import type { Tally } from './publish.ts';

/** The result of a run. The names are those of the JSON report. */
export interface Report {
  outcome: 'PASS' | 'FAIL' | 'INTERRUPTED';
  run_id: string;
  aggregator: string;
  /** Planned events, including duplicates; `answered` says how many of them got a verdict. */
  events: number;
  unique_events: number;
  batch_size: number;
  answered: number;
  accepted: number;
  /** Including conflicts, as on the wire. */
  duplicates: number;
  conflicts: number;
  retries: number;
  seconds: number;
  events_per_second: number;
  /** Time until a batch's answer; null if none arrived. */
  latency_ms: { p50: number; p99: number; max: number } | null;
  checks: Check[];
  /** Why the run stopped early, or null. */
  stopped: string | null;
}

/** How a run ended: it finished all checks, gave up (`reason` says why), or was interrupted. */
export type Ending = { kind: 'finished' } | { kind: 'gave-up' | 'interrupted'; reason: string };

export function createReport(
  options: Options,
  plan: Plan,
  tally: Tally,
  checks: Check[],
  ending: Ending,
): Report {
  const seconds = tally.elapsedMs / 1000;
  return {
    outcome: outcomeOf(checks, ending),
    run_id: plan.runId,
    aggregator: options.baseUrl,
    events: plan.order.length,
    unique_events: plan.uniqueCount,
    batch_size: options.batchSize,
    answered: tally.answered,
    accepted: tally.accepted,
    duplicates: tally.duplicates,
    conflicts: tally.conflicts,
    retries: tally.retries,
    seconds: round(seconds, 3),
    events_per_second: seconds === 0 ? 0 : Math.round(tally.answered / seconds),
    latency_ms: tally.latencyUs.count === 0 ? null : latencyOf(tally),
    checks,
    stopped: ending.kind === 'finished' ? null : ending.reason,
  };
}

/** The report for a person: several lines, each with a line end. */
export function reportText(report: Report): string {
  const { latency_ms: latency } = report;
  const lines = [
    `${report.outcome}: ChronicleWeaver stress run ${report.run_id} against ${report.aggregator}`,
    `  answered   ${report.answered} of ${report.events} events (${report.unique_events} unique)`,
    `  verdicts   ${report.accepted} accepted, ${report.duplicates} duplicates, of these ${report.conflicts} conflicts`,
    `  speed      ${report.events_per_second} events/s, ${report.seconds} s`,
    latency === null
      ? '  latency    no answer arrived'
      : `  latency    p50 ${latency.p50} ms, p99 ${latency.p99} ms, max ${latency.max} ms (answer to ${report.batch_size} events)`,
    `  retries    ${report.retries}`,
    ...report.checks.map((check) => `  ${check.pass ? 'PASS' : 'FAIL'}  ${check.name}: ${check.detail}`),
    ...report.checks.flatMap((check) => check.remarks.map((remark) => `  note  ${remark}`)),
  ];
  if (report.stopped !== null) {
    lines.push(
      `  stopped    ${report.stopped}`,
      `  resume with --run-id=${report.run_id} and the same flags: events already stored will be duplicates`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function outcomeOf(checks: Check[], ending: Ending): Report['outcome'] {
  if (ending.kind === 'interrupted') return 'INTERRUPTED';
  return ending.kind === 'finished' && checks.every((check) => check.pass) ? 'PASS' : 'FAIL';
}

function latencyOf({ latencyUs }: Tally): Report['latency_ms'] {
  return { p50: ms(latencyUs.percentile(50)), p99: ms(latencyUs.percentile(99)), max: ms(latencyUs.max) };
}

function ms(us: number): number {
  return round(us / 1000, 2);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
