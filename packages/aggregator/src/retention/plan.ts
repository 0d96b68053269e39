import { topicPatternsOverlap } from '@chronicleweaver/protocol';
import type { EventStore } from '../store/event-store.ts';
import type { Definition, GroupState } from '../store/group-store.ts';
import { governedBy } from '../store/policies.ts';
import type { Due, DueQuery, Policy, RetentionStore } from '../store/retention-store.ts';
import type { TopicFilter } from '../store/topic-filter.ts';

/**
 * What a policy lets go of now: of the events beyond its bounds those that no group still needs. Everything here follows from what
 * is stored, so any instance comes to the same result, before a restart and after it.
 */
export interface Plan {
  /** In which epoch of the log: in a later one its offsets may be other events'. */
  readonly epoch: string;
  /** What is beyond the bounds. */
  readonly due: Due;
  /** What of it goes now. */
  readonly going: Due;
  /** The groups that hold the rest. */
  readonly holds: readonly Hold[];
}

/** A group that has not finished events which are due. */
export interface Hold {
  readonly group: string;
  /** When the first of them was due, milliseconds since 1970. */
  readonly sinceMs: number;
  /** How many of them it has not finished. */
  readonly events: number;
}

type Bounds = Omit<DueQuery, keyof TopicFilter>;

/** A policy, with what it governs among the others: some of its topics may be another one's (policies.ts). */
export interface Governing extends Policy {
  readonly governs: TopicFilter;
}

export function governing(policies: readonly Policy[], policy: Policy): Governing {
  return { ...policy, governs: governedBy(policies, policy) };
}

const EVERYTHING = Number.MAX_SAFE_INTEGER;

/** What the policy lets go of at this time of the store's clock. It need not be one of the store's. */
export async function planOf(
  store: EventStore,
  retention: RetentionStore,
  policy: Governing,
  nowMs: number,
): Promise<Plan> {
  // Before anything is read: what was read in one that begins meanwhile only makes the plan void.
  const epoch = store.epochs.at(-1)!.name;
  const bounds = { ...policy.governs, ...boundsOf(policy, nowMs) };
  const due = await retention.due(bounds);
  if (due.events === 0 || policy.pastGroups) return { epoch, due, going: due, holds: [] };
  const heldTo = await heldTooLong(store, retention, policy, nowMs);
  const holds: Hold[] = [];
  let upTo = due.upTo;
  for (const group of await groupsAbout(store, policy)) {
    const first = await firstUnfinished(store, policy, group, Math.max(group.cursor, heldTo), due.upTo);
    if (first === null) continue;
    upTo = Math.min(upTo, first - 1);
    const before = await retention.due({ ...bounds, upTo: first - 1 });
    holds.push({
      group: group.definition.name,
      sinceMs: await dueSince(store, retention, policy, { before, nowMs }),
      events: await countUnfinished(store, policy, group, { first, upTo: due.upTo }),
    });
  }
  const going = upTo === due.upTo ? due : await retention.due({ ...bounds, upTo });
  return { epoch, due, going, holds };
}

/** What has been due for longer than groups may hold it: it is due at that earlier time, without what was committed since. */
async function heldTooLong(
  store: EventStore,
  retention: RetentionStore,
  policy: Governing,
  nowMs: number,
): Promise<number> {
  if (policy.heldMaxMs === null) return 0;
  const thenMs = nowMs - policy.heldMaxMs;
  const before = await retention.due({ ...NO_BOUNDS, ...policy.governs, committedBeforeMs: thenMs });
  const kept = await keptOf(store, policy);
  const { committedBeforeMs, eventsMax, bytesMax } = boundsOf(policy, thenMs);
  const { upTo } = await retention.due({
    ...policy.governs,
    committedBeforeMs,
    eventsMax: eventsMax === null ? null : eventsMax + kept.events - before.events,
    bytesMax: bytesMax === null ? null : bytesMax + kept.bytes - before.bytes,
    upTo: before.upTo,
  });
  return upTo;
}

/**
 * When the first event after those `before` was due: when it reached its age, or with the commit of the first event that was one
 * too many after it.
 */
