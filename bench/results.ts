import type { Measure } from './load/measure.ts';
import type { Memory } from '../lab/proc.ts';
import { median } from './statistics.ts';

/** All measures of one server at one batch size; the numbers are medians of the runs. */
export interface Scenario extends Measure {
  readonly batch: number;
  readonly runs: readonly Measure[];
}

export function scenarioOf(batch: number, runs: readonly Measure[]): Scenario {
  const of = (number: (run: Measure) => number): number => median(runs.map(number));
  return {
    batch,
    events: runs[0]!.events,
    eventsPerS: of((run) => run.eventsPerS),
    p50Ms: of((run) => run.p50Ms),
    p99Ms: of((run) => run.p99Ms),
    p999Ms: of((run) => run.p999Ms),
    maxMs: of((run) => run.maxMs),
    loadCpuShare: of((run) => run.loadCpuShare),
    serverCpuShare: of((run) => run.serverCpuShare),
    eventsPerCpuS: of((run) => run.eventsPerCpuS),
    runs,
  };
}

/** The measures of one server. Null is what it does not have or this machine cannot tell. */
export interface System {
  readonly name: string;
  /** Keys stored before the first measure and after the last. */
  readonly keys: readonly [number, number] | null;
  readonly scenarios: readonly Scenario[];
  /** After the measures. */
  readonly memory: Memory | null;
  /** Size of the file and its write-ahead log per stored event, after the measures. */
  readonly diskBytesPerEvent: number | null;
  /** Time from the start of the process to the first 200 of /ready, after each `kill -9`. */
  readonly readyMs: readonly number[] | null;
}

/** Reference (a). */
export interface AppendOnly {
  readonly eventsPerS: number;
  readonly eventsPerCpuS: number;
  readonly runs: readonly number[];
  readonly diskBytesPerEvent: number;
}

/** `GET /events` of everything, and the same blocks in a bare loop. */
export interface Reading {
  readonly events: number;
  readonly eventsPerS: number;
  readonly bytesPerS: number;
  readonly runs: readonly number[];
  readonly bareEventsPerS: number;
  /** Per second of processor time, of server and bare loop; other work on the machine does not change it. */
  readonly eventsPerCpuS: number;
  readonly bareEventsPerCpuS: number;
  readonly memoryAfter: Memory | null;
}

export interface Machine {
  readonly at: string;
  readonly processor: string;
  readonly cores: number;
  readonly node: string;
  readonly folder: string;
  readonly pinned: { readonly server: number; readonly load: number } | null;
  readonly publishers: number;
  readonly eventBytes: number;
  /** To what share of its size zstd, level 1, packs a body of 1000 events. */
  readonly zstdShare: number;
}

/** Starts after `kill -9`. */
export interface Ready {
  /** Stored at the first of them. */
  readonly keys: number;
  /** From the start of the process to the first 200 of /ready, of each. */
  readonly ms: readonly number[];
  /** Resident bytes some seconds after the last one. */
  readonly restBytes: number | null;
}

export interface StandardResults {
  readonly kind: 'standard';
  readonly quick: boolean;
  readonly machine: Machine;
  readonly server: System;
  readonly diskBytesPerEventStopped: number;
  readonly openLoop: Measure & { readonly perSecond: number };
  readonly reading: Reading;
  readonly fanOut: FanOut;
  readonly drain: Drain;
  readonly tails: Tails;
  readonly writes: Writes;
  readonly ready: readonly Ready[];
  readonly appendOnly: AppendOnly;
  readonly afternoon: System;
  readonly sink: System;
}

export interface GrowthStep {
  readonly keys: number;
  readonly measure: Measure;
  readonly memory: Memory | null;
  readonly diskBytesPerEvent: number;
}

export interface GrowthResults {
  readonly kind: 'growth';
  readonly machine: Machine;
  readonly stepKeys: number;
  readonly steps: readonly GrowthStep[];
  readonly ready: readonly Ready[];
  readonly diskBytesPerEventStopped: number;
}

/** One measure of events delivered to live followers; times are from commit to receipt. */
export interface FanOutRun {
  readonly events: number;
  /** Events times followers. */
  readonly deliveries: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Time since the publisher's answer, which may come before or after the follower's event. */
  readonly p99SinceAnswerMs: number;
  readonly serverCpuShare: number;
  readonly loadCpuShare: number;
}

