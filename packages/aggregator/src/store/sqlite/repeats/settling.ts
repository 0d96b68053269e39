import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  AGE_BOUNDS_MS,
  type AgeCounts,
  PAIRS_MAX,
  PERIOD_MS,
  PERIOD_PAIRS_MAX,
  REPEATS_KEPT_MAX,
} from '../../repeat-store.ts';
import { type CommittedRepeat, addCounts, historyIn, packCounts, packHistory, repeatsIn } from './packed.ts';
import type { PendingRepeats } from './pending.ts';

const BUCKETS = AGE_BOUNDS_MS.length + 1;

/** In place of a source: repeats that are counted on their topic alone. */
export const UNNAMED = '';

/** Periods that are counted, beside the present one: those of a day. */
const PERIODS_KEPT = (24 * 60 * 60 * 1000) / PERIOD_MS;

/** Rows of past periods deleted in one go. */
const ROWS_DELETED_MAX = 1024;

/**
 * Counts repeats in the tables, in the order of their commits: of each event (`repeat_history`), of each pair of topic and
 * source for all time (`repeat_count`), and of these by periods (`repeat_period`). After a rollback `begin` anew.
 */
export class Settling {
  /** Rows of named pairs, of all time and by period; read when first needed. */
  #pairs: number | null = null;
  readonly #periodPairs = new Map<number, number>();
  readonly #addHistory: StatementSync;
  readonly #getHistory: StatementSync;
  readonly #cutHistory: StatementSync;
  readonly #getCount: StatementSync;
  readonly #putCount: StatementSync;
  readonly #getPeriod: StatementSync;
  readonly #putPeriod: StatementSync;
  readonly #countPairs: StatementSync;
  readonly #countPeriodPairs: StatementSync;
  readonly #deletePast: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addHistory = db.prepare(`
      INSERT INTO repeat_history (offset, duplicates, conflicts, repeats) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET duplicates = duplicates + excluded.duplicates,
        conflicts = conflicts + excluded.conflicts, repeats = CAST(repeats || excluded.repeats AS BLOB)
      RETURNING duplicates`);
    this.#addHistory.setReturnArrays(true);
    this.#getHistory = db.prepare('SELECT repeats FROM repeat_history WHERE offset = ?');
    this.#cutHistory = db.prepare('UPDATE repeat_history SET repeats = ? WHERE offset = ?');
    this.#getCount = db.prepare('SELECT ages FROM repeat_count WHERE topic_id = ? AND source = ?');
    this.#putCount = db.prepare(`
      INSERT INTO repeat_count (topic_id, source, duplicates, conflicts, ages) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET duplicates = duplicates + excluded.duplicates,
        conflicts = conflicts + excluded.conflicts, ages = excluded.ages`);
    this.#getPeriod = db.prepare(
      'SELECT 1 FROM repeat_period WHERE period = ? AND topic_id = ? AND source = ?',
    );
    this.#putPeriod = db.prepare(`
      INSERT INTO repeat_period (period, topic_id, source, duplicates, conflicts) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET duplicates = duplicates + excluded.duplicates,
        conflicts = conflicts + excluded.conflicts`);
    this.#countPairs = db.prepare('SELECT count(*) AS n FROM repeat_count WHERE source <> ?');
    this.#countPeriodPairs = db.prepare(
      'SELECT count(*) AS n FROM repeat_period WHERE period = ? AND source <> ?',
    );
    this.#deletePast = db.prepare(`
      DELETE FROM repeat_period WHERE (period, topic_id, source) IN (
        SELECT period, topic_id, source FROM repeat_period WHERE period < ? LIMIT ${ROWS_DELETED_MAX})`);
  }

  /** What is remembered of the tables may be wrong. */
  begin(): void {
    this.#pairs = null;
    this.#periodPairs.clear();
  }

  settle(repeats: readonly CommittedRepeat[]): void {
    const byOffset = Map.groupBy(repeats, ({ offset }) => offset);
    // Neighbours share a page.
    for (const offset of [...byOffset.keys()].toSorted((a, b) => a - b)) {
      // Of an event whose id is forgotten nothing is kept but the counts.
      if (offset > 0) this.#addToHistory(offset, byOffset.get(offset)!);
    }
    for (const ofTopic of Map.groupBy(repeats, ({ topicId }) => topicId).values()) {
      for (const [source, some] of Map.groupBy(ofTopic, (repeat) => repeat.source)) {
        this.#addToCounts(source, some);
        for (const [period, those] of Map.groupBy(some, ({ receivedMs }) => periodOf(receivedMs)))
          this.#addToPeriod(period, source, those);
      }
    }
    this.#deletePast.run(periodOf(repeats.at(-1)!.receivedMs) - PERIODS_KEPT);
  }

  #addToHistory(offset: number, repeats: readonly CommittedRepeat[]): void {
    const { length } = repeats;
    const packed = packHistory(length > REPEATS_KEPT_MAX ? repeats.slice(-REPEATS_KEPT_MAX) : repeats);
    const row = this.#addHistory.get(offset, length, conflictsAmong(repeats), packed);
    const [duplicates] = row as unknown as [number];
    // Chunks are only appended, and now and then all are read and those that are too old are cut off.
    if (numberOfCut(duplicates) === numberOfCut(duplicates - length)) return;
    const { repeats: all } = this.#getHistory.get(offset)!;
    this.#cutHistory.run(packHistory(historyIn(all as Uint8Array).slice(-REPEATS_KEPT_MAX)), offset);
  }

  #addToCounts(source: string, repeats: readonly CommittedRepeat[]): void {
    const { topicId } = repeats[0]!;
    let name = source;
    let row = this.#getCount.get(topicId, name);
    if (row === undefined) {
      this.#pairs ??= Number(this.#countPairs.get(UNNAMED)!['n']);
      if (this.#pairs >= PAIRS_MAX) {
        name = UNNAMED;
        row = this.#getCount.get(topicId, name);
      } else this.#pairs += 1;
    }
    const ages = noAges();
    if (row !== undefined) addCounts(ages, row['ages'] as Uint8Array);
    for (const repeat of repeats) addAge(ages, repeat);
    this.#putCount.run(topicId, name, repeats.length, conflictsAmong(repeats), packCounts(ages));
  }

  #addToPeriod(period: number, source: string, repeats: readonly CommittedRepeat[]): void {
    const { topicId } = repeats[0]!;
    let name = source;
    if (this.#getPeriod.get(period, topicId, name) === undefined) {
      let pairs = this.#periodPairs.get(period);
      if (pairs === undefined) {
        pairs = Number(this.#countPeriodPairs.get(period, UNNAMED)!['n']);
        this.#periodPairs.clear();
      }
      if (pairs >= PERIOD_PAIRS_MAX) name = UNNAMED;
      else pairs += 1;
      this.#periodPairs.set(period, pairs);
    }
    this.#putPeriod.run(period, topicId, name, repeats.length, conflictsAmong(repeats));
  }
}

/** Settles commits until these are so many repeats, in the caller's transaction. Returns how many repeats it has settled. */
export function settleSome(pending: PendingRepeats, settling: Settling, repeatsMin: number): number {
  const repeats: CommittedRepeat[] = [];
  const commits = [];
  for (const commit of pending.commits()) {
    repeats.push(...repeatsIn(commit.body));
    commits.push(commit);
    if (repeats.length >= repeatsMin) break;
  }
  if (commits.length === 0) return 0;
  settling.settle(repeats);
  pending.remove(commits);
  return repeats.length;
}

function numberOfCut(duplicates: number): number {
  return Math.floor(duplicates / REPEATS_KEPT_MAX);
}

/** The number of the period in which a time lies. */
export function periodOf(timeMs: number): number {
  return Math.floor(timeMs / PERIOD_MS);
}

/** Counts by age: BUCKETS of duplicates, then as many of conflicts. */
export function noAges(): number[] {
  return Array.from({ length: 2 * BUCKETS }, () => 0);
}

/** The same counts apart. */
export function agesIn(ages: readonly number[]): AgeCounts {
  return { duplicates: ages.slice(0, BUCKETS), conflicts: ages.slice(BUCKETS) };
}

export function addAge(
  ages: number[],
  { bucket, isConflict }: Pick<CommittedRepeat, 'bucket' | 'isConflict'>,
): void {
  ages[bucket]! += 1;
  if (isConflict) ages[BUCKETS + bucket]! += 1;
}

function conflictsAmong(repeats: readonly CommittedRepeat[]): number {
  let conflicts = 0;
  for (const { isConflict } of repeats) if (isConflict) conflicts += 1;
  return conflicts;
}
