import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { LIMITS } from '@chronicleweaver/protocol';
import {
  type Created,
  DONE,
  type DeadLetter,
  type DeadReason,
  type Definition,
  EXPIRED,
  type FailedAttempt,
  type FailedPush,
  type Hand,
  type Leases,
  type LeaseStates,
  type OutcomesOf,
  type Push,
  type PushClaim,
  type PushState,
  SETTLED,
  type Sought,
  type Start,
  type Step,
  type GroupState,
  type GroupSteps,
  type TakeRequest,
  type Taken,
  UNKNOWN,
  differingField,
  isSamePush,
} from '../../group-store.ts';
import { lastOffsetBefore } from '../blocks/offset-by-time.ts';
import { type GivenEvent, HandStatements, Hands, type KeptHand, NOBODY } from './hands.ts';
import { readLedger } from '../file/ledger.ts';
import { FreshReader } from './fresh-events.ts';

/**
 * The steps of the groups on tables, for the writer's thread: each is called within a transaction, and all there
 * is to know is in the tables, so that what is rolled back has left no trace in memory.
 *
 * Only events that are leased or returned are kept, in hands (hands.ts); a lease runs out by the clock, without a write.
 * What is at or below the position and neither in a hand nor in `dead_letter` is *acknowledged*: acknowledged events
 * cost nothing. An event at its last delivery is *dead* when it is due, and moves to `dead_letter` with the next step
 * that looks.
 */
