import type { DatabaseSync } from 'node:sqlite';
import { LIMITS } from '@chronicleweaver/protocol';
import {
  type Created,
  type DeadLetter,
  type Definition,
  type FailedAttempt,
  type FailedPush,
  type GroupState,
  type GroupSteps,
  type LeaseStates,
  type Leases,
  type OutcomesOf,
  type PushClaim,
  type PushState,
  type Sought,
  type Start,
  type Step,
  type TakeRequest,
  type Taken,
} from '../../group-store.ts';
import { differingField, isSamePush } from '../../group-definition.ts';
import { DeadLetters } from './dead-letters.ts';
import { FreshReader } from './fresh-events.ts';
import { GroupRows } from './group-rows.ts';
import { LeaseSteps } from './leases.ts';
import { PushSteps } from './push-steps.ts';
import { take } from './take.ts';

/**
 * The steps of groups on tables, for the writer's thread, each passed to the file that does it (group-rows.ts
 * explains the states).
 */
export class SqliteGroups implements GroupSteps {
  readonly #rows: GroupRows;
  readonly #fresh: FreshReader;
  readonly #leases: LeaseSteps;
  readonly #dead: DeadLetters;
  readonly #push: PushSteps;

  constructor(db: DatabaseSync) {
    this.#rows = new GroupRows(db);
    this.#fresh = new FreshReader(db);
    this.#leases = new LeaseSteps(this.#rows);
    this.#dead = new DeadLetters(this.#rows);
    this.#push = new PushSteps(this.#rows, this.#leases);
  }

  /** Does the steps within the open transaction. */
  apply<const S extends readonly Step[]>(nowMs: number, steps: S): OutcomesOf<S> {
    return steps.map(([name, ...args]) => {
      const step = this[name].bind(this) as (nowMs: number, ...args: unknown[]) => unknown;
      return step(nowMs, ...args);
    }) as OutcomesOf<S>;
  }

  create(nowMs: number, definition: Definition): Created {
    const { name, topics, start, leaseMs, deliveriesMax, push } = definition;
    const row = this.#rows.get('SELECT group_id FROM event_group WHERE name = ?', name);
    if (row !== undefined) return this.#change(nowMs, Number(row['group_id']), definition);
    const groups = Number(this.#rows.get('SELECT count(*) AS groups FROM event_group')!['groups']);
    if (groups >= LIMITS.groupsMax) return { kind: 'full', groups };
    const position = this.#rows.positionOf(start, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#rows.lastOffset };
    const id = this.#rows.run(
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
    this.#push.forget(id);
    this.#rows.run('DELETE FROM hand WHERE group_id = ?', id);
    this.#rows.run('DELETE FROM dead_letter WHERE group_id = ?', id);
    return this.#rows.run('DELETE FROM event_group WHERE group_id = ?', id).changes === 1;
  }

  find(nowMs: number, name: string): GroupState | null {
    const row = this.#rows.get('SELECT group_id FROM event_group WHERE name = ?', name);
    return row === undefined ? null : this.state(nowMs, Number(row['group_id']));
  }

  take(nowMs: number, id: number, request: TakeRequest): Taken | null {
    return take(this.#rows, this.#fresh, nowMs, id, request);
  }

  untake(nowMs: number, id: number, take: number | null): null {
    return this.#leases.untake(nowMs, id, take);
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    return this.#leases.acknowledge(nowMs, id, leases);
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    return this.#leases.giveBack(nowMs, id, leases, delayMs);
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    return this.#leases.extend(nowMs, id, leases, leaseMs);
  }

  seek(nowMs: number, id: number, to: Start): Sought | null {
    if (this.#rows.at(nowMs, id) === undefined) return null;
    const position = this.#rows.positionOf(to, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#rows.lastOffset };
    this.#rows.run('DELETE FROM hand WHERE group_id = ?', id);
    const revived = this.#rows.run('DELETE FROM dead_letter WHERE group_id = ? AND offset > ?', id, position);
    this.#rows.run(
      `UPDATE event_group SET position = ?, void_takes = takes, outstanding = 0, dead = dead - ?
       WHERE group_id = ?`,
      position,
      revived.changes,
      id,
    );
    return { kind: 'sought', position };
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    return this.#dead.replay(nowMs, id, offsets, eventsMax);
  }

  claimPush(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null {
    return this.#push.claim(nowMs, id, sender, claimMs);
  }

  releasePush(nowMs: number, id: number, sender: string): null {
    return this.#push.release(nowMs, id, sender);
  }

  failPush(nowMs: number, id: number, leases: Leases, attempt: FailedAttempt): FailedPush | null {
    return this.#push.fail(nowMs, id, leases, attempt);
  }

  notePush(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null {
    return this.#push.note(nowMs, id, failure, pauseAfterMs);
  }

  resume(nowMs: number, id: number): PushState | null {
    return this.#push.resume(nowMs, id);
  }

  state(nowMs: number, id: number): GroupState | null {
    const row = this.#rows.at(nowMs, id);
    return row === undefined ? null : this.#rows.stateOf(nowMs, row);
  }

  list(nowMs: number): GroupState[] {
    const rows = this.#rows.all('SELECT group_id FROM event_group ORDER BY name');
    return rows.map((row) => this.state(nowMs, Number(row['group_id']))!);
  }

  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    return this.#dead.list(nowMs, id, after, eventsMax);
  }

  #change(nowMs: number, id: number, definition: Definition): Created {
    const state = this.state(nowMs, id)!;
    const field = differingField(state.definition, definition);
    if (field !== undefined) return { kind: 'differs', field };
    const { push } = definition;
    if (push === null || isSamePush(state.definition.push, push)) return { kind: 'same', state };
    this.#rows.run(
      'UPDATE event_group SET push_url = ?, push_secrets = ? WHERE group_id = ?',
      push.url,
      JSON.stringify(push.secrets),
      id,
    );
    this.resume(nowMs, id);
    return { kind: 'changed', state: this.state(nowMs, id)! };
  }
}
