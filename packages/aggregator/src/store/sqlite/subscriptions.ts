import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  type Created,
  DONE,
  type DeadLetter,
  type DeadReason,
  type Definition,
  EXPIRED,
  type Hand,
  type Leases,
  type LeaseStates,
  type OutcomesOf,
  SETTLED,
  type Sought,
  type Start,
  type Step,
  type SubscriptionState,
  type SubscriptionSteps,
  type TakeRequest,
  type Taken,
  UNKNOWN,
  differingField,
} from '../subscription-store.ts';
import { lastOffsetBefore } from './blocks/offset-by-time.ts';
import { readLedger } from './ledger.ts';

/**
 * The steps of the subscriptions as SQL, for the writer's thread: each is called within a transaction, and all there is
 * to know is in the tables, so that what is rolled back has left no trace in memory.
 *
 * Only events that are leased or returned have a row in `outstanding`: *leased* is a row with a take whose due time is to
 * come, any other is *returned*, so a lease runs out without a write. What is at or below the position without a row,
 * there or in `dead_letter`, is *acknowledged*: an acknowledgement is a deletion, and acknowledged events cost nothing.
 * A row at its last delivery is *dead* from its due time on and moves to `dead_letter` with the next step that looks.
 */
export class SqliteSubscriptions implements SubscriptionSteps {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Does the steps, within the transaction that is open. */
  apply<const S extends readonly Step[]>(nowMs: number, steps: S): OutcomesOf<S> {
    return steps.map(([name, ...args]) => {
      const step = this[name].bind(this) as (nowMs: number, ...args: unknown[]) => unknown;
      return step(nowMs, ...args);
    }) as OutcomesOf<S>;
  }

