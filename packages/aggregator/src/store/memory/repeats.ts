import {
  AGE_BOUNDS_MS,
  type AgeCounts,
  CONFLICTS_KEPT_MAX,
  CONFLICT_BYTES_MAX,
  CONFLICT_PAGE_BYTES_MAX,
  type Conflict,
  type ConflictPage,
  type ConflictQuery,
  type EventHistory,
  PERIOD_MS,
  REPEATS_KEPT_MAX,
  type RepeatFilter,
  type RepeatStore,
  type Repeaters,
  type RepeatersQuery,
  ageBucket,
} from '../repeat-store.ts';
import { compileTopicFilter } from '../topic-filter.ts';
import type { LoggedEvent } from './logged-event.ts';

/** A repeat, and the event that it repeats. */
interface LoggedRepeat {
  readonly first: LoggedEvent;
  readonly receivedMs: number;
  readonly isConflict: boolean;
  readonly source: string;
  readonly publisher: string | null;
  readonly text: string;
  /** Of a conflict, from 1. */
  readonly number: number;
}

/** The reference: how a store remembers repeats, in as little code as possible. It keeps all of them, and names every source. */
export class MemoryRepeats implements RepeatStore {
  readonly #repeats: LoggedRepeat[] = [];
  readonly #find: (topic: string, eventId: string) => LoggedEvent | undefined;
  readonly #sinceMs: number;
  #conflicts = 0;

  constructor(find: (topic: string, eventId: string) => LoggedEvent | undefined, nowMs: number) {
    this.#find = find;
    this.#sinceMs = nowMs;
  }

  /** Notes a repeat of the first event, as part of a commit. */
  note(first: LoggedEvent, repeat: Omit<LoggedRepeat, 'first' | 'number'>): void {
    if (repeat.isConflict) this.#conflicts += 1;
    this.#repeats.push({ ...repeat, first, number: this.#conflicts });
  }

  async sinceMs(): Promise<number> {
    return this.#sinceMs;
  }

  async ages(filter: RepeatFilter): Promise<AgeCounts> {
    const duplicates = [...AGE_BOUNDS_MS, 0].fill(0);
    const conflicts = [...duplicates];
    for (const { first, receivedMs, isConflict } of this.#matching(filter)) {
      const bucket = ageBucket(receivedMs - first.receivedMs);
      duplicates[bucket]! += 1;
      if (isConflict) conflicts[bucket]! += 1;
    }
    return { duplicates, conflicts };
  }

  async history(topic: string, eventId: string): Promise<EventHistory | undefined> {
    const first = this.#find(topic, eventId);
    if (first === undefined) return undefined;
    const repeats = this.#repeats.filter((repeat) => repeat.first === first);
    return {
      offset: first.offset,
      receivedMs: first.receivedMs,
      source: first.state === 'kept' ? first.source : null,
      ...countsOf(repeats),
      repeats: repeats
        .toReversed()
        .slice(0, REPEATS_KEPT_MAX)
        .map(({ receivedMs, isConflict, source, publisher }) => ({
          receivedMs,
          isConflict,
          source,
          publisher,
        })),
    };
  }

  async repeaters({ by, sinceMs, limit, ...filter }: RepeatersQuery): Promise<Repeaters> {
    const counted = this.#matching(filter).filter(
      ({ receivedMs }) => sinceMs === null || endOfPeriod(receivedMs) > sinceMs,
    );
    const byName = new Map<string, LoggedRepeat[]>();
    for (const repeat of counted) {
      const name = by === 'topic' ? repeat.first.topic : repeat.source;
      byName.set(name, [...(byName.get(name) ?? []), repeat]);
    }
    const repeaters = [...byName].map(([name, repeats]) => ({ name, ...countsOf(repeats) }));
    return {
      repeaters: repeaters
        .toSorted(
          (a, b) => b.duplicates - a.duplicates || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
        )
        .slice(0, limit),
      unnamed: { duplicates: 0, conflicts: 0 },
    };
  }

  async conflicts({ before, limit, ...filter }: ConflictQuery): Promise<ConflictPage> {
    const isMeant = new Set(this.#matching(filter));
    const known = this.#knownConflicts().filter((one) => isMeant.has(one.repeat));
    const matching = known.filter(({ conflict }) => conflict.number < (before ?? Infinity));
    const conflicts: Conflict[] = [];
    let bytes = 0;
    for (const { conflict } of matching) {
      if (conflicts.length === limit || bytes >= CONFLICT_PAGE_BYTES_MAX) break;
      conflicts.push(conflict);
      bytes += Buffer.byteLength(conflict.text ?? '');
    }
    return { conflicts, next: matching.length > conflicts.length ? conflicts.at(-1)!.number : null };
  }

  /** The newest first. */
  #knownConflicts(): { readonly repeat: LoggedRepeat; readonly conflict: Conflict }[] {
    const newest = this.#repeats.filter(({ isConflict }) => isConflict).toReversed();
    let bytes = 0;
    return newest
      .slice(0, CONFLICTS_KEPT_MAX)
      .filter(({ first }) => !first.isForgotten)
      .map((repeat) => {
        const { first, number, receivedMs, source, publisher, text } = repeat;
        const { topic, eventId, offset } = first;
        const isKept = first.state === 'kept' && bytes + Buffer.byteLength(text) <= CONFLICT_BYTES_MAX;
        if (isKept) bytes += Buffer.byteLength(text);
        const kept = isKept ? text : null;
        const conflict = { number, topic, eventId, source, offset, receivedMs, publisher, text: kept };
        return { repeat, conflict };
      });
  }

  #matching({ source, ...filter }: RepeatFilter): LoggedRepeat[] {
    const isMeant = compileTopicFilter(filter);
    return this.#repeats.filter(
      (repeat) => isMeant(repeat.first.topic) && (source === undefined || repeat.source === source),
    );
  }
}

/** When the period ends in which this time lies, exclusive. */
function endOfPeriod(timeMs: number): number {
  return (Math.floor(timeMs / PERIOD_MS) + 1) * PERIOD_MS;
}

function countsOf(repeats: readonly LoggedRepeat[]): { duplicates: number; conflicts: number } {
  return { duplicates: repeats.length, conflicts: repeats.filter(({ isConflict }) => isConflict).length };
}
