import { type EventStore, type PageQuery, START } from '../../store/event-store.ts';
import { cursorExpired } from './cursor-expired.ts';
import type { Form } from './forms.ts';
import type { Reading } from './read-room.ts';

/** The most bytes of events on a page, and so the most that one answer holds in memory. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;

export interface Page {
  readonly pieces: Uint8Array[];
  readonly count: number;
  /** Expired events between the query's `after` and `next`, or the end. */
  readonly expired: number;
  readonly next: number | null;
}

/**
 * One page of at most `eventsMax` events, complete in memory, without a comma after the last one. It has fewer events if
 * there is not enough room.
 *
 * `next` is the last event's offset or, if the page passed over expired events, where the scan stopped, which may lie beyond it:
 * so pages that follow each other count each expired event once. With the query's gaps `apart` the page passes over expired events only at its beginning, and only where no cursor
 * was given; otherwise it throws a ProblemError `cursor_expired`.
 */
export async function readPage(
  store: EventStore,
  query: PageQuery,
  form: Form,
  reading: Reading,
): Promise<Page> {
  const pieces: Uint8Array[] = [];
  const refuses = query.gaps === 'apart';
  let count = 0;
  let expired = 0;
  let length = 0;
  let lastOffset: number | null = null;
  let after: number | null = query.after;
  while (after !== null && count < query.eventsMax) {
    const page = await store.read({ ...query, after, eventsMax: query.eventsMax - count });
    if (refuses && page.expired > 0) {
      if (count > 0) break;
      if (query.after !== START[query.order]) throw await cursorExpired(store, query);
    }
    const bytes = form.written(page.bytes);
    if (count === 0) reading.need(bytes.length);
    else if (length + bytes.length > PAGE_BYTES_MAX || !reading.grow(bytes.length)) break;
    after = page.resumeAfter;
    expired += page.expired;
    if (page.count === 0) continue;
    pieces.push(bytes);
    count += page.count;
    length += bytes.length;
    lastOffset = page.lastOffset;
  }
  // Announce a next page only if it has at least one event, or is refused.
  while (after !== null) {
    const page = await store.read({ ...query, after, eventsMax: 1 });
    if (page.count > 0 || (refuses && page.expired > 0)) break;
    after = page.resumeAfter;
    expired += page.expired;
  }
  const last = pieces.at(-1);
  if (form.hasCommas && last !== undefined) pieces.splice(-1, 1, last.subarray(0, -1));
  const next = after === null || expired > 0 ? after : (lastOffset ?? after);
  return { pieces, count, expired, next };
}
