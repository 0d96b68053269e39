import { DONE, EXPIRED, type LeaseStates, type Leases, SETTLED, UNKNOWN } from '../group-store.ts';
import type { GroupRows } from './group-rows.ts';
import type { GroupRow } from './group-tables.ts';
import { type GivenEvent, type Hands, type KeptHand, NOBODY } from './hands.ts';

/** The steps on leases that were given. */
export class LeaseSteps {
  readonly #rows: GroupRows;

  constructor(rows: GroupRows) {
    this.#rows = rows;
  }

  untake(nowMs: number, id: number, take: number | null): null {
    const row = this.#rows.tables.row(id);
    if (row === undefined) return null;
    const kept = this.#rows.hands(id);
    let undone = 0;
    let again = 0;
    for (const hand of take === null ? kept.all() : kept.of(take)) {
      if (hand.take === NOBODY || hand.dueMs <= nowMs) continue;
      for (const offset of hand.offsets()) {
        const { deliveries, bytes } = hand.remove(offset)!;
        kept.put(NOBODY, nowMs, false, offset, { deliveries: deliveries - 1, bytes });
        this.#rows.tables.note('withdrawn', row, offset, deliveries);
        undone += 1;
        if (deliveries > 1) again += 1;
      }
    }
    if (undone === 0) return null;
    kept.save();
    const { deliveries, redeliveries } = row;
    this.#rows.tables.update(id, { deliveries: deliveries - undone, redeliveries: redeliveries - again });
    return null;
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    let done = 0;
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const states = this.#eachLease(nowMs, row, leases, (_kept, _hand, offset, { deliveries }) => {
      done += 1;
      this.#rows.tables.note('acknowledged', row, offset, deliveries);
    });
    const { acknowledged, outstanding } = row;
    if (done === 0) return states;
    this.#rows.tables.update(id, { acknowledged: acknowledged + done, outstanding: outstanding - done });
    return states;
  }

  expire(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    let done = 0;
    let again = 0;
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const states = this.#eachLease(nowMs, row, leases, (_kept, _hand, _offset, event) => {
      done += 1;
      if (event.deliveries > 1) again += 1;
    });
    if (done === 0) return states;
    this.#rows.tables.update(id, {
      expired: row.expired + done,
      outstanding: row.outstanding - done,
      deliveries: row.deliveries - done,
      redeliveries: row.redeliveries - again,
    });
    return states;
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const states = this.#eachLease(nowMs, row, leases, (kept, { isLast }, offset, event) =>
      kept.put(NOBODY, isLast ? nowMs : nowMs + delayMs, isLast, offset, event),
    );
    this.#rows.bury(nowMs, row);
    return states;
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    return this.#eachLease(nowMs, row, leases, (kept, { take, isLast }, offset, event) =>
      kept.put(take, nowMs + leaseMs, isLast, offset, event),
    );
  }

  /** Removes each event whose lease still holds from its hand, and calls `work` with it. */
  #eachLease(
    nowMs: number,
    row: GroupRow,
    leases: Leases,
    work: (kept: Hands, hand: KeptHand, offset: number, event: GivenEvent) => void,
  ): LeaseStates {
    const kept = this.#rows.hands(row.group_id);
    const states = new Uint8Array(leases.takes.length);
    const others: number[] = [];
    for (const [i, take] of leases.takes.entries()) {
      const offset = leases.offsets[i]!;
      const hand = kept.of(take).find(({ dueMs, events }) => dueMs > nowMs && events.has(offset));
      if (take === NOBODY || hand === undefined) {
        others.push(i);
      } else {
        work(kept, hand, offset, hand.remove(offset)!);
        states[i] = DONE;
      }
    }
    kept.save();
    if (others.length > 0) this.#tellApart(row, leases, others, kept, states);
    return states;
  }

  /** Says why the leases at these places do not hold. */
  #tellApart(
    row: GroupRow,
    { takes, offsets }: Leases,
    places: readonly number[],
    kept: Hands,
    states: LeaseStates,
  ): void {
    const asked = places.map((place) => offsets[place]!);
    const outstanding = kept.offsetsBetween(Math.min(...asked), Math.max(...asked));
    const dead = this.#deadAmong(row, asked);
    for (const place of places) {
      const take = takes[place]!;
      const offset = offsets[place]!;
      if (take < 1 || take > row.takes) states[place] = UNKNOWN;
      else if (take <= row.void_takes) states[place] = EXPIRED;
      else if (offset > row.position) states[place] = UNKNOWN;
      else states[place] = outstanding.has(offset) || dead.has(offset) ? EXPIRED : SETTLED;
    }
  }

  #deadAmong({ group_id: id, dead }: GroupRow, offsets: readonly number[]): ReadonlySet<number> {
    const letters = dead === 0 ? [] : this.#rows.tables.letters(id).at(offsets, offsets.length);
    return new Set(letters.map(({ offset }) => offset));
  }
}
