import type { FreshEvents, Hand, TakeRequest, Taken } from '../group-store.ts';
import { expiredUpTo } from '../fresh-events.ts';
import type { GroupRows } from './group-rows.ts';
import type { GroupRow } from './group-tables.ts';
import type { GivenEvent, Hands, KeptHand } from './hands.ts';

/** The step `take`: leases events due for redelivery, then fresh ones, to those who ask. */
export function take(rows: GroupRows, nowMs: number, id: number, request: TakeRequest): Taken | null {
  const row = rows.at(nowMs, id);
  if (row === undefined) return null;
  const { demands, readAhead, outstandingMax } = request;
  if (row.is_paused === 1) {
    const { takes, position, outstanding } = row;
    const none = { take: takes, offsets: new Float64Array(0), deliveries: new Int32Array(0) };
    return { hands: demands.map(() => none), position, outstanding, nextDueInMs: null, isPaused: true };
  }
  const asked = demands.reduce((sum, eventsMax) => sum + eventsMax, 0);
  const room = Math.max(0, outstandingMax - row.outstanding);
  const fresh =
    readAhead?.after === row.position
      ? readAhead
      : rows.tables.log.next(JSON.parse(row.topics) as string[], row.position, Math.min(asked, room));
  const kept = rows.hands(id);
  const taking = new Taking(rows, row, kept, kept.due(nowMs, false, asked), fresh, request, nowMs);
  const hands = demands.map((eventsMax) => taking.hand(eventsMax));
  const { position, outstanding, expired, isChanged } = taking;
  if (isChanged) {
    kept.save();
    const { takes, deliveries, redeliveries } = taking;
    rows.tables.update(id, { position, takes, outstanding, deliveries, redeliveries, expired });
  }
  const nextDueMs = rows.tables.hands(id).nextDueMs();
  const nextDueInMs = nextDueMs === null ? null : Math.max(0, nextDueMs - nowMs);
  return { hands, position, outstanding, nextDueInMs, isPaused: false };
}

/** A take in progress: what it has left to give, and what the group's row becomes. */
class Taking {
  readonly #rows: GroupRows;
  readonly #row: GroupRow;
  readonly #kept: Hands;
  readonly #due: readonly { readonly hand: KeptHand; readonly offset: number }[];
  readonly #fresh: FreshEvents;
  readonly #request: TakeRequest;
  readonly #dueMs: number;
  #nextDue = 0;
  #nextFresh = 0;
  takes: number;
  outstanding: number;
  deliveries: number;
  redeliveries: number;

  constructor(
    rows: GroupRows,
    row: GroupRow,
    kept: Hands,
    due: readonly KeptHand[],
    fresh: FreshEvents,
    request: TakeRequest,
    nowMs: number,
  ) {
    this.#rows = rows;
    this.#row = row;
    this.#kept = kept;
    this.#due = due.flatMap((hand) => hand.offsets().map((offset) => ({ hand, offset })));
    this.#fresh = fresh;
    this.#request = request;
    this.#dueMs = nowMs + row.lease_ms;
    this.takes = row.takes;
    this.outstanding = row.outstanding;
    this.deliveries = row.deliveries;
    this.redeliveries = row.redeliveries;
  }

  /** Fresh events up to here were given out or examined. */
  get position(): number {
    const { offsets, upTo } = this.#fresh;
    if (this.#nextFresh === offsets.length) return upTo;
    return this.#nextFresh === 0 ? this.#row.position : offsets[this.#nextFresh - 1]!;
  }

  get expired(): number {
    return this.#row.expired + expiredUpTo(this.#fresh, this.#nextFresh);
  }

  get isChanged(): boolean {
    return this.position !== this.#row.position || this.takes !== this.#row.takes;
  }

  /** Leases events for one demand. */
  hand(eventsMax: number): Hand {
    const take = this.takes + 1;
    const offsets: number[] = [];
    const deliveryOf: number[] = [];
    let bytes = 0;
    const fits = (eventBytes: number): boolean =>
      offsets.length < eventsMax && (offsets.length === 0 || bytes + eventBytes <= this.#request.bytesMax);
    const lease = (offset: number, event: GivenEvent): void => {
      const isLast = event.deliveries >= this.#row.deliveries_max;
      this.#kept.put(take, this.#dueMs, isLast, offset, event);
      this.#rows.tables.note('delivered', this.#row, offset, event.deliveries);
      offsets.push(offset);
      deliveryOf.push(event.deliveries);
      bytes += event.bytes;
    };
    for (; this.#nextDue < this.#due.length; this.#nextDue++) {
      const { hand, offset } = this.#due[this.#nextDue]!;
      const event = hand.events.get(offset)!;
      if (!fits(event.bytes)) break;
      hand.remove(offset);
      lease(offset, { deliveries: event.deliveries + 1, bytes: event.bytes });
      if (event.deliveries > 0) this.redeliveries += 1;
    }
    const fresh = this.#fresh;
    while (this.#nextFresh < fresh.offsets.length && this.outstanding < this.#request.outstandingMax) {
      const eventBytes = fresh.bytes[this.#nextFresh]!;
      if (!fits(eventBytes)) break;
      lease(fresh.offsets[this.#nextFresh]!, { deliveries: 1, bytes: eventBytes });
      this.outstanding += 1;
      this.#nextFresh += 1;
    }
    if (offsets.length > 0) this.takes = take;
    this.deliveries += offsets.length;
    return { take: this.takes, offsets: Float64Array.from(offsets), deliveries: Int32Array.from(deliveryOf) };
  }
}
