import type { Answers } from './account.ts';
import { WORKS, type Work } from './file-state.ts';

/** What the service was doing when it was killed, seen from outside. */
const MOMENTS = ['start, file not open yet', 'start, file open', 'serving', 'idle', 'shutdown'] as const;

export type KilledWhile = (typeof MOMENTS)[number];

/** What a run has done so far and, at its end, what it found. */
export interface Report {
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
  /** Files of killed processes that were walked from end to end. */
  verified: number;
  outcome: 'kept' | 'broken' | 'interrupted';
  failure: Failure | null;
}

interface Failure {
  readonly round: number;
  readonly message: string;
  /** The files, kept as they were found. */
  readonly folder: string;
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
    verified: 0,
    outcome: 'interrupted',
    failure: null,
  };
}

export function reportText(report: Report): string {
  const { answers, failure } = report;
  const lines = [
    `seed ${report.seed}, ${report.minutes.toFixed(1)} minutes, ${report.rounds} rounds on ${report.files} files`,
    `${report.kills} kills: ${listOf(report.killedWhile)}; ${report.cleanStops} stops finished before the kill`,
    `  amid: ${listOf(report.killedAmid)}`,
    `${answers.accepted} events accepted, ${answers.duplicates} duplicates, ${answers.conflicts} of them conflicts`,
    `${answers.none} publishes without an answer, ${answers.refused} refused, ${answers.invalid} rejected as invalid`,
    `${report.verified} files of killed processes walked from end to end`,
  ];
  switch (report.outcome) {
    case 'kept':
      lines.push('PASS: every acknowledged event is stored once, unchanged, at the offset of its answer');
      break;
    case 'interrupted':
      lines.push('INTERRUPTED: nothing wrong was found so far');
      break;
    case 'broken':
      lines.push(
        `FAIL in round ${failure!.round} of seed ${report.seed}`,
        failure!.message,
        `the files are kept in ${failure!.folder}`,
      );
  }
  return `${lines.join('\n')}\n`;
}

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(' | ');
}
