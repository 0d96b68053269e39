import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { DeadReason, GroupState, Push, PushState, Start } from '../../group-store.ts';
import { lastOffsetBefore } from '../blocks/offset-by-time.ts';
import { readLedger } from '../file/ledger.ts';
import { HandStatements, Hands, NOBODY } from './hands.ts';

/**
 * Reads and writes the groups' tables for the steps. Each call runs within its step's transaction, and all state is
 * in the tables, so a rollback leaves no trace in memory.
 *
 * Only leased and returned events are stored, in hands (hands.ts); a lease runs out by the clock, without a write. An
 * event at or below the position that is neither in a hand nor in `dead_letter` is *acknowledged*, so acknowledged
 * events cost nothing. An event at its last delivery is *dead* once it is due, and the next step that looks moves it
 * to `dead_letter`.
 */
export class GroupRows {
  readonly #db: DatabaseSync;
  readonly #handStatements: HandStatements;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#handStatements = new HandStatements(db);
  }

  /** The group's row, after burying the events that are dead by the clock. */
  at(nowMs: number, id: number): GroupRow | undefined {
    this.bury(nowMs, id);
    const row = this.get('SELECT * FROM event_group WHERE group_id = ?', id);
    return row as GroupRow | undefined;
  }

  bury(nowMs: number, id: number): void {
    const kept = this.hands(id);
    const hands = kept.due(nowMs, true, Number.POSITIVE_INFINITY);
    if (hands.length === 0) return;
    let buried = 0;
    for (const hand of hands) {
      const reason: DeadReason = hand.take === NOBODY ? 'given_back' : 'lease_expired';
      for (const offset of hand.offsets()) {
        const { deliveries, bytes } = hand.remove(offset)!;
        this.run(
          `INSERT INTO dead_letter (group_id, offset, deliveries, bytes, dead_ms, reason)
           VALUES (?, ?, ?, ?, ?, ?)`,
          id,
          offset,
          deliveries,
          bytes,
          hand.dueMs,
          reason,
        );
        buried += 1;
      }
    }
    kept.save();
    this.run(
      'UPDATE event_group SET dead = dead + ?, outstanding = outstanding - ? WHERE group_id = ?',
      buried,
      buried,
      id,
    );
  }

  stateOf(nowMs: number, row: GroupRow): GroupState {
    const id = row.group_id;
    const { leased, lowest } = this.get(
      `SELECT ifnull(sum(iif(take <> ${NOBODY} AND due_ms > ?, events, 0)), 0) AS leased, min(first_offset) AS lowest
       FROM hand WHERE group_id = ?`,
      nowMs,
      id,
    ) as { leased: number; lowest: number | null };
    const { position, dead, deliveries, redeliveries, acknowledged } = row;
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
      push: row.push_url === null ? null : pushStateOf(row),
    };
  }

  /** When the group's next event is due; null if none is outstanding. */
  nextDueMs(id: number): number | null {
    const dueOf = (isLast: 0 | 1): number | null =>
      this.get('SELECT min(due_ms) AS due FROM hand WHERE group_id = ? AND is_last = ?', id, isLast)![
        'due'
      ] as number | null;
    const [due, lastDue] = [dueOf(0), dueOf(1)];
    return due === null || lastDue === null ? (due ?? lastDue) : Math.min(due, lastDue);
  }

  /** The position from which everything above is ahead; null if there is no such place. */
  positionOf(start: Start, nowMs: number): number | null {
    if (start === 'earliest') return 0;
    const lastOffset = this.lastOffset;
    if (start === 'latest') return lastOffset;
    if ('timeMs' in start) return start.timeMs > nowMs ? null : lastOffsetBefore(this.#db, start.timeMs);
    return start.offset > lastOffset + 1 ? null : Math.max(0, start.offset - 1);
  }

  get lastOffset(): number {
    return readLedger(this.#db).lastOffset;
  }

  hands(id: number): Hands {
    return new Hands(this.#handStatements, id);
  }

  get(sql: string, ...values: SQLInputValue[]) {
    return this.#prepared(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]) {
    return this.#prepared(sql).all(...values);
  }

  run(sql: string, ...values: SQLInputValue[]) {
    return this.#prepared(sql).run(...values);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

export interface GroupRow {
  readonly group_id: number;
  readonly name: string;
  readonly topics: string;
  readonly start: string;
  readonly lease_ms: number;
  readonly deliveries_max: number;
  readonly secret: Uint8Array;
  readonly created_ms: number;
  readonly position: number;
  readonly takes: number;
  readonly void_takes: number;
  readonly outstanding: number;
  readonly dead: number;
  readonly deliveries: number;
  readonly redeliveries: number;
  readonly acknowledged: number;
  readonly push_url: string | null;
  readonly push_secrets: string | null;
  readonly is_paused: number;
  readonly failing_since_ms: number | null;
  readonly last_failure: string | null;
}

export function pushOf({ push_url: url, push_secrets: secrets }: GroupRow): Push | null {
  return url === null || secrets === null ? null : { url, secrets: JSON.parse(secrets) as string[] };
}

export function pushStateOf(row: GroupRow): PushState {
  return {
    isPaused: row.is_paused === 1,
    failingSinceMs: row.failing_since_ms,
    lastFailure: row.last_failure,
  };
}