async function dueSince(
  store: EventStore,
  retention: RetentionStore,
  { governs, maxAgeMs, maxEvents, maxBytes }: Governing,
  { before, nowMs }: { before: Due; nowMs: number },
): Promise<number> {
  const kept = await keptOf(store, { governs });
  const since = [nowMs];
  if (maxAgeMs !== null && before.oldestKept !== null) since.push(before.oldestKept.receivedMs + maxAgeMs);
  const committedAt = async (bounds: Partial<DueQuery>): Promise<void> => {
    const { oldestKept } = await retention.due({ ...NO_BOUNDS, ...governs, ...bounds });
    if (oldestKept !== null) since.push(oldestKept.receivedMs);
  };
  const events = kept.events - before.events;
  const bytes = kept.bytes - before.bytes;
  if (maxEvents !== null && events > maxEvents) await committedAt({ eventsMax: events - maxEvents });
  if (maxBytes !== null && bytes > maxBytes) await committedAt({ bytesMax: bytes - maxBytes });
  return Math.min(...since);
}

const NO_BOUNDS = { committedBeforeMs: null, eventsMax: null, bytesMax: null, upTo: EVERYTHING } as const;

function boundsOf({ maxAgeMs, maxEvents, maxBytes }: Policy, nowMs: number): Bounds {
  return {
    committedBeforeMs: maxAgeMs === null ? null : nowMs - maxAgeMs,
    eventsMax: maxEvents,
    bytesMax: maxBytes,
    upTo: EVERYTHING,
  };
}

/** What is kept of the topics that the policy governs. */
export async function keptOf(store: EventStore, { governs }: Pick<Governing, 'governs'>) {
  const kept = { events: 0, bytes: 0, expired: 0 };
  for (const { events, bytes, expired, bare } of await store.topics(governs)) {
    kept.events += events;
    kept.bytes += bytes;
    kept.expired += expired + bare;
  }
  return kept;
}

async function groupsAbout(store: EventStore, { topics }: Policy): Promise<GroupState[]> {
  const [groups] = await store.groups.apply([['list']]);
  return groups.filter(({ definition }) =>
    definition.topics.some((pattern) => topics.some((one) => topicPatternsOverlap(one, pattern))),
  );
}

/**
 * The offset of the first kept event of group and policy above `after` and up to `upTo` that the group has not finished; null if
 * there is none. The group may wait for one of another topic below it, so it is asked which of those at or below its position it
 * waits for.
 */
async function firstUnfinished(
  store: EventStore,
  policy: Governing,
  group: GroupState,
  after: number,
  upTo: number,
): Promise<number | null> {
  let from = after;
  for (let look = 1; ; look++) {
    const first = await firstKept(store, policy, group, from, upTo);
    if (first === null || first > group.position || look === LOOKS_MAX) return first;
    const [outstanding] = await store.groups.apply([['outstanding', group.id, first - 1, 1]]);
    if (outstanding === null) return null;
    const [next = group.position + 1] = outstanding;
    if (next === first) return first;
    from = next - 1;
  }
}

/** After so many looks an event may be held that its group has finished: in time the group settles what it waits for. */
const LOOKS_MAX = 100;

/** The offset of the first kept event of group and policy above `after` and up to `upTo`; null if there is none. */
async function firstKept(
  store: EventStore,
  { governs }: Governing,
  { definition }: GroupState,
  after: number,
  upTo: number,
): Promise<number | null> {
  for (let from: number | null = after; from !== null && from < upTo;) {
    const page = await store.read({
      ...both(governs, definition),
      order: 'asc',
      after: from,
      upTo,
      eventsMax: 1,
      framing: 'array',
    });
    if (page.count > 0) return page.lastOffset;
    from = page.resumeAfter;
  }
  return null;
}

/** Kept events of group and policy from the first that the group has not finished up to `upTo`, without those that it has finished. */
async function countUnfinished(
  store: EventStore,
  { governs }: Governing,
  { id, definition, position }: GroupState,
  { first, upTo }: { first: number; upTo: number },
): Promise<number> {
  const topics = both(governs, definition);
  const after = Math.max(position, first - 1);
  const ahead = after >= upTo ? 0 : (await store.snapshot({ ...topics, order: 'asc', after, upTo })).count;
  if (first > position) return ahead;
  const [outstanding] = await store.groups.apply([['outstanding', id, first - 1, EVERYTHING]]);
  const due = (outstanding ?? []).filter((offset) => offset <= upTo);
  return ahead + (await store.countAt(Float64Array.from(due), topics));
}

/** The topics of group and policy. */
function both(governs: TopicFilter, { topics }: Definition): TopicFilter {
  return { ...governs, topicPatterns: [...(governs.topicPatterns ?? []), topics] };
}