  create(nowMs: number, definition: Definition): Created {
    const { name, topics, start, leaseMs, deliveriesMax } = definition;
    const row = this.#prepared('SELECT subscription_id FROM subscription WHERE name = ?').get(name);
    if (row !== undefined) {
      const state = this.state(nowMs, Number(row['subscription_id']))!;
      const field = differingField(state.definition, definition);
      return field === undefined ? { kind: 'same', state } : { kind: 'differs', field };
    }
    const position = this.#positionOf(start, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#lastOffset() };
    const { lastInsertRowid } = this.#prepared(
      `
      INSERT INTO subscription (name, topics, start, lease_ms, deliveries_max, secret, created_ms, position)
      VALUES (?, ?, ?, ?, ?, randomblob(16), ?, ?)
    `,
    ).run(name, JSON.stringify(topics), JSON.stringify(start), leaseMs, deliveriesMax, nowMs, position);
    return { kind: 'created', state: this.state(nowMs, Number(lastInsertRowid))! };
  }

  remove(_nowMs: number, id: number): boolean {
    this.#prepared('DELETE FROM outstanding WHERE subscription_id = ?').run(id);
    this.#prepared('DELETE FROM dead_letter WHERE subscription_id = ?').run(id);
    return this.#prepared('DELETE FROM subscription WHERE subscription_id = ?').run(id).changes === 1;
  }

  take(nowMs: number, id: number, request: TakeRequest): Taken | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const { demands, bytesMax, fresh, outstandingMax } = request;
    const asked = demands.reduce((sum, eventsMax) => sum + eventsMax, 0);
    const due = this.#prepared(
      `
      SELECT offset, deliveries, bytes FROM outstanding
      WHERE subscription_id = ? AND is_last = 0 AND due_ms <= ? ORDER BY due_ms, offset LIMIT ?
    `,
    ).all(id, nowMs, asked) as unknown as readonly DueRow[];
    const dueMs = nowMs + row.lease_ms;
    const leaseAgain = this.#prepared(`
      UPDATE outstanding SET take = ?, due_ms = ?, deliveries = ?, is_last = ? WHERE subscription_id = ? AND offset = ?`);
    const leaseFresh = this.#prepared(`
      INSERT INTO outstanding (subscription_id, offset, take, due_ms, deliveries, is_last, bytes)
      VALUES (?, ?, ?, ?, 1, ?, ?)`);
    const isLast = (deliveries: number): number => (deliveries >= row.deliveries_max ? 1 : 0);
    const isCurrent = fresh.after === row.position;
    const freshCount = isCurrent ? fresh.offsets.length : 0;
    let { position, takes, outstanding, deliveries, redeliveries } = row;
    let nextDue = 0;
    let next = 0;

    const hands = demands.map((eventsMax): Hand => {
      const take = takes + 1;
      const offsets: number[] = [];
      const deliveryOf: number[] = [];
      let bytes = 0;
      const give = (offset: number, delivery: number, eventBytes: number): void => {
        offsets.push(offset);
        deliveryOf.push(delivery);
        bytes += eventBytes;
      };
      const fits = (eventBytes: number): boolean =>
        offsets.length < eventsMax && (offsets.length === 0 || bytes + eventBytes <= bytesMax);
      for (; nextDue < due.length; nextDue++) {
        const event = due[nextDue]!;
        if (!fits(event.bytes)) break;
        const delivery = event.deliveries + 1;
        leaseAgain.run(take, dueMs, delivery, isLast(delivery), id, event.offset);
        give(event.offset, delivery, event.bytes);
        if (delivery > 1) redeliveries += 1;
      }
      while (next < freshCount && outstanding < outstandingMax) {
        const offset = fresh.offsets[next]!;
        const eventBytes = fresh.bytes[next]!;
        if (!fits(eventBytes)) break;
        leaseFresh.run(id, offset, take, dueMs, isLast(1), eventBytes);
        give(offset, 1, eventBytes);
        outstanding += 1;
        next += 1;
        position = next === freshCount ? fresh.upTo : offset;
      }
      if (offsets.length > 0) takes = take;
      deliveries += offsets.length;
      return { take: takes, offsets: Float64Array.from(offsets), deliveries: Int32Array.from(deliveryOf) };
    });
    if (isCurrent && freshCount === 0) position = fresh.upTo;

    if (position !== row.position || takes !== row.takes) {
      this.#prepared(
        `
        UPDATE subscription SET position = ?, takes = ?, outstanding = ?, deliveries = ?, redeliveries = ?
        WHERE subscription_id = ?
      `,
      ).run(position, takes, outstanding, deliveries, redeliveries, id);
    }
    return { hands, position, outstanding, nextDueMs: this.#nextDueMs(id) };
  }

  untake(nowMs: number, id: number, take: number): null {
    const undone = this.#prepared(
      `
      UPDATE outstanding SET take = NULL, due_ms = ?, deliveries = deliveries - 1, is_last = 0
      WHERE subscription_id = ? AND take = ? AND due_ms > ? RETURNING deliveries
    `,
    ).all(nowMs, id, take, nowMs);
    const again = undone.filter((event) => Number(event['deliveries']) > 0).length;
    this.#prepared(
      `
      UPDATE subscription SET deliveries = deliveries - ?, redeliveries = redeliveries - ? WHERE subscription_id = ?
    `,
    ).run(undone.length, again, id);
    return null;
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const remove = this.#prepared(`
      DELETE FROM outstanding WHERE subscription_id = ? AND offset = ? AND take = ? AND due_ms > ?`);
    const states = this.#eachLease(row, leases, (offset, take) => remove.run(id, offset, take, nowMs));
    const done = states.reduce((sum, state) => sum + (state === DONE ? 1 : 0), 0);
    this.#prepared(
      `
      UPDATE subscription SET acknowledged = acknowledged + ?, outstanding = outstanding - ? WHERE subscription_id = ?
    `,
    ).run(done, done, id);
    return states;
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const returned = this.#prepared(`
      UPDATE outstanding SET take = NULL, due_ms = iif(is_last, ?, ?)
      WHERE subscription_id = ? AND offset = ? AND take = ? AND due_ms > ?`);
    const states = this.#eachLease(row, leases, (offset, take) =>
      returned.run(nowMs, nowMs + delayMs, id, offset, take, nowMs),
    );
    this.#bury(nowMs, id);
    return states;
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const extended = this.#prepared(`
      UPDATE outstanding SET due_ms = ? WHERE subscription_id = ? AND offset = ? AND take = ? AND due_ms > ?`);
    return this.#eachLease(row, leases, (offset, take) =>
      extended.run(nowMs + leaseMs, id, offset, take, nowMs),
    );
  }

  seek(nowMs: number, id: number, to: Start): Sought | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const position = this.#positionOf(to, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#lastOffset() };
    this.#prepared('DELETE FROM outstanding WHERE subscription_id = ?').run(id);
    const revived = this.#prepared('DELETE FROM dead_letter WHERE subscription_id = ? AND offset > ?');
    const { changes } = revived.run(id, position);
    this.#prepared(
      `
      UPDATE subscription SET position = ?, void_takes = takes, outstanding = 0, dead = dead - ? WHERE subscription_id = ?
    `,
    ).run(position, changes, id);
    return { kind: 'sought', position };
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const letters = this.#prepared(
      offsets === null
        ? 'SELECT offset, bytes FROM dead_letter WHERE subscription_id = ? ORDER BY offset LIMIT ?'
        : `SELECT offset, bytes FROM dead_letter
           WHERE subscription_id = ? AND offset IN (SELECT value FROM json_each(?)) ORDER BY offset LIMIT ?`,
    ).all(...(offsets === null ? [id, eventsMax] : [id, JSON.stringify(offsets), eventsMax]));
    const remove = this.#prepared('DELETE FROM dead_letter WHERE subscription_id = ? AND offset = ?');
    const insert = this.#prepared(`
      INSERT INTO outstanding (subscription_id, offset, take, due_ms, deliveries, is_last, bytes)
      VALUES (?, ?, NULL, ?, 0, 0, ?)`);
    for (const { offset, bytes } of letters) {
      remove.run(id, offset!);
      insert.run(id, offset!, nowMs, bytes!);
    }
    this.#prepared(
      `
      UPDATE subscription SET dead = dead - ?, outstanding = outstanding + ? WHERE subscription_id = ?
    `,
    ).run(letters.length, letters.length, id);
    return letters.length;
  }

  state(nowMs: number, id: number): SubscriptionState | null {
    const row = this.#at(nowMs, id);
    return row === undefined ? null : this.#stateOf(nowMs, row);
  }

  list(nowMs: number): SubscriptionState[] {
    const rows = this.#prepared('SELECT subscription_id FROM subscription ORDER BY name').all();
    return rows.map((row) => this.state(nowMs, Number(row['subscription_id']))!);
  }

  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const rows = this.#prepared(
      `
      SELECT offset, bytes, deliveries, dead_ms, reason FROM dead_letter
      WHERE subscription_id = ? AND offset > ? ORDER BY offset LIMIT ?
    `,
    ).all(id, after, eventsMax);
    return rows.map((row) => ({
      offset: Number(row['offset']),
      bytes: Number(row['bytes']),
      deliveries: Number(row['deliveries']),
      deadMs: Number(row['dead_ms']),
      reason: row['reason'] as DeadReason,
    }));
  }

  /** The subscription's row, with those events dead that the clock has made so. */
  #at(nowMs: number, id: number): SubscriptionRow | undefined {
    this.#bury(nowMs, id);
    const row = this.#prepared('SELECT * FROM subscription WHERE subscription_id = ?').get(id);
    return row as SubscriptionRow | undefined;
  }

  #bury(nowMs: number, id: number): void {
    const oneDead = this.#prepared(`
      SELECT 1 FROM outstanding WHERE subscription_id = ? AND is_last = 1 AND due_ms <= ? LIMIT 1`);
    if (oneDead.get(id, nowMs) === undefined) return;
    const { changes } = this.#prepared(
      `
      INSERT INTO dead_letter (subscription_id, offset, deliveries, bytes, dead_ms, reason)
      SELECT subscription_id, offset, deliveries, bytes, due_ms, iif(take IS NULL, 'given_back', 'lease_expired')
      FROM outstanding WHERE subscription_id = ? AND is_last = 1 AND due_ms <= ?
    `,
    ).run(id, nowMs);
    this.#prepared('DELETE FROM outstanding WHERE subscription_id = ? AND is_last = 1 AND due_ms <= ?').run(
      id,
      nowMs,
    );
    this.#prepared(
      `
      UPDATE subscription SET dead = dead + ?, outstanding = outstanding - ? WHERE subscription_id = ?
    `,
    ).run(changes, changes, id);
  }

  /** Does `work` with each lease; it says by its changes whether the lease was held. */
  #eachLease(
    row: SubscriptionRow,
    { takes, offsets }: Leases,
    work: (offset: number, take: number) => { changes: number | bigint },
  ): LeaseStates {
    const id = row.subscription_id;
    const isOutstanding = this.#prepared(
      'SELECT 1 FROM outstanding WHERE subscription_id = ? AND offset = ?',
    );
    const isDead = this.#prepared('SELECT 1 FROM dead_letter WHERE subscription_id = ? AND offset = ?');
    const states = new Uint8Array(takes.length);
    for (const [i, take] of takes.entries()) {
      const offset = offsets[i]!;
      if (work(offset, take).changes === 1) states[i] = DONE;
      else if (take < 1 || take > row.takes) states[i] = UNKNOWN;
      else if (take <= row.void_takes) states[i] = EXPIRED;
      else if (offset > row.position) states[i] = UNKNOWN;
      else if (isOutstanding.get(id, offset) ?? isDead.get(id, offset)) states[i] = EXPIRED;
      else states[i] = SETTLED;
    }
    return states;
  }

  #stateOf(nowMs: number, row: SubscriptionRow): SubscriptionState {
    const id = row.subscription_id;
    const { leased, lowest } = this.#prepared(
      `
      SELECT (SELECT count(*) FROM outstanding WHERE subscription_id = ? AND take IS NOT NULL AND due_ms > ?) AS leased,
             (SELECT min(offset) FROM outstanding WHERE subscription_id = ?) AS lowest
    `,
    ).get(id, nowMs, id) as { leased: number; lowest: number | null };
    const { position, dead, deliveries, redeliveries, acknowledged } = row;
    return {
      id,
      definition: {
        name: row.name,
        topics: JSON.parse(row.topics) as string[],
        start: JSON.parse(row.start) as Start,
        leaseMs: row.lease_ms,
        deliveriesMax: row.deliveries_max,
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
    };
  }

  #nextDueMs(id: number): number | null {
    const row = this.#prepared(
      `
      SELECT min((SELECT ifnull(min(due_ms), 1e300) FROM outstanding WHERE subscription_id = ? AND is_last = 0),
                 (SELECT ifnull(min(due_ms), 1e300) FROM outstanding WHERE subscription_id = ? AND is_last = 1)) AS due
    `,
    ).get(id, id)!;
    return row['due'] === 1e300 ? null : Number(row['due']);
  }

  /** What is above it is ahead; null where there is no such place. */
  #positionOf(start: Start, nowMs: number): number | null {
    if (start === 'earliest') return 0;
    const lastOffset = this.#lastOffset();
    if (start === 'latest') return lastOffset;
    if ('timeMs' in start) return start.timeMs > nowMs ? null : lastOffsetBefore(this.#db, start.timeMs);
    return start.offset > lastOffset + 1 ? null : Math.max(0, start.offset - 1);
  }

  #lastOffset(): number {
    return readLedger(this.#db).lastOffset;
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

interface SubscriptionRow {
  readonly subscription_id: number;
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
}

interface DueRow {
  readonly offset: number;
  readonly deliveries: number;
  readonly bytes: number;
}
