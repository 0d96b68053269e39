import { formatDuration } from '@chronicleweaver/protocol';
import {
  AGE_BOUNDS_MS,
  type AgeCounts,
  type Conflict,
  type ConflictPage,
  type EventHistory,
} from '../../store/repeat-store.ts';
import type { AgesAnswer, HistoryAnswer } from './schemas.ts';

export function agesJson({ duplicates, conflicts }: AgeCounts, sinceMs: number): AgesAnswer {
  const total = sum(duplicates);
  return {
    counted_since: iso(sinceMs),
    duplicates: total,
    conflicts: sum(conflicts),
    ages: duplicates.map((count, i) => ({
      up_to: i < AGE_BOUNDS_MS.length ? formatDuration(AGE_BOUNDS_MS[i]!) : null,
      duplicates: count,
      conflicts: conflicts[i]!,
      let_through: total - sum(duplicates.slice(0, i + 1)),
    })),
  };
}

export function historyJson(
  { topic, event_id }: { topic: string; event_id: string },
  { offset, receivedMs, source, duplicates, conflicts, repeats }: EventHistory,
  sinceMs: number,
): HistoryAnswer {
  return {
    topic,
    event_id,
    offset,
    received_at: iso(receivedMs),
    source,
    counted_since: iso(sinceMs),
    duplicates,
    conflicts,
    repeats: repeats.map((repeat) => ({
      received_at: iso(repeat.receivedMs),
      verdict: repeat.isConflict ? 'conflict' : 'duplicate',
      source: repeat.source,
      key: repeat.publisher,
    })),
  };
}

/** The whole answer as JSON: the texts go into it as they are, so that every digit stays. */
export function conflictsText({ conflicts, next }: ConflictPage): string {
  const texts = conflicts.map(conflictText).join(',');
  return `{"count":${conflicts.length},"conflicts":[${texts}],"next":${next}}`;
}

function conflictText({ text, ...conflict }: Conflict): string {
  const { number, receivedMs, topic, eventId, source, publisher, offset } = conflict;
  const members = JSON.stringify({
    number,
    received_at: iso(receivedMs),
    topic,
    event_id: eventId,
    source,
    key: publisher,
    offset,
  });
  return `${members.slice(0, -1)},"event":${text}}`;
}

export function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
