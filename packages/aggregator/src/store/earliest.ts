import type { TopicSummary } from './event-store.ts';

/**
 * The position below the first kept event of these topics, so that a group that begins there has lost nothing; 0 if none of
 * their events has expired.
 */
export function earliestOf(topics: readonly TopicSummary[]): number {
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  let hasExpired = false;
  for (const { firstOffset, lastOffset, expired } of topics) {
    if (firstOffset > 0) first = Math.min(first, firstOffset);
    last = Math.max(last, lastOffset);
    hasExpired ||= expired > 0;
  }
  return hasExpired ? Math.min(first - 1, last) : 0;
}
