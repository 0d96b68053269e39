import { AUDIT_ACTIONS, type AuditCount } from '../audit-store.ts';

/** The same counts with one for each period and action, in their order. */
export function mergedCounts(counts: readonly AuditCount[]): AuditCount[] {
  const merged = new Map<string, { -readonly [K in keyof AuditCount]: AuditCount[K] }>();
  for (const count of counts) {
    const key = `${count.periodMs} ${count.action}`;
    const known = merged.get(key);
    if (known === undefined) merged.set(key, { ...count });
    else known.entries += count.entries;
  }
  return [...merged.values()].toSorted(
    (a, b) => a.periodMs - b.periodMs || AUDIT_ACTIONS.indexOf(a.action) - AUDIT_ACTIONS.indexOf(b.action),
  );
}