export interface FanOut {
  readonly followers: number;
  readonly perSecond: number;
  readonly batch: number;
  readonly runs: readonly FanOutRun[];
  readonly memory: Memory | null;
}

export interface FanOutResults {
  readonly kind: 'fan-out';
  readonly machine: Machine;
  readonly fanOut: FanOut;
}

/** Draining a group, `batch` events at a time; numbers are over all runs, or their medians. */
export interface DrainRun {
  readonly batch: number;
  readonly eventsPerS: number;
  /** The rate at which the events were published, in batches of the same size. */
  readonly ingestEventsPerS: number;
  /** Per second of the server's processor time. */
  readonly eventsPerCpuS: number;
  readonly ingestEventsPerCpuS: number;
  readonly p50PullMs: number;
  readonly p99PullMs: number;
  readonly p50AcknowledgeMs: number;
  readonly p99AcknowledgeMs: number;
  readonly serverCpuShare: number;
  readonly loadCpuShare: number;
}

export interface Drain {
  readonly events: number;
  readonly runs: readonly DrainRun[];
  readonly memory: Memory | null;
}

export interface DrainResults {
  readonly kind: 'drain';
  readonly machine: Machine;
  readonly drain: Drain;
}

/** One batch size: the first publishes of a process, and those that follow. */
export interface TailRow {
  readonly batch: number;
  readonly cold: Scenario;
  readonly warm: Scenario;
}

/** What so many commits wrote and synced, in all. */
export interface WritesRow {
  readonly batch: number;
  readonly events: number;
  readonly commits: number;
  readonly logPages: number;
  readonly logSyncs: number;
  readonly filePages: number;
  readonly fileSyncs: number;
  /** Those by the thread that commits: a commit waits for them. */
  readonly fileSyncsByWriter: number;
  /** Written to log and file. */
  readonly bytes: number;
}

export interface Writes {
  /** Why nothing was measured, or null. */
  readonly missing: string | null;
  readonly rows: readonly WritesRow[];
}

export interface WritesResults {
  readonly kind: 'writes';
  readonly machine: Machine;
  readonly writes: Writes;
}

export interface Tails {
  readonly rows: readonly TailRow[];
}

export interface TailsResults {
  readonly kind: 'tails';
  readonly machine: Machine;
  readonly tails: Tails;
}

/** Ours and Redis, measured in turn. */
export interface Beside {
  readonly rows: readonly { readonly ours: Scenario; readonly redis: Scenario }[];
}

export interface BesideResults {
  readonly kind: 'beside';
  readonly machine: Machine;
  readonly beside: Beside;
}

/** The service without a setting and with it, measured in turn. */
export interface BesideSetting {
  readonly variable: readonly [name: string, value: string];
  readonly rows: readonly {
    readonly batch: number;
    readonly without: readonly Measure[];
    readonly with: readonly Measure[];
  }[];
  readonly diskBytesPerEvent: { readonly without: number; readonly with: number };
}

export interface BesideSettingResults {
  readonly kind: 'beside setting';
  readonly machine: Machine;
  readonly besideSetting: BesideSetting;
}

/** A number of commits of `batch` events each. */
export interface StallLoad {
  readonly batch: number;
  readonly commits: number;
}

interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Those commits of a load during which this went on. */
export interface StallRow {
  readonly what: string;
  readonly commits: number;
  readonly tookMs: Spread;
  /** The part of it that steps of sealing and merging took, and their processor time. */
  readonly heldMs: Spread;
  readonly heldCpuMs: Spread;
}

export interface StallSize {
  readonly batch: number;
  /** The first row covers all commits. */
  readonly rows: readonly StallRow[];
}

export interface StallsResults {
  readonly kind: 'stalls';
  readonly quick: boolean;
  readonly machine: Machine;
  readonly sizes: readonly StallSize[];
}

/** One line of the bar that the project set itself. */
export interface BarLine {
  readonly what: string;
  readonly bar: string;
  readonly seen: string;
  readonly met: boolean;
}
