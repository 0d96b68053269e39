import { pathOf } from '../address.ts';
import { isRecord, listIn, unexpectedAnswer } from '../answer.ts';
import type { ChronicleWeaver } from '../client.ts';
import type { DeadEvent } from '../groups.ts';
import type { InboxTable } from './inbox-table.ts';

/** Rows in one step, and dead events on a page. */
const STEP_ROWS = 1000;

/**
 * Removes the old rows of events that the group has settled, step by step from the lowest offset on. A row is settled if it is
 * at or below the group's cursor and its event is not dead: a dead one can be replayed. The service tells cursor and dead
 * events of one moment; asked for one after the other they could each pass an event on to the other.
 */
export async function removeSettled(
  chronicle: ChronicleWeaver,
  group: string,
  table: InboxTable,
  signal: AbortSignal,
): Promise<void> {
  for (let after = 0; !signal.aborted;) {
    const rows = await table.next(after, STEP_ROWS);
    const old = rows.filter(({ isOld }) => isOld).map(({ offset }) => offset);
    // Rows come about nearly in the order of the offsets: behind so many that are not old there is nothing to do yet.
    if (old.length === 0) return;
    const { upTo, dead, isAll } = await deadBehind(chronicle, group, old[0]! - 1, signal);
    const settled = old.filter((offset) => offset <= upTo && !dead.has(offset));
    if (settled.length > 0) await table.remove(settled);
    const last = rows.at(-1)!.offset;
    if (last <= upTo && rows.length < STEP_ROWS) return;
    if (last > upTo && isAll) return;
    after = Math.min(last, upTo);
  }
}

/** The dead events above an offset, up to where the page and the group's cursor reach, and whether that is the cursor. */
async function deadBehind(
  chronicle: ChronicleWeaver,
  group: string,
  after: number,
  signal: AbortSignal,
): Promise<{ upTo: number; dead: ReadonlySet<number>; isAll: boolean }> {
  const path = `/subscriptions${pathOf(group)}/dead`;
  const page = await chronicle.request('GET', path, { query: { after, limit: STEP_ROWS }, signal });
  const { cursor, next } = isRecord(page) ? page : {};
  if (typeof cursor !== 'number') throw unexpectedAnswer(`GET ${path}`, 'without a cursor');
  const end = typeof next === 'number' ? next : Infinity;
  return {
    upTo: Math.min(cursor, end),
    dead: new Set(listIn<DeadEvent>(page, 'events').map(({ offset }) => offset)),
    isAll: cursor <= end,
  };
}
