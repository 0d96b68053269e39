import { AssertionError } from 'node:assert';
import type { Answers } from './account.ts';
import { BrokenPromise } from './broken-promise.ts';
import { WORKS, type Work } from './file-state.ts';
import type { Deletions } from './letting-go/deleter.ts';

/** What the service was doing when it was killed, seen from outside. */
const MOMENTS = ['start, file not open yet', 'start, file open', 'serving', 'idle', 'shutdown'] as const;

export type KilledWhile = (typeof MOMENTS)[number];

/** How a run ended. */
export interface Outcome {
  outcome: 'kept' | 'broken' | 'interrupted';
  failure: Failure | null;
}

/** What a run has done so far and, at its end, what it found. */
export interface Report extends Outcome {
  readonly seed: number;
  minutes: number;
  rounds: number;
  files: number;
  kills: number;
  readonly killedWhile: Record<KilledWhile, number>;
  /** How many kills interrupted each kind of work; one kill may interrupt several. */
  readonly killedAmid: Record<Work, number>;
  /** Stops that finished before the kill came. */
  cleanStops: number;
  readonly answers: Answers;
  readonly deletions: Deletions;
  /** Files of killed processes that were walked from end to end. */
  verified: number;
}

interface Failure extends Cause {
  readonly round: number;
  /** The files, kept as they were found; null where there are none. */
  readonly folder: string | null;
}

/** What ended a run. */
export interface Cause {
  readonly message: string;
  /** Whether the service did what it must not; otherwise the run itself came to grief. */
  readonly isOfService: boolean;
}

export function causeOf(error: unknown): Cause {
  return {
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    isOfService: isOfService(error),
  };
}

function isOfService(error: unknown): boolean {
  if (error instanceof BrokenPromise || error instanceof AssertionError) return true;
  return error instanceof Error && isOfService(error.cause);
}

export function newReport(seed: number): Report {
  return {
    seed,
    minutes: 0,
    rounds: 0,
    files: 0,
    kills: 0,
    killedWhile: zeros(MOMENTS),
    killedAmid: zeros(WORKS),
    cleanStops: 0,
    answers: { accepted: 0, duplicates: 0, conflicts: 0, refused: 0, invalid: 0, none: 0 },
    deletions: noDeletions(),
    verified: 0,
    outcome: 'interrupted',
    failure: null,
  };
}

export function reportText(report: Report): string {
  const { answers } = report;
  return textOf(report, [
    `seed ${report.seed}, ${report.minutes.toFixed(1)} minutes, ${report.rounds} rounds on ${report.files} files`,
    `${report.kills} kills: ${listOf(report.killedWhile)}; ${report.cleanStops} stops finished before the kill`,
    `  amid: ${listOf(report.killedAmid)}`,
    `${answers.accepted} events accepted, ${answers.duplicates} duplicates, ${answers.conflicts} of them conflicts`,
    `${answers.none} publishes without an answer, ${answers.refused} refused, ${answers.invalid} rejected as invalid`,
    deletionsText(report.deletions),
    `${report.verified} files of killed processes walked from end to end`,
  ]);
}

/** What a run prints at its end: what it did, and what came of it. */
export function textOf(report: Outcome & Pick<Report, 'seed'>, did: readonly string[]): string {
  const lines = [...did];
  const { failure } = report;
  switch (report.outcome) {
    case 'kept':
      lines.push(
        'PASS: every acknowledged event is stored once, unchanged, at the offset of its answer, unless it was let go of',
      );
      break;
    case 'interrupted':
      lines.push('INTERRUPTED: nothing wrong was found so far');
      break;
    case 'broken':
      lines.push(
        `FAIL in round ${failure!.round} of seed ${report.seed}`,
        failure!.message,
        ...(failure!.folder === null ? [] : [`the files are kept in ${failure!.folder}`]),
      );
  }
  return `${lines.join('\n')}\n`;
}

export function noDeletions(): Deletions {
  return { truncations: 0, erasures: 0, forgotten: 0, inDoubt: 0 };
}

export function deletionsText({ truncations, erasures, forgotten, inDoubt }: Deletions): string {
  return `${truncations} truncations, ${erasures} erasures, ${forgotten} of them with the id, ${inDoubt} such requests in doubt`;
}

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(' | ');
}