export class SqliteGroups implements GroupSteps {
  readonly #db: DatabaseSync;
  readonly #handStatements: HandStatements;
  readonly #statements = new Map<string, StatementSync>();
  readonly #fresh: FreshReader;
  /**
   * Who may send a group's events, by group. Not in the tables: the file has one process at a time, so whoever had a
   * claim when it was opened is gone. Where a transaction that gave one is undone, it lasts its time and harms nobody.
   */
  readonly #claims = new Map<number, { readonly sender: string; readonly untilMs: number }>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#fresh = new FreshReader(db);
    this.#handStatements = new HandStatements(db);
  }

  /** Does the steps, within the transaction that is open. */
  apply<const S extends readonly Step[]>(nowMs: number, steps: S): OutcomesOf<S> {
    return steps.map(([name, ...args]) => {
      const step = this[name].bind(this) as (nowMs: number, ...args: unknown[]) => unknown;
      return step(nowMs, ...args);
    }) as OutcomesOf<S>;
  }

  create(nowMs: number, definition: Definition): Created {
    const { name, topics, start, leaseMs, deliveriesMax, push } = definition;
    const row = this.#get('SELECT group_id FROM event_group WHERE name = ?', name);
    if (row !== undefined) return this.#change(nowMs, Number(row['group_id']), definition);
    const groups = Number(this.#get('SELECT count(*) AS groups FROM event_group')!['groups']);
    if (groups >= LIMITS.groupsMax) return { kind: 'full', groups };
    const position = this.#positionOf(start, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#lastOffset() };
    const id = this.#run(
      `INSERT INTO event_group
         (name, topics, start, lease_ms, deliveries_max, push_url, push_secrets, secret, created_ms, position)
       VALUES (?, ?, ?, ?, ?, ?, ?, randomblob(16), ?, ?)`,
      name,
      JSON.stringify(topics),
      JSON.stringify(start),
      leaseMs,
      deliveriesMax,
      push?.url ?? null,
      push === null ? null : JSON.stringify(push.secrets),
      nowMs,
      position,
    ).lastInsertRowid;
    return { kind: 'created', state: this.state(nowMs, Number(id))! };
  }

  remove(_nowMs: number, id: number): boolean {
    this.#run('DELETE FROM hand WHERE group_id = ?', id);
    this.#run('DELETE FROM dead_letter WHERE group_id = ?', id);
    return this.#run('DELETE FROM event_group WHERE group_id = ?', id).changes === 1;
  }

  find(nowMs: number, name: string): GroupState | null {
    const row = this.#get('SELECT group_id FROM event_group WHERE name = ?', name);
    return row === undefined ? null : this.state(nowMs, Number(row['group_id']));
  }

  take(nowMs: number, id: number, request: TakeRequest): Taken | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const { demands, bytesMax, readAhead, outstandingMax } = request;
    const kept = this.#hands(id);
    const asked = demands.reduce((sum, eventsMax) => sum + eventsMax, 0);
    const due = kept
      .due(nowMs, false, asked)
      .flatMap((hand) => hand.offsets().map((offset) => ({ hand, offset })));
    const dueMs = nowMs + row.lease_ms;
    const room = Math.max(0, outstandingMax - row.outstanding);
    const fresh =
      readAhead?.after === row.position
        ? readAhead
        : this.#fresh.next(JSON.parse(row.topics) as string[], row.position, Math.min(asked, room));
    const freshCount = fresh.offsets.length;
    let { position, takes, outstanding, deliveries, redeliveries } = row;
    let nextDue = 0;
    let next = 0;

    const hands = demands.map((eventsMax): Hand => {
      const take = takes + 1;
      const offsets: number[] = [];
      const deliveryOf: number[] = [];
      let bytes = 0;
      const fits = (eventBytes: number): boolean =>
        offsets.length < eventsMax && (offsets.length === 0 || bytes + eventBytes <= bytesMax);
      const lease = (offset: number, event: GivenEvent): void => {
        kept.put(take, dueMs, event.deliveries >= row.deliveries_max, offset, event);
        offsets.push(offset);
        deliveryOf.push(event.deliveries);
        bytes += event.bytes;
      };
      for (; nextDue < due.length; nextDue++) {
        const { hand, offset } = due[nextDue]!;
        const event = hand.events.get(offset)!;
        if (!fits(event.bytes)) break;
        hand.remove(offset);
        lease(offset, { deliveries: event.deliveries + 1, bytes: event.bytes });
        if (event.deliveries > 0) redeliveries += 1;
      }
      while (next < freshCount && outstanding < outstandingMax) {
        const offset = fresh.offsets[next]!;
        if (!fits(fresh.bytes[next]!)) break;
        lease(offset, { deliveries: 1, bytes: fresh.bytes[next]! });
        outstanding += 1;
        next += 1;
        position = next === freshCount ? fresh.upTo : offset;
      }
      if (offsets.length > 0) takes = take;
      deliveries += offsets.length;
      return { take: takes, offsets: Float64Array.from(offsets), deliveries: Int32Array.from(deliveryOf) };
    });
    if (freshCount === 0) position = fresh.upTo;

    if (position !== row.position || takes !== row.takes) {
      kept.save();
      this.#run(
        `UPDATE event_group SET position = ?, takes = ?, outstanding = ?, deliveries = ?, redeliveries = ?
         WHERE group_id = ?`,
        position,
        takes,
        outstanding,
        deliveries,
        redeliveries,
        id,
      );
    }
    const nextDueMs = this.#nextDueMs(id);
    const nextDueInMs = nextDueMs === null ? null : Math.max(0, nextDueMs - nowMs);
    return { hands, position, outstanding, nextDueInMs };
  }

  untake(nowMs: number, id: number, take: number | null): null {
    const kept = this.#hands(id);
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
    this.#run(
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
    this.#run(
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
    this.#bury(nowMs, id);
    return states;
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    return this.#eachLease(nowMs, id, leases, (kept, { take, isLast }, offset, event) =>
      kept.put(take, nowMs + leaseMs, isLast, offset, event),
    );
  }

  seek(nowMs: number, id: number, to: Start): Sought | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const position = this.#positionOf(to, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#lastOffset() };
    this.#run('DELETE FROM hand WHERE group_id = ?', id);
    const revived = this.#run('DELETE FROM dead_letter WHERE group_id = ? AND offset > ?', id, position);
    this.#run(
      `UPDATE event_group SET position = ?, void_takes = takes, outstanding = 0, dead = dead - ?
       WHERE group_id = ?`,
      position,
      revived.changes,
      id,
    );
    return { kind: 'sought', position };
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const letters =
      offsets === null
        ? this.#all(
            'SELECT offset, bytes FROM dead_letter WHERE group_id = ? ORDER BY offset LIMIT ?',
            id,
            eventsMax,
          )
        : this.#all(
            `SELECT offset, bytes FROM dead_letter
             WHERE group_id = ? AND offset IN (SELECT value FROM json_each(?)) ORDER BY offset LIMIT ?`,
            id,
            JSON.stringify(offsets),
            eventsMax,
          );
    const kept = this.#hands(id);
    for (const letter of letters) {
      const offset = Number(letter['offset']);
      this.#run('DELETE FROM dead_letter WHERE group_id = ? AND offset = ?', id, offset);
      kept.put(NOBODY, nowMs, false, offset, { deliveries: 0, bytes: Number(letter['bytes']) });
    }
    kept.save();
    this.#run(
      'UPDATE event_group SET dead = dead - ?, outstanding = outstanding + ? WHERE group_id = ?',
      letters.length,
      letters.length,
      id,
    );
    return letters.length;
  }

  claimPush(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null {
    const row = this.#at(nowMs, id);
    const push = row === undefined ? null : pushOf(row);
    if (row === undefined || push === null) return null;
    const claim = this.#claims.get(id);
    const isOwn = claim?.sender === sender;
    const othersForMs = isOwn ? 0 : Math.max(0, (claim?.untilMs ?? 0) - nowMs);
    if (othersForMs === 0) {
      // What a sender that is gone was sending, nobody is sending now.
      if (!isOwn) this.untake(nowMs, id, null);
      this.#claims.set(id, { sender, untilMs: nowMs + claimMs });
    }
    return { isHeld: othersForMs === 0, othersForMs, push, state: pushStateOf(row) };
  }

  releasePush(_nowMs: number, id: number, sender: string): null {
    // Whose it was is kept: it may have left an event under way.
    if (this.#claims.get(id)?.sender === sender) this.#claims.set(id, { sender, untilMs: 0 });
    return null;
  }

  failPush(nowMs: number, id: number, leases: Leases, attempt: FailedAttempt): FailedPush | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const { target, reason, pauseAfterMs, delayMs } = attempt;
    if (!isSamePush(pushOf(row), target)) {
      for (const take of leases.takes) this.untake(nowMs, id, take);
      return { state: pushStateOf(row), dueInMs: 0 };
    }
    this.giveBack(nowMs, id, leases, delayMs);
    return { state: this.notePush(nowMs, id, reason, pauseAfterMs)!, dueInMs: delayMs };
  }

  notePush(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const failingSinceMs = failure === null ? null : (row.failing_since_ms ?? nowMs);
    const hasFailedForLong = failingSinceMs !== null && nowMs - failingSinceMs >= pauseAfterMs;
    const isPaused = row.is_paused === 1 || hasFailedForLong;
    return this.#writePushState(id, { isPaused, failingSinceMs, lastFailure: failure });
  }

  resume(nowMs: number, id: number): PushState | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const kept = this.#hands(id);
    for (const hand of kept.of(NOBODY)) {
      for (const offset of hand.offsets()) kept.put(NOBODY, nowMs, hand.isLast, offset, hand.remove(offset)!);
    }
    kept.save();
    return this.#writePushState(id, { isPaused: false, failingSinceMs: null, lastFailure: null });
  }

  state(nowMs: number, id: number): GroupState | null {
    const row = this.#at(nowMs, id);
    return row === undefined ? null : this.#stateOf(nowMs, row);
  }

  list(nowMs: number): GroupState[] {
    const rows = this.#all('SELECT group_id FROM event_group ORDER BY name');
    return rows.map((row) => this.state(nowMs, Number(row['group_id']))!);
  }

  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    if (this.#at(nowMs, id) === undefined) return null;
    const rows = this.#all(
      `SELECT offset, bytes, deliveries, dead_ms, reason FROM dead_letter
       WHERE group_id = ? AND offset > ? ORDER BY offset LIMIT ?`,
      id,
      after,
      eventsMax,
    );
    return rows.map((row) => ({
      offset: Number(row['offset']),
      bytes: Number(row['bytes']),
      deliveries: Number(row['deliveries']),
      deadMs: Number(row['dead_ms']),
      reason: row['reason'] as DeadReason,
    }));
  }

  /** The group's row, with those events dead that the clock has made so. */
  #at(nowMs: number, id: number): GroupRow | undefined {
    this.#bury(nowMs, id);
    const row = this.#get('SELECT * FROM event_group WHERE group_id = ?', id);
    return row as GroupRow | undefined;
  }

  #bury(nowMs: number, id: number): void {
    const kept = this.#hands(id);
    const hands = kept.due(nowMs, true, Number.POSITIVE_INFINITY);
    if (hands.length === 0) return;
    let buried = 0;
    for (const hand of hands) {
      const reason: DeadReason = hand.take === NOBODY ? 'given_back' : 'lease_expired';
      for (const offset of hand.offsets()) {
        const { deliveries, bytes } = hand.remove(offset)!;
        this.#run(
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
    this.#run(
      'UPDATE event_group SET dead = dead + ?, outstanding = outstanding - ? WHERE group_id = ?',
      buried,
      buried,
      id,
    );
  }

  #change(nowMs: number, id: number, definition: Definition): Created {
    const state = this.state(nowMs, id)!;
    const field = differingField(state.definition, definition);
    if (field !== undefined) return { kind: 'differs', field };
    const { push } = definition;
    if (push === null || isSamePush(state.definition.push, push)) return { kind: 'same', state };
    this.#run(
      'UPDATE event_group SET push_url = ?, push_secrets = ? WHERE group_id = ?',
      push.url,
      JSON.stringify(push.secrets),
      id,
    );
    this.resume(nowMs, id);
    return { kind: 'changed', state: this.state(nowMs, id)! };
  }

  /** Takes each event whose lease is held out of its hand and calls `work` with it. */
  #eachLease(
    nowMs: number,
    id: number,
    leases: Leases,
    work: (kept: Hands, hand: KeptHand, offset: number, event: GivenEvent) => void,
  ): LeaseStates | null {
    const row = this.#at(nowMs, id);
    if (row === undefined) return null;
    const kept = this.#hands(id);
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

  /** Says of the leases at these places, which are not held, why they are not. */
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
    return this.#get('SELECT 1 FROM dead_letter WHERE group_id = ? AND offset = ?', id, offset) !== undefined;
  }

  #writePushState(id: number, state: PushState): PushState {
    this.#run(
      'UPDATE event_group SET is_paused = ?, failing_since_ms = ?, last_failure = ? WHERE group_id = ?',
      Number(state.isPaused),
      state.failingSinceMs,
      state.lastFailure,
      id,
    );
    return state;
  }

  #stateOf(nowMs: number, row: GroupRow): GroupState {
    const id = row.group_id;
    const { leased, lowest } = this.#get(
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

  #nextDueMs(id: number): number | null {
    const dueOf = (isLast: 0 | 1): number | null =>
      this.#get('SELECT min(due_ms) AS due FROM hand WHERE group_id = ? AND is_last = ?', id, isLast)![
        'due'
      ] as number | null;
    const [due, lastDue] = [dueOf(0), dueOf(1)];
    return due === null || lastDue === null ? (due ?? lastDue) : Math.min(due, lastDue);
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

  #hands(id: number): Hands {
    return new Hands(this.#handStatements, id);
  }

  #get(sql: string, ...values: SQLInputValue[]) {
    return this.#prepared(sql).get(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]) {
    return this.#prepared(sql).all(...values);
  }

  #run(sql: string, ...values: SQLInputValue[]) {
    return this.#prepared(sql).run(...values);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

interface GroupRow {
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

function pushOf({ push_url: url, push_secrets: secrets }: GroupRow): Push | null {
  return url === null || secrets === null ? null : { url, secrets: JSON.parse(secrets) as string[] };
}

function pushStateOf(row: GroupRow): PushState {
  return {
    isPaused: row.is_paused === 1,
    failingSinceMs: row.failing_since_ms,
    lastFailure: row.last_failure,
  };
}
