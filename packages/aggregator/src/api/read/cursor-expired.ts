import { type EventStore, type Snapshot, type SnapshotQuery, START } from '../../store/event-store.ts';
import { ProblemError } from '../request/problems.ts';

/** The header with the number of expired events that an answer passes over. */
export const EXPIRED_HEADER = 'chronicle-expired';

/** The expired events between a cursor and the next event that is kept. */
interface Gap {
  readonly expired: number;
  /** The cursor that lies behind them and before any event that is kept. */
  readonly next: number;
}

/** Looks from the query's `after` on for the next event that is kept and matches. */
async function gapAt(store: EventStore, query: SnapshotQuery): Promise<Gap> {
  // What is committed from now on lies beyond this end, and is not passed over.
  const { lastOffset } = await store.snapshot({ order: 'asc', after: START.asc });
  let expired = 0;
  let next = query.after;
  for (;;) {
    const page = await store.read({
      ...query,
      after: next,
      upTo: lastOffset,
      eventsMax: 1,
      framing: 'lines',
      gaps: 'apart',
    });
    if (page.count > 0) return { expired, next };
    expired += page.expired;
    if (page.resumeAfter === null) {
      return { expired, next: query.order === 'asc' ? Math.max(query.after, lastOffset) : 0 };
    }
    next = page.resumeAfter;
  }
}

/** Throws a ProblemError `cursor_expired` if events between the query's `after` and the next one that is kept have expired. */
export async function requireKept(store: EventStore, query: SnapshotQuery): Promise<void> {
  const gap = await gapAt(store, query);
  if (gap.expired > 0) throw refusalOf(query.after, gap);
}

/** The refusal of a page whose reader asked for `expired=refuse`: there are expired events between its cursor and what is kept. */
export async function cursorExpired(store: EventStore, query: SnapshotQuery): Promise<ProblemError> {
  return refusalOf(query.after, await gapAt(store, query));
}

/**
 * The refusal of a whole answer whose reader asked for `expired=refuse`. It may have kept events before those that are gone, so its
 * reader is told how many it would miss by going on behind all of these.
 */
export async function wholeCursorExpired(
  store: EventStore,
  query: SnapshotQuery,
  { expired, lastOffset }: Snapshot,
): Promise<ProblemError> {
  const { order, after } = query;
  const [above, upTo] = order === 'asc' ? [after, lastOffset] : [0, Math.min(after - 1, lastOffset)];
  const next = await furthestExpired(store, query, above, upTo);
  const passed = order === 'asc' ? { after, upTo: next } : { after: next, upTo };
  const { count: kept } = await store.snapshot({ ...query, order: 'asc', ...passed });
  return refusalOf(after, { expired, next }, kept);
}

/** The offset of the expired event above `above` and up to `upTo` that comes last in the query's order; there is at least one. */
async function furthestExpired(
  store: EventStore,
  { topic, topicPatterns, order }: SnapshotQuery,
  above: number,
  upTo: number,
): Promise<number> {
  const topics = { topic, topicPatterns, order: 'asc' } as const;
  // Each look is at half of the events of the one before, so all of them together cost as much as counting once.
  let [low, high] = [above, upTo];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const [from, to] = order === 'asc' ? [middle, high] : [low, middle];
    const { expired } = await store.snapshot({ ...topics, after: from, upTo: to });
    if ((order === 'asc') === expired > 0) low = middle;
    else high = middle;
  }
  return high;
}

function refusalOf(cursor: number, { expired, next }: Gap, kept = 0): ProblemError {
  const [events, have] = expired === 1 ? ['event', 'has'] : ['events', 'have'];
  const missed = kept === 1 ? '1 event that is kept comes' : `${kept} events that are kept come`;
  const before = kept === 0 ? '' : ` (${missed} before that: read with limit to get it all)`;
  return new ProblemError(
    'cursor_expired',
    `${expired} ${events} beyond the cursor ${cursor} ${have} expired; ` +
      `continue with after=${next}${before}, or without expired=refuse`,
    undefined,
    { expired, next, ...(kept > 0 && { kept }) },
  );
}
