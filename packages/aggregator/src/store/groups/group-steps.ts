import { randomBytes } from 'node:crypto';
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
} from '../group-store.ts';
import { differingField, isSamePush } from '../group-definition.ts';
import { DeadLetters } from './dead-letters.ts';
import { GroupRows } from './group-rows.ts';
import type { GroupTables } from './group-tables.ts';
import { LeaseSteps } from './leases.ts';
import { PushSteps } from './push-steps.ts';
import { take } from './take.ts';

/** Of the secret that signs a group's lease ids. */
const SECRET_BYTES = 16;

/** The steps of groups on tables, each passed to the file that does it (group-rows.ts explains the states). */
export class TableSteps implements GroupSteps {
  readonly #tables: GroupTables;
  readonly #rows: GroupRows;
  readonly #leases: LeaseSteps;
  readonly #dead: DeadLetters;
  readonly #push: PushSteps;

  constructor(tables: GroupTables) {
    this.#tables = tables;
    this.#rows = new GroupRows(tables);
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
    const known = this.#tables.idOf(name);
    if (known !== undefined) return this.#change(nowMs, known, definition);
    const groups = this.#tables.count();
    if (groups >= LIMITS.groupsMax) return { kind: 'full', groups };
    const position = this.#rows.positionOf(start, topics, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#tables.log.lastOffset };
    const id = this.#tables.insert({
      name,
      topics: JSON.stringify(topics),
      start: JSON.stringify(start),
      lease_ms: leaseMs,
      deliveries_max: deliveriesMax,
      push_url: push?.url ?? null,
      push_secrets: push === null ? null : JSON.stringify(push.secrets),
      push_format: push?.format ?? null,
      secret: randomBytes(SECRET_BYTES),
      created_ms: nowMs,
      position,
    });
    return { kind: 'created', state: this.state(nowMs, id)! };
  }

  remove(_nowMs: number, id: number): boolean {
    return this.#tables.remove(id);
  }

  find(nowMs: number, name: string): GroupState | null {
    const id = this.#tables.idOf(name);
    return id === undefined ? null : this.state(nowMs, id);
  }

  take(nowMs: number, id: number, request: TakeRequest): Taken | null {
    return take(this.#rows, nowMs, id, request);
  }

  untake(nowMs: number, id: number, take: number | null): null {
    return this.#leases.untake(nowMs, id, take);
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    return this.#leases.acknowledge(nowMs, id, leases);
  }

  expire(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    return this.#leases.expire(nowMs, id, leases);
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    return this.#leases.giveBack(nowMs, id, leases, delayMs);
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    return this.#leases.extend(nowMs, id, leases, leaseMs);
  }

  seek(nowMs: number, id: number, to: Start): Sought | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const position = this.#rows.positionOf(to, JSON.parse(row.topics) as string[], nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#tables.log.lastOffset };
    this.#tables.hands(id).removeAll();
    const revived = row.dead === 0 ? 0 : this.#tables.letters(id).removeAbove(position);
    this.#tables.update(id, { position, void_takes: row.takes, outstanding: 0, dead: row.dead - revived });
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

  pause(nowMs: number, id: number): PushState | null {
    return this.#push.pause(nowMs, id);
  }

  resume(nowMs: number, id: number): PushState | null {
    return this.#push.resume(nowMs, id);
  }

  state(nowMs: number, id: number): GroupState | null {
    const row = this.#rows.at(nowMs, id);
    return row === undefined ? null : this.#rows.stateOf(nowMs, row);
  }

  list(nowMs: number): GroupState[] {
    return this.#tables.ids().map((id) => this.state(nowMs, id)!);
  }

  outstanding(nowMs: number, id: number, after: number, eventsMax: number): number[] | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const offsets = row.outstanding === 0 ? [] : this.#rows.hands(id).offsetsAbove(after);
    return offsets.slice(0, eventsMax);
  }

  returned(nowMs: number, id: number, after: number, eventsMax: number): number[] | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const offsets = row.outstanding === 0 ? [] : this.#rows.hands(id).returnedAbove(nowMs, after);
    return offsets.slice(0, eventsMax);
  }

  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    const letters = this.#dead.list(nowMs, id, after, eventsMax);
    return letters === null ? null : [...letters];
  }

  #change(nowMs: number, id: number, definition: Definition): Created {
    const state = this.state(nowMs, id)!;
    const field = differingField(state.definition, definition);
    if (field !== undefined) return { kind: 'differs', field };
    const { push } = definition;
    if (push === null || isSamePush(state.definition.push, push)) return { kind: 'same', state };
    this.#tables.update(id, {
      push_url: push.url,
      push_secrets: JSON.stringify(push.secrets),
      push_format: push.format ?? null,
    });
    this.#push.retarget(nowMs, id);
    return { kind: 'changed', state: this.state(nowMs, id)! };
  }
}
