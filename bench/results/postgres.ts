import type { Measure } from '../load/measure.ts';
import type { Machine } from '../results.ts';

/** A measure of one design on PostgreSQL; times and bytes are for each event sent. */
export interface DesignMeasure extends Measure {
  /** Processor time of the service, and of the database. */
  readonly ownCpuUs: number;
  readonly databaseCpuUs: number;
  readonly walBytesPerEvent: number;
  readonly eventsPerCommit: number;
}

/** Ours and the naive design, measured in turn. */
export interface PostgresRow {
  readonly batch: number;
  readonly ours: readonly DesignMeasure[];
  readonly naive: readonly DesignMeasure[];
}

/** So many instances on one log. */
export interface InstancesRow {
  readonly count: number;
  readonly batch: number;
  readonly runs: readonly DesignMeasure[];
}

/** Published on one instance and followed on another; from when each event was due to its receipt. */
export interface LiveElsewhere {
  readonly perSecond: number;
  readonly events: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly publish: Measure;
}

export interface PostgresResults {
  readonly kind: 'postgres';
  readonly quick: boolean;
  readonly machine: Machine;
  /** Which server, and what is set. */
  readonly server: string;
  readonly designs: {
    readonly rows: readonly PostgresRow[];
    readonly keys: number;
    readonly diskBytesPerEvent: number;
    readonly naiveDiskBytesPerEvent: number;
    /** Of ours, the largest first. */
    readonly tables: readonly TableDisk[];
  } | null;
  readonly instances: readonly InstancesRow[];
  readonly live: LiveElsewhere | null;
}

/** What a table takes on disk, with its indexes, and the indexes alone. */
export interface TableDisk {
  readonly table: string;
  readonly bytes: number;
  readonly indexBytes: number;
}

export interface PostgresGrowthStep {
  readonly keys: number;
  readonly measure: Measure;
  readonly diskBytesPerEvent: number;
  readonly walBytesPerEvent: number;
}

export interface PostgresGrowthResults {
  readonly kind: 'postgres growth';
  readonly machine: Machine;
  readonly server: string;
  readonly stepKeys: number;
  readonly steps: readonly PostgresGrowthStep[];
}
