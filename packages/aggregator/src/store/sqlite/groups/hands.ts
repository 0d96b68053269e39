import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { NumberReader, NumberWriter } from '../blocks/numbers.ts';

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
  readonly #statements: HandStatements;
  readonly #id: number;
  /** The hands that this step has read, by their rows' keys. */
  readonly #loaded = new Map<string, KeptHand>();
  readonly #byTake = new Map<number, KeptHand[]>();

  constructor(statements: HandStatements, id: number) {
    this.#statements = statements;
    this.#id = id;
  }

  /** The hands of a take. */
  of(take: number): readonly KeptHand[] {
    let hands = this.#byTake.get(take);
    if (hands === undefined) {
      hands = this.#statements.ofTake.all(this.#id, take).map((row) => this.#load(row as unknown as HandRow));
      this.#byTake.set(take, hands);
    }
    return hands;
  }

  all(): readonly KeptHand[] {
    return this.#statements.all.all(this.#id).map((row) => this.#load(row as unknown as HandRow));
  }

  /** Due hands, the longest due first, those due at the same time by take: enough of them for `eventsMax` events. */
  due(nowMs: number, isLast: boolean, eventsMax: number): readonly KeptHand[] {
    const hands: KeptHand[] = [];
    let events = 0;
    for (const row of this.#statements.due.iterate(this.#id, Number(isLast), nowMs)) {
      if (events >= eventsMax) break;
      hands.push(this.#load(row as unknown as HandRow));
      events += Number(row['events']);
    }
    return hands;
  }

  /** The offsets of all events between the two, and possibly others. Read from the table, so call it after `save`. */
  offsetsBetween(lowest: number, highest: number): ReadonlySet<number> {
    const offsets = new Set<number>();
    for (const row of this.#statements.between.iterate(this.#id, highest, lowest)) {
      for (const offset of decode(row as unknown as HandRow).keys()) offsets.add(offset);
    }
    return offsets;
  }

  put(take: number, dueMs: number, isLast: boolean, offset: number, event: GivenEvent): void {
    let hand = this.#loaded.get(keyOf(take, dueMs, isLast));
    if (hand === undefined) {
      const row = this.#statements.one.get(this.#id, take, dueMs, Number(isLast));
      hand =
        row === undefined
          ? this.#enter(new KeptHand(take, dueMs, isLast))
          : this.#load(row as unknown as HandRow);
    }
    hand.put(offset, event);
  }

  /** Writes the changes. */
  save(): void {
    const { remove, write } = this.#statements;
    for (const hand of this.#loaded.values()) {
      if (!hand.isChanged) continue;
      const { take, dueMs, isLast } = hand;
      if (hand.events.size === 0) {
        remove.run(this.#id, take, dueMs, Number(isLast));
      } else {
        const offsets = hand.offsets();
        write.run(
          this.#id,
          take,
          dueMs,
          Number(isLast),
          offsets.length,
          offsets[0]!,
          offsets.at(-1)!,
          encode(hand.events, offsets),
        );
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

/** The statements, prepared once per connection. */
export class HandStatements {
  readonly all: StatementSync;
  readonly ofTake: StatementSync;
  readonly due: StatementSync;
  readonly between: StatementSync;
  readonly one: StatementSync;
  readonly write: StatementSync;
  readonly remove: StatementSync;

  constructor(db: DatabaseSync) {
    this.all = db.prepare('SELECT take, due_ms, is_last, events, entries FROM hand WHERE group_id = ?');
    this.ofTake = db.prepare(
      'SELECT take, due_ms, is_last, events, entries FROM hand WHERE group_id = ? AND take = ?',
    );
    this.due = db.prepare(`
      SELECT take, due_ms, is_last, events, entries FROM hand
      WHERE group_id = ? AND is_last = ? AND due_ms <= ? ORDER BY due_ms, take`);
    this.between = db.prepare(
      'SELECT entries FROM hand WHERE group_id = ? AND first_offset <= ? AND last_offset >= ?',
    );
    this.one = db.prepare(`
      SELECT take, due_ms, is_last, events, entries FROM hand
      WHERE group_id = ? AND take = ? AND due_ms = ? AND is_last = ?`);
    this.write = db.prepare(`
      INSERT OR REPLACE INTO hand (group_id, take, due_ms, is_last, events, first_offset, last_offset, entries)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.remove = db.prepare(
      'DELETE FROM hand WHERE group_id = ? AND take = ? AND due_ms = ? AND is_last = ?',
    );
  }
}

interface HandRow {
  readonly take: number;
  readonly due_ms: number;
  readonly is_last: number;
  readonly events: number;
  /** LEB128 numbers, three per event: its offset's difference to the previous one, its deliveries, its bytes. */
  readonly entries: Uint8Array;
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
  const reader = new NumberReader(entries);
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
