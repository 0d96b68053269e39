import type { Answers } from '../account.ts';
import type { Deletions } from '../letting-go/deleter.ts';
import { type Outcome, deletionsText, noDeletions } from '../report.ts';
import { FAULTS, type Fault } from './plan.ts';

/** What was seen of one kind of fault. */
interface Seen {
  times: number;
  /** From the fault to the next acknowledgement, milliseconds: the middle of all times, and the longest. */
  readonly goneOnMs: number[];
}

/** What a run on PostgreSQL has done so far and, at its end, what it found. */
export interface DatabaseReport extends Outcome {
  readonly seed: number;
  readonly instances: number;
  /** The database's own name and version. */
  database: string;
  minutes: number;
  rounds: number;
  logs: number;
  readonly faults: Record<Fault, Seen>;
  /** Of each failover, from the kill of the primary to the end of the promotion, milliseconds. */
  readonly promotedMs: number[];
  /** Connections cut. */
  cuts: number;
  /** Operations in the histories that were checked. */
  operations: number;
  /** Streams that followers opened. */
  streams: number;
  /** Events that workers of a group were given, and messages that a webhook sent. */
  deliveries: number;
  messages: number;
  readonly answers: Answers;
  readonly deletions: Deletions;
}

export function newDatabaseReport(seed: number, instances: number): DatabaseReport {
  return {
    seed,
    instances,
    database: '',
    minutes: 0,
    rounds: 0,
    logs: 0,
    faults: Object.fromEntries(
      FAULTS.map((fault) => [fault, { times: 0, goneOnMs: [] }]),
    ) as unknown as Record<Fault, Seen>,
    promotedMs: [],
    cuts: 0,
    operations: 0,
    streams: 0,
    deliveries: 0,
    messages: 0,
    answers: { accepted: 0, duplicates: 0, conflicts: 0, refused: 0, invalid: 0, none: 0 },
    deletions: noDeletions(),
    outcome: 'interrupted',
    failure: null,
  };
}

/** How many faults there were. */
export function faultsIn({ faults }: DatabaseReport): number {
  return Object.values(faults).reduce((sum, { times }) => sum + times, 0);
}

export function databaseLines(report: DatabaseReport): string[] {
  const { answers } = report;
  return [
    `seed ${report.seed}, ${report.minutes.toFixed(1)} minutes, ${report.rounds} rounds on ${report.logs} logs, ` +
      `${report.instances} instances on ${report.database}`,
    ...Object.entries(report.faults)
      .filter(([, { times }]) => times > 0)
      .map(([fault, seen]) => `  ${fault} ${seen.times}${goneOnText(seen)}`),
    ...(report.promotedMs.length === 0
      ? []
      : [`  promoted after ${spreadOf(report.promotedMs)} of each failover`]),
    `${answers.accepted} events accepted, ${answers.duplicates} duplicates, ${answers.conflicts} of them conflicts`,
    `${answers.none} publishes without an answer, ${answers.refused} refused, ${answers.invalid} rejected as invalid; ` +
      `${report.cuts} connections cut`,
    deletionsText(report.deletions),
    `${report.operations} operations in histories that one order explains, ${report.streams} streams of followers without a gap`,
    `${report.deliveries} deliveries to workers, each event leased by one and acknowledged; ${report.messages} webhooks, each event under one id`,
  ];
}

function goneOnText({ goneOnMs }: Seen): string {
  return goneOnMs.length === 0 ? '' : `, publishing went on after ${spreadOf(goneOnMs)}`;
}

function spreadOf(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${Math.round(sorted[sorted.length >> 1]!)} ms (median), at most ${Math.round(sorted.at(-1)!)} ms`;
}
