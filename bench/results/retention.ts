import type { Machine } from '../results.ts';

/** How long answers took, from when their requests were due. NaN where there were none. */
export interface AnswerTimes {
  readonly answers: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** Sizes at some moment, seconds after the beginning. */
export interface FileSize {
  readonly seconds: number;
  readonly kept: number;
  /** Events accepted so far; in the file are their ids, as far as these are known. */
  readonly ids: number;
  readonly fileBytes: number;
  readonly logBytes: number;
  /** File and log by what the kept events and all ids take in a file from which nothing has gone. */
  readonly ratio?: number;
}

/** Nine tenths of the events go while others are published. */
export interface LettingGo {
  readonly events: number;
  readonly keep: number;
  /** In the full file. */
  readonly bytesPerEvent: number;
  readonly bytesPerKey: number;
  /** The story of the duplicates. */
  readonly repeatsBytes: number;
  readonly before: AnswerTimes;
  readonly during: AnswerTimes;
  /** Its parts: until the events are gone, and from then on. */
  readonly going: AnswerTimes;
  readonly shrinking: AnswerTimes;
  /** Each second. */
  readonly sizes: readonly FileSize[];
  /** Seconds until the events are gone, and until the file has the size that it should; null if never. */
  readonly goneAfterS: number;
  readonly reachedAfterS: number | null;
}

/** Constant publishing under a policy. */
export interface SteadyState {
  readonly maxEvents: number;
  readonly ids: string;
  readonly minutes: number;
  readonly times: AnswerTimes;
  /** Each second. */
  readonly sizes: readonly FileSize[];
}

export interface RetentionResults {
  readonly kind: 'retention';
  readonly quick: boolean;
  readonly machine: Machine;
  readonly load: { readonly perSecond: number; readonly batch: number };
  readonly lettingGo: LettingGo;
  readonly steadyState: SteadyState;
}
