import type { Definition, DefinitionField, Push } from './group-store.ts';

/**
 * The first immutable field in which two definitions differ. The order of topics does not matter.
 *
 * A group cannot switch between pull and push either: workers may hold leases, and a pusher treats every lease as its
 * own.
 */
export function differingField(a: Definition, b: Definition): DefinitionField | undefined {
  if (a.topics.toSorted().join('\0') !== b.topics.toSorted().join('\0')) return 'topics';
  if (JSON.stringify(a.start) !== JSON.stringify(b.start)) return 'start';
  if (a.leaseMs !== b.leaseMs) return 'leaseMs';
  if (a.deliveriesMax !== b.deliveriesMax) return 'deliveriesMax';
  return (a.push === null) === (b.push === null) ? undefined : 'push';
}

/** Whether both send the same to the same address, signed with the same secrets. The order of secrets does not matter. */
export function isSamePush(a: Push | null, b: Push | null): boolean {
  if (a?.url !== b?.url || a?.format !== b?.format) return false;
  return a?.secrets.toSorted().join() === b?.secrets.toSorted().join();
}
