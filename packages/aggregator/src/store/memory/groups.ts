import { LIMITS } from '@chronicleweaver/protocol';
import type { GroupNews, GroupNewsListener } from '../group-news.ts';
import {
  type Created,
  type DeadLetter,
  type Definition,
  type FailedAttempt,
  type FailedPush,
  type FreshEvents,
  type GroupState,
  type GroupSteps,
  type GroupStore,
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
import { newsOfSteps } from '../news-of-steps.ts';
import { Watchers } from '../watchers.ts';
import type { MemoryAudit } from './audit.ts';
import { MemoryGroup } from './group.ts';

/** What groups need to know of the log. */
export interface Log {
  readonly lastOffset: number;
  /** The offset of the last event committed before the time, 0 if there is none. */
  lastOffsetBefore(timeMs: number): number;
  /** See earliestOf; of matching topics. */
  earliest(topics: readonly string[]): number;
  /** The next events above the offset on matching topics, at most `eventsMax`. */
  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents;
}

/** The reference: what a store of groups has to do, in as little code as possible. Nothing is durable. */
export class MemoryGroups implements GroupStore, GroupSteps {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #audit: MemoryAudit;
  readonly #byId = new Map<number, MemoryGroup>();
  readonly #watchers = new Watchers<GroupNews>();
  #lastId = 0;

  constructor(log: Log, now: () => number, audit: MemoryAudit) {
    this.#log = log;
    this.#now = now;
    this.#audit = audit;
  }

  async apply<const S extends readonly Step[]>(steps: S): Promise<OutcomesOf<S>> {
    const nowMs = this.#now();
    const outcomes = steps.map((step) => this.#step(nowMs, step)) as OutcomesOf<S>;
    for (const news of newsOfSteps(steps, outcomes)) this.#watchers.tell(news);
    return outcomes;
  }

  watch(listener: GroupNewsListener): () => void {
    return this.#watchers.add(listener);
  }

  create(nowMs: number, definition: Definition): Created {
    const known = this.#named(definition.name);
    if (known !== undefined) return this.#change(nowMs, known, definition);
    if (this.#byId.size >= LIMITS.groupsMax) return { kind: 'full', groups: this.#byId.size };
    const position = this.#positionOf(definition.start, definition.topics, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#log.lastOffset };
    const group = new MemoryGroup(++this.#lastId, definition, position, nowMs, this.#audit);
    this.#byId.set(group.id, group);
    return { kind: 'created', state: group.state(nowMs) };
  }

  remove(_nowMs: number, id: number): boolean {
    return this.#byId.delete(id);
  }

  find(nowMs: number, name: string): GroupState | null {
    const group = this.#named(name);
    return group === undefined ? null : this.state(nowMs, group.id);
  }

  take(nowMs: number, id: number, request: TakeRequest): Taken | null {
    const next = this.#log.next.bind(this.#log);
    return this.#at(nowMs, id)?.take(nowMs, request, next) ?? null;
  }

  untake(nowMs: number, id: number, take: number | null): null {
    this.#at(nowMs, id)?.untake(nowMs, take);
    return null;
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    return this.#at(nowMs, id)?.acknowledge(nowMs, leases) ?? null;
  }

  expire(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    return this.#at(nowMs, id)?.expire(nowMs, leases) ?? null;
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    return this.#at(nowMs, id)?.giveBack(nowMs, leases, delayMs) ?? null;
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    return this.#at(nowMs, id)?.extend(nowMs, leases, leaseMs) ?? null;
  }

  seek(nowMs: number, id: number, to: Start): Sought | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const position = this.#positionOf(to, group.definition.topics, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#log.lastOffset };
    group.seek(position);
    return { kind: 'sought', position };
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    return this.#at(nowMs, id)?.replay(nowMs, offsets, eventsMax) ?? null;
  }

  claimPush(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null {
    const group = this.#at(nowMs, id);
    const push = group?.definition.push ?? null;
    if (group === undefined || push === null) return null;
    const othersForMs = group.sender === sender ? 0 : Math.max(0, group.senderUntilMs - nowMs);
    if (othersForMs === 0) {
      // Nobody is sending any more what the previous sender was sending.
      if (group.sender !== sender) group.untake(nowMs, null);
      group.sender = sender;
      group.senderUntilMs = nowMs + claimMs;
    }
    return { isHeld: othersForMs === 0, othersForMs, push, state: group.push };
  }

  releasePush(_nowMs: number, id: number, sender: string): null {
    const group = this.#byId.get(id);
    if (group?.sender === sender) group.senderUntilMs = 0;
    return null;
  }

  failPush(nowMs: number, id: number, leases: Leases, attempt: FailedAttempt): FailedPush | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const { target, reason, pauseAfterMs, delayMs } = attempt;
    if (!isSamePush(group.definition.push, target)) {
      for (const take of leases.takes) group.untake(nowMs, take);
      return { state: group.push, dueInMs: 0 };
    }
    group.giveBack(nowMs, leases, delayMs);
    return { state: this.notePush(nowMs, id, reason, pauseAfterMs)!, dueInMs: delayMs };
  }

  notePush(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const failingSinceMs = failure === null ? null : (group.push.failingSinceMs ?? nowMs);
    const hasFailedForLong = failingSinceMs !== null && nowMs - failingSinceMs >= pauseAfterMs;
    const pausedBy = group.push.pausedBy ?? (hasFailedForLong ? 'failures' : null);
    group.push = { pausedBy, failingSinceMs, lastFailure: failure };
    return group.push;
  }

  pause(nowMs: number, id: number): PushState | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    group.push = { ...group.push, pausedBy: 'request' };
    return group.push;
  }

  resume(nowMs: number, id: number): PushState | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    group.push = { pausedBy: null, failingSinceMs: null, lastFailure: null };
    group.hurry(nowMs);
    return group.push;
  }

  state(nowMs: number, id: number): GroupState | null {
    return this.#at(nowMs, id)?.state(nowMs) ?? null;
  }

  list(nowMs: number): GroupState[] {
    const states = [...this.#byId.keys()].map((id) => this.state(nowMs, id)!);
    return states.toSorted((a, b) =>
      Buffer.compare(Buffer.from(a.definition.name), Buffer.from(b.definition.name)),
    );
  }

  outstanding(nowMs: number, id: number, after: number, eventsMax: number): number[] | null {
    return this.#at(nowMs, id)?.outstandingBehind(after, eventsMax) ?? null;
  }

  returned(nowMs: number, id: number, after: number, eventsMax: number): number[] | null {
    return this.#at(nowMs, id)?.returnedBehind(nowMs, after, eventsMax) ?? null;
  }

  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    return this.#at(nowMs, id)?.deadBehind(after, eventsMax) ?? null;
  }

  /** The group, after burying the events that are dead by the clock. */
  #at(nowMs: number, id: number): MemoryGroup | undefined {
    const group = this.#byId.get(id);
    group?.buryDue(nowMs);
    return group;
  }

  #named(name: string): MemoryGroup | undefined {
    return this.#byId.values().find(({ definition }) => definition.name === name);
  }

  #change(nowMs: number, group: MemoryGroup, definition: Definition): Created {
    const { id, definition: known } = group;
    const field = differingField(known, definition);
    if (field !== undefined) return { kind: 'differs', field };
    if (isSamePush(known.push, definition.push)) return { kind: 'same', state: this.state(nowMs, id)! };
    group.definition = { ...known, push: definition.push };
    const isPauseAsked = group.push.pausedBy === 'request';
    this.resume(nowMs, id);
    if (isPauseAsked) this.pause(nowMs, id);
    return { kind: 'changed', state: this.state(nowMs, id)! };
  }

  /** The position from which everything above is ahead for a group on these topics; null if there is no such place. */
  #positionOf(start: Start, topics: readonly string[], nowMs: number): number | null {
    const { lastOffset } = this.#log;
    if (start === 'earliest') return this.#log.earliest(topics);
    if (start === 'latest') return lastOffset;
    if ('timeMs' in start) return start.timeMs > nowMs ? null : this.#log.lastOffsetBefore(start.timeMs);
    return start.offset > lastOffset + 1 ? null : Math.max(0, start.offset - 1);
  }

  #step(nowMs: number, [name, ...args]: Step): unknown {
    const step = this[name].bind(this) as (nowMs: number, ...args: unknown[]) => unknown;
    return step(nowMs, ...args);
  }
}
