import {
  AUDIT_ACTIONS,
  type AuditAction,
  type AuditCount,
  type AuditEntry,
} from '../../store/audit-store.ts';
import type { AuditEntryAnswer, SummaryAnswer } from './schemas.ts';

export function entryJson({
  atMs,
  eventId,
  group,
  delivery,
  count,
  details,
  number,
  action,
  topic,
  offset,
  key,
}: AuditEntry): AuditEntryAnswer {
  const { changed, ...others } = details;
  return {
    number,
    at: iso(atMs),
    action,
    topic,
    event_id: eventId,
    offset,
    key,
    ...(group !== null && { group }),
    ...(delivery !== null && { delivery }),
    ...((action === 'refused' || action === 'lost') && { count }),
    ...others,
    ...(changed !== undefined && { changed: [...changed] }),
  };
}

export function summaryJson(
  counts: readonly AuditCount[],
  {
    fromMs,
    toMs,
    isByPeriod,
  }: { readonly fromMs: number; readonly toMs: number; readonly isByPeriod: boolean },
): SummaryAnswer {
  const periods = Map.groupBy(counts, ({ periodMs }) => periodMs);
  return {
    from: fromMs === 0 ? null : iso(fromMs),
    to: toMs === Number.MAX_SAFE_INTEGER ? null : iso(toMs),
    counts: byAction(counts),
    ...(isByPeriod && {
      periods: [...periods].map(([periodMs, some]) => ({ at: iso(periodMs), counts: byAction(some) })),
    }),
  };
}

function byAction(counts: readonly AuditCount[]): Record<AuditAction, number> {
  const all = Object.fromEntries(AUDIT_ACTIONS.map((action) => [action, 0])) as Record<AuditAction, number>;
  for (const { action, entries } of counts) all[action] += entries;
  return all;
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
