import type { Definition, DefinitionField, Push } from './group-store.ts';

/**
 * The first field in which two definitions differ that cannot be changed; the order of topics does not count.
 *
 * Whether events are pushed cannot be changed either: workers may hold leases, and a pusher takes what is leased for
 * its own.
 */
export function differingField(a: Definition, b: Definition): DefinitionField | undefined {
  if (a.topics.toSorted().join('\0') !== b.topics.toSorted().join('\0')) return 'topics';
  if (JSON.stringify(a.start) !== JSON.stringify(b.start)) return 'start';
  if (a.leaseMs !== b.leaseMs) return 'leaseMs';
  if (a.deliveriesMax !== b.deliveriesMax) return 'deliveriesMax';
  return (a.push === null) === (b.push === null) ? undefined : 'push';
}

/** Whether the same secrets sign for the same address; their order does not count. */
export function isSamePush(a: Push | null, b: Push | null): boolean {
  return a?.url === b?.url && a?.secrets.toSorted().join() === b?.secrets.toSorted().join();
}
