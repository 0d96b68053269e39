import { type Buckets, type Exposition, bucketsOf, quantileBetween, sampleText } from './exposition.ts';

/** The counters of a service at one moment. They only grow, so two looks tell all that came between. */
export interface Look {
  readonly atMs: number;
  readonly accepted: bigint;
  /** Undefined where the service does not tell: a key with topics learns only what was accepted. */
  readonly duplicate: bigint | undefined;
  readonly conflict: bigint | undefined;
  readonly commits: Buckets | undefined;
  /** Refused requests by the code of the problem. */
  readonly refusals: ReadonlyMap<string, number>;
}

/** Events per second between two looks. */
export interface Rates {
  /** When the later one was. */
  readonly atMs: number;
  readonly accepted: number;
  readonly duplicate: number | undefined;
  readonly conflict: number | undefined;
}

/** Quantiles and refusals are those of so long, milliseconds. */
const MINUTE_MS = 60_000;

/**
 * What a service's counters have done lately. In: looks. Out: rates, quantiles and refusals. A look that failed leaves no hole: the
 * rate is then the mean of the time between. If a counter went back, the log is another one, and the course begins anew.
 */
export class Course {
  readonly #rememberedMs: number;
  #looks: readonly Look[] = [];
  #rates: readonly Rates[] = [];

  constructor(rememberedMs: number) {
    this.#rememberedMs = rememberedMs;
  }

  add(now: Look): void {
    const last = this.#looks.at(-1);
    const isAnother = last !== undefined && now.accepted < last.accepted;
    const isRecent = ({ atMs }: { atMs: number }): boolean =>
      !isAnother && now.atMs - atMs <= this.#rememberedMs;
    this.#looks = [...this.#looks.filter(isRecent), now];
    const rates = this.#rates.filter(isRecent);
    this.#rates = last === undefined || isAnother ? rates : [...rates, ratesBetween(last, now)];
  }

  /** Oldest first. */
  get rates(): readonly Rates[] {
    return this.#rates;
  }

  /** Events per second of the last so many milliseconds; undefined if that is not known. */
  mean(name: 'accepted' | 'duplicate' | 'conflict', ms = MINUTE_MS): number | undefined {
    const last = this.#rates.at(-1);
    if (last?.[name] === undefined) return undefined;
    const recent = this.#rates.filter(({ atMs }) => last.atMs - atMs < ms);
    return recent.reduce((sum, one) => sum + (one[name] ?? 0), 0) / recent.length;
  }

  /**
   * How long a commit took, seconds: a quantile of the last minute, or of all commits of the process while there has been one look
   * only. Undefined if there were none.
   */
  commitSeconds(quantile: number): number | undefined {
    const { now, before } = this.#lastMinute();
    return now?.commits && quantileBetween(before?.commits, now.commits, quantile);
  }

  /** Refusals of the last minute by code; those before the first look do not count. */
  get refusals(): ReadonlyMap<string, number> {
    const { now, before } = this.#lastMinute();
    if (now === undefined || before === undefined) return new Map();
    const counts = [...now.refusals].map(
      ([code, count]) => [code, count - (before.refusals.get(code) ?? 0)] as const,
    );
    return new Map(counts.filter(([, count]) => count > 0));
  }

  #lastMinute(): { now: Look | undefined; before: Look | undefined } {
    const now = this.#looks.at(-1);
    if (now === undefined) return { now, before: now };
    const before = this.#looks.findLast(({ atMs }) => now.atMs - atMs >= MINUTE_MS) ?? this.#looks[0];
    return { now, before: before === now ? undefined : before };
  }
}

function ratesBetween(last: Look, now: Look): Rates {
  const seconds = Math.max(now.atMs - last.atMs, 1) / 1000;
  const rate = (after: bigint | undefined, before: bigint | undefined): number | undefined =>
    after === undefined || before === undefined ? undefined : Number(after - before) / seconds;
  return {
    atMs: now.atMs,
    accepted: rate(now.accepted, last.accepted) ?? 0,
    duplicate: rate(now.duplicate, last.duplicate),
    conflict: rate(now.conflict, last.conflict),
  };
}

/** Undefined if the store did not tell in time. */
export function lookAtMetrics(metrics: Exposition, atMs: number): Look | undefined {
  const [accepted, duplicate, conflict] = ['accepted', 'duplicate', 'conflict'].map((verdict) =>
    sampleText(metrics, 'chronicleweaver_store_events_total', { verdict }),
  );
  if (!accepted) return undefined;
  const refusals = metrics.get('chronicleweaver_refusals_total') ?? [];
  return {
    atMs,
    accepted: BigInt(accepted),
    duplicate: BigInt(duplicate || '0'),
    conflict: BigInt(conflict || '0'),
    commits: bucketsOf(metrics, 'chronicleweaver_commit_duration_seconds'),
    refusals: new Map(refusals.map(({ labels, text }) => [labels.get('code') ?? '', Number(text)])),
  };
}

/** The same from the texts of `/stats`, for a key that has no metrics; what it does not have is empty. */
export function lookAtBooks(
  { unique, dropped, conflicts }: { unique: string; dropped: string; conflicts: string },
  atMs: number,
): Look | undefined {
  if (unique === '') return undefined;
  const conflict = conflicts === '' ? undefined : BigInt(conflicts);
  return {
    atMs,
    accepted: BigInt(unique),
    duplicate: dropped === '' ? undefined : BigInt(dropped) - (conflict ?? 0n),
    conflict,
    commits: undefined,
    refusals: new Map(),
  };
}
