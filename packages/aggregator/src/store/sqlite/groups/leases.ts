import { DONE, EXPIRED, type LeaseStates, type Leases, SETTLED, UNKNOWN } from '../../group-store.ts';
import type { GroupRow, GroupRows } from './group-rows.ts';
import { type GivenEvent, type Hands, type KeptHand, NOBODY } from './hands.ts';

/** The steps on leases that were given. */
export class LeaseSteps {
  readonly #rows: GroupRows;

  constructor(rows: GroupRows) {
    this.#rows = rows;
  }

  untake(nowMs: number, id: number, take: number | null): null {
    const kept = this.#rows.hands(id);
    let undone = 0;
    let again = 0;
    for (const hand of take === null ? kept.all() : kept.of(take)) {
      if (hand.take === NOBODY || hand.dueMs <= nowMs) continue;
      for (const offset of hand.offsets()) {
        const { deliveries, bytes } = hand.remove(offset)!;
        kept.put(NOBODY, nowMs, false, offset, { deliveries: deliveries - 1, bytes });
        undone += 1;
        if (deliveries > 1) again += 1;
      }
    }
    kept.save();
    this.#rows.run(
      'UPDATE event_group SET deliveries = deliveries - ?, redeliveries = redeliveries - ? WHERE group_id = ?',
      undone,
      again,
      id,
    );
    return null;
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    let done = 0;
    const states = this.#eachLease(nowMs, id, leases, () => (done += 1));
    this.#rows.run(
      'UPDATE event_group SET acknowledged = acknowledged + ?, outstanding = outstanding - ? WHERE group_id = ?',
      done,
      done,
      id,
    );
    return states;
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    const states = this.#eachLease(nowMs, id, leases, (kept, { isLast }, offset, event) =>
      kept.put(NOBODY, isLast ? nowMs : nowMs + delayMs, isLast, offset, event),
    );
    this.#rows.bury(nowMs, id);
    return states;
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    return this.#eachLease(nowMs, id, leases, (kept, { take, isLast }, offset, event) =>
      kept.put(take, nowMs + leaseMs, isLast, offset, event),
    );
  }

  /** Removes each event whose lease still holds from its hand, and calls `work` with it. */
  #eachLease(
    nowMs: number,
    id: number,
    leases: Leases,
    work: (kept: Hands, hand: KeptHand, offset: number, event: GivenEvent) => void,
  ): LeaseStates | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const kept = this.#rows.hands(id);
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
    for (const place of places) {
      const take = takes[place]!;
      const offset = offsets[place]!;
      if (take < 1 || take > row.takes) states[place] = UNKNOWN;
      else if (take <= row.void_takes) states[place] = EXPIRED;
      else if (offset > row.position) states[place] = UNKNOWN;
      else states[place] = outstanding.has(offset) || this.#isDead(row, offset) ? EXPIRED : SETTLED;
    }
  }

  #isDead({ group_id: id }: GroupRow, offset: number): boolean {
    return (
      this.#rows.get('SELECT 1 FROM dead_letter WHERE group_id = ? AND offset = ?', id, offset) !== undefined
    );
  }
}
