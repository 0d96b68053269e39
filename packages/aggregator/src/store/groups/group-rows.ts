import type { DeadReason, GroupState, Start } from '../group-store.ts';
import { type GroupRow, type GroupTables, pushOf, pushStateOf } from './group-tables.ts';
import { Hands, NOBODY } from './hands.ts';

/**
 * A group as the steps find it at their time.
 *
 * Only leased and returned events are stored, in hands (hands.ts); a lease runs out by the clock, without a write. An
 * event at or below the position that is neither in a hand nor a dead letter is *acknowledged*, so acknowledged events cost
 * nothing. An event at its last delivery is *dead* once it is due, and the next step that looks makes it a dead letter.
 */
export class GroupRows {
  readonly tables: GroupTables;

  constructor(tables: GroupTables) {
    this.tables = tables;
  }

  /** The group's row, after burying the events that are dead by the clock. */
  at(nowMs: number, id: number): GroupRow | undefined {
    const row = this.tables.row(id);
    return row !== undefined && this.bury(nowMs, row) ? this.tables.row(id) : row;
  }

  /** Returns whether there was anything to bury. */
  bury(nowMs: number, row: GroupRow): boolean {
    const { group_id: id, dead, outstanding } = row;
    const kept = this.hands(id);
    const hands = kept.due(nowMs, true, Number.POSITIVE_INFINITY);
    if (hands.length === 0) return false;
    const letters = this.tables.letters(id);
    let buried = 0;
    for (const hand of hands) {
      const reason: DeadReason = hand.take === NOBODY ? 'given_back' : 'lease_expired';
      for (const offset of hand.offsets()) {
        const { deliveries, bytes } = hand.remove(offset)!;
        letters.add({ offset, bytes, deliveries, deadMs: hand.dueMs, reason });
        this.tables.note('dead', row, offset, deliveries);
        buried += 1;
      }
    }
    kept.save();
    this.tables.update(id, { dead: dead + buried, outstanding: outstanding - buried });
    return true;
  }

  stateOf(nowMs: number, row: GroupRow): GroupState {
    const id = row.group_id;
    const { leased, lowest } = this.tables.hands(id).summary(nowMs);
    const { position, dead, deliveries, redeliveries, acknowledged, expired } = row;
    return {
      id,
      definition: {
        name: row.name,
        topics: JSON.parse(row.topics) as string[],
        start: JSON.parse(row.start) as Start,
        leaseMs: row.lease_ms,
        deliveriesMax: row.deliveries_max,
        push: pushOf(row),
      },
      secret: row.secret,
      createdMs: row.created_ms,
      position,
      cursor: lowest === null ? position : lowest - 1,
      leased,
      returned: row.outstanding - leased,
      dead,
      deliveries,
      redeliveries,
      acknowledged,
      expired,
      push: row.push_url === null ? null : pushStateOf(row),
    };
  }

  /** The position from which everything above is ahead for a group on these topics; null if there is no such place. */
  positionOf(start: Start, topics: readonly string[], nowMs: number): number | null {
    const { log } = this.tables;
    if (start === 'earliest') return log.earliest(topics);
    if (start === 'latest') return log.lastOffset;
    if ('timeMs' in start) return start.timeMs > nowMs ? null : log.lastOffsetBefore(start.timeMs);
    return start.offset > log.lastOffset + 1 ? null : Math.max(0, start.offset - 1);
  }

  hands(id: number): Hands {
    return new Hands(this.tables.hands(id));
  }
}
