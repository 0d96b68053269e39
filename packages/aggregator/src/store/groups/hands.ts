import { NumberReader, NumberWriter } from '../blocks/numbers.ts';
import type { HandRow, HandRows } from './group-tables.ts';

/** What is known of an event that was given out, apart from its offset. */
export interface GivenEvent {
  readonly deliveries: number;
  /** The size of its text. */
  readonly bytes: number;
}

/** The take of events that nobody holds. */
export const NOBODY = 0;

/**
 * The events of a group that were given out and are neither acknowledged nor dead, by hands: a *hand* is one row,
 * with the events of one take that fall due together. So a pull writes a single row, however many events it gets, and
 * acknowledging them all deletes it. A row per event would cost more than storing the events did.
 *
 * A hand is *leased* until it is due; then it is *returned*, as is any hand of NOBODY. A hand that `isLast` holds
 * events at their last delivery: once it is due they are dead.
 *
 * In: what one step does to single events. Out: rows, with `save`. An instance serves one step of one transaction.
 * Invariants: a hand has at least one event; an event is in at most one hand; rows of a group differ in take, due
 * time or `is_last`.
 */
export class Hands {
  readonly #rows: HandRows;
  /** The hands that this step has read, by their rows' keys. */
  readonly #loaded = new Map<string, KeptHand>();
  readonly #byTake = new Map<number, KeptHand[]>();

  constructor(rows: HandRows) {
    this.#rows = rows;
  }

  /** The hands of a take. */
  of(take: number): readonly KeptHand[] {
    let hands = this.#byTake.get(take);
    if (hands === undefined) {
      hands = this.#rows.ofTake(take).map((row) => this.#load(row));
      this.#byTake.set(take, hands);
    }
    return hands;
  }

  all(): readonly KeptHand[] {
    return this.#rows.all().map((row) => this.#load(row));
  }

  /** Due hands, the longest due first, those due at the same time by take: enough of them for `eventsMax` events. */
  due(nowMs: number, isLast: boolean, eventsMax: number): readonly KeptHand[] {
    const hands: KeptHand[] = [];
    let events = 0;
    for (const row of this.#rows.due(Number(isLast), nowMs)) {
      if (events >= eventsMax) break;
      hands.push(this.#load(row));
      events += row.events;
    }
    return hands;
  }

  /** The offsets of all events between the two, and possibly others. Read from the table, so call it after `save`. */
  offsetsBetween(lowest: number, highest: number): ReadonlySet<number> {
    const offsets = new Set<number>();
    for (const row of this.#rows.between(lowest, highest)) {
      for (const offset of decode(row).keys()) offsets.add(offset);
    }
    return offsets;
  }

  /** The offsets of all events above this one, ascending. Read from the table, so call it after `save`. */
  offsetsAbove(after: number): number[] {
    const offsets = this.offsetsBetween(after + 1, Number.MAX_SAFE_INTEGER);
    return [...offsets].filter((offset) => offset > after).toSorted((a, b) => a - b);
  }

  /** Likewise, of those that nobody holds. */
  returnedAbove(nowMs: number, after: number): number[] {
    const returned = this.#rows.all().filter((row) => row.take === NOBODY || row.due_ms <= nowMs);
    const offsets = returned.flatMap((row) => [...decode(row).keys()]);
    return offsets.filter((offset) => offset > after).toSorted((a, b) => a - b);
  }

  put(take: number, dueMs: number, isLast: boolean, offset: number, event: GivenEvent): void {
    let hand = this.#loaded.get(keyOf(take, dueMs, isLast));
    if (hand === undefined) {
      const row = this.#rows.one({ take, due_ms: dueMs, is_last: Number(isLast) });
      hand = row === undefined ? this.#enter(new KeptHand(take, dueMs, isLast)) : this.#load(row);
    }
    hand.put(offset, event);
  }

  /** Writes the changes. */
  save(): void {
    for (const hand of this.#loaded.values()) {
      if (!hand.isChanged) continue;
      const key = { take: hand.take, due_ms: hand.dueMs, is_last: Number(hand.isLast) };
      if (hand.events.size === 0) {
        this.#rows.remove(key);
      } else {
        const offsets = hand.offsets();
        this.#rows.write({
          ...key,
          events: offsets.length,
          first_offset: offsets[0]!,
          last_offset: offsets.at(-1)!,
          entries: encode(hand.events, offsets),
        });
      }
    }
  }

  #load(row: HandRow): KeptHand {
    const isLast = row.is_last === 1;
    const known = this.#loaded.get(keyOf(row.take, row.due_ms, isLast));
    return known ?? this.#enter(new KeptHand(row.take, row.due_ms, isLast, decode(row)));
  }

  #enter(hand: KeptHand): KeptHand {
    this.#loaded.set(keyOf(hand.take, hand.dueMs, hand.isLast), hand);
    const ofTake = this.#byTake.get(hand.take);
    if (ofTake !== undefined && !ofTake.includes(hand)) ofTake.push(hand);
    return hand;
  }
}

/** One hand, as this step sees it. */
export class KeptHand {
  readonly take: number;
  readonly dueMs: number;
  readonly isLast: boolean;
  readonly #events: Map<number, GivenEvent>;
  isChanged = false;

  constructor(take: number, dueMs: number, isLast: boolean, events = new Map<number, GivenEvent>()) {
    this.take = take;
    this.dueMs = dueMs;
    this.isLast = isLast;
    this.#events = events;
  }

  /** By offset. */
  get events(): ReadonlyMap<number, GivenEvent> {
    return this.#events;
  }

  /** Ascending. */
  offsets(): number[] {
    return [...this.#events.keys()].toSorted((a, b) => a - b);
  }

  put(offset: number, event: GivenEvent): void {
    this.#events.set(offset, event);
    this.isChanged = true;
  }

  /** Removes the event; undefined if it is not in this hand. */
  remove(offset: number): GivenEvent | undefined {
    const event = this.#events.get(offset);
    if (event === undefined) return undefined;
    this.#events.delete(offset);
    this.isChanged = true;
    return event;
  }
}

/** At most this many bytes for an entry's three numbers: an offset has 53 bits, the others 31. */
const ENTRY_BYTES_MAX = 8 + 5 + 5;

function encode(events: ReadonlyMap<number, GivenEvent>, offsets: readonly number[]): Uint8Array {
  const writer = new NumberWriter(offsets.length * ENTRY_BYTES_MAX);
  let before = 0;
  for (const offset of offsets) {
    const { deliveries, bytes } = events.get(offset)!;
    writer.put(offset - before);
    writer.put(deliveries);
    writer.put(bytes);
    before = offset;
  }
  return writer.bytes();
}

/** The events of a row, ascending by offset. */
export function decode({ entries }: Pick<HandRow, 'entries'>): Map<number, GivenEvent> {
  const events = new Map<number, GivenEvent>();
  const reader = new NumberReader(entries, 'a hand');
  let offset = 0;
  while (!reader.isAtEnd) {
    offset += reader.next();
    events.set(offset, { deliveries: reader.next(), bytes: reader.next() });
  }
  return events;
}

function keyOf(take: number, dueMs: number, isLast: boolean): string {
  return `${take} ${dueMs} ${isLast}`;
}
