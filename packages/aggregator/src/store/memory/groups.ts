import { randomBytes } from 'node:crypto';
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
  type FreshEvents,
  type Hand,
  type Leases,
  type LeaseStates,
  type OutcomesOf,
  type PushClaim,
  type PushState,
  SETTLED,
  type Sought,
  type Start,
  type Step,
  type GroupState,
  type GroupSteps,
  type GroupStore,
  type TakeRequest,
  type Taken,
  UNKNOWN,
  differingField,
  isSamePush,
} from '../group-store.ts';
import { Watchers } from '../watchers.ts';
import type { GroupNews, GroupNewsListener } from '../group-news.ts';
import { newsOfSteps } from '../news-of-steps.ts';

/** What is asked of the log. */
export interface Log {
  readonly lastOffset: number;
  /** The offset of the last event that was committed before the time, 0 where none was. */
  lastOffsetBefore(timeMs: number): number;
  /** The next events above the offset on topics that match, at most so many. */
  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents;
}

/** An event that is leased (`take` is set and `dueMs` is to come) or returned. */
interface Outstanding {
  readonly offset: number;
  readonly bytes: number;
  deliveries: number;
  take: number | null;
  dueMs: number;
}

interface Group {
  readonly id: number;
  definition: Definition;
  readonly secret: Uint8Array;
  readonly createdMs: number;
  position: number;
  takes: number;
  /** Leases of takes up to this one are void. */
  voidTakes: number;
  readonly outstanding: Map<number, Outstanding>;
  readonly dead: Map<number, DeadLetter>;
  deliveries: number;
  redeliveries: number;
  acknowledged: number;
  isPaused: boolean;
  failingSinceMs: number | null;
  lastFailure: string | null;
  sender: string | null;
  senderUntilMs: number;
}

/** The reference: what a store of groups has to do, in the fewest words. Nothing is durable. */
export class MemoryGroups implements GroupStore, GroupSteps {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #byId = new Map<number, Group>();
  readonly #watchers = new Watchers<GroupNews>();
  #lastId = 0;

  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
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
    for (const group of this.#byId.values()) {
      if (group.definition.name === definition.name) return this.#change(nowMs, group, definition);
    }
    if (this.#byId.size >= LIMITS.groupsMax) return { kind: 'full', groups: this.#byId.size };
    const position = this.#positionOf(definition.start, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#log.lastOffset };
    const id = ++this.#lastId;
    this.#byId.set(id, {
      id,
      definition,
      secret: Uint8Array.from(randomBytes(16)),
      createdMs: nowMs,
      position,
      takes: 0,
      voidTakes: 0,
      outstanding: new Map(),
      dead: new Map(),
      deliveries: 0,
      redeliveries: 0,
      acknowledged: 0,
      isPaused: false,
      failingSinceMs: null,
      lastFailure: null,
      sender: null,
      senderUntilMs: 0,
    });
    return { kind: 'created', state: this.state(nowMs, id)! };
  }

  remove(_nowMs: number, id: number): boolean {
    return this.#byId.delete(id);
  }

  find(nowMs: number, name: string): GroupState | null {
    const found = this.#byId.values().find(({ definition }) => definition.name === name);
    return found === undefined ? null : this.state(nowMs, found.id);
  }

  take(nowMs: number, id: number, request: TakeRequest): Taken | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const { demands, outstandingMax, bytesMax } = request;
    const room = Math.max(0, outstandingMax - group.outstanding.size);
    const asked = demands.reduce((sum, eventsMax) => sum + eventsMax, 0);
    const fresh = isCurrent(request.readAhead, group.position)
      ? request.readAhead
      : this.#log.next(group.definition.topics, group.position, Math.min(asked, room));
    const freshCount = fresh.offsets.length;
    let next = 0;
    const hands = demands.map((eventsMax): Hand => {
      const taken: Outstanding[] = [];
      let bytes = 0;
      const fits = (event: Outstanding): boolean =>
        taken.length < eventsMax && (taken.length === 0 || bytes + event.bytes <= bytesMax);
      for (const event of inOrderOfDue(group)) {
        if (event.dueMs > nowMs || !fits(event)) break;
        taken.push(event);
        bytes += event.bytes;
      }
      while (next < freshCount && group.outstanding.size < outstandingMax) {
        const offset = fresh.offsets[next]!;
        const event: Outstanding = {
          offset,
          bytes: fresh.bytes[next]!,
          deliveries: 0,
          take: null,
          dueMs: nowMs,
        };
        if (!fits(event)) break;
        taken.push(event);
        bytes += event.bytes;
        group.outstanding.set(offset, event);
        next += 1;
        group.position = next === freshCount ? fresh.upTo : offset;
      }
      if (taken.length > 0) group.takes += 1;
      for (const event of taken) {
        group.deliveries += 1;
        if (event.deliveries > 0) group.redeliveries += 1;
        event.deliveries += 1;
        event.take = group.takes;
        event.dueMs = nowMs + group.definition.leaseMs;
      }
      return {
        take: group.takes,
        offsets: Float64Array.from(taken, ({ offset }) => offset),
        deliveries: Int32Array.from(taken, ({ deliveries }) => deliveries),
      };
    });
    if (freshCount === 0) group.position = fresh.upTo;
    const nextDueMs = inOrderOfDue(group)[0]?.dueMs;
    return {
      hands,
      position: group.position,
      outstanding: group.outstanding.size,
      nextDueInMs: nextDueMs === undefined ? null : Math.max(0, nextDueMs - nowMs),
    };
  }

  untake(nowMs: number, id: number, take: number | null): null {
    const group = this.#at(nowMs, id);
    for (const event of group?.outstanding.values() ?? []) {
      if (event.take === null || event.take !== (take ?? event.take) || event.dueMs <= nowMs) continue;
      event.deliveries -= 1;
      group!.deliveries -= 1;
      group!.redeliveries -= event.deliveries > 0 ? 1 : 0;
      event.take = null;
      event.dueMs = nowMs;
    }
    return null;
  }

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null {
    return this.#eachLease(nowMs, id, leases, (group, event) => {
      group.outstanding.delete(event.offset);
      group.acknowledged += 1;
    });
  }

  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null {
    return this.#eachLease(nowMs, id, leases, (group, event) => {
      event.take = null;
      event.dueMs = nowMs + delayMs;
      if (event.deliveries >= group.definition.deliveriesMax) {
        bury(group, event, nowMs, 'given_back');
      }
    });
  }

  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null {
    return this.#eachLease(nowMs, id, leases, (_group, event) => {
      event.dueMs = nowMs + leaseMs;
    });
  }

  seek(nowMs: number, id: number, to: Start): Sought | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const position = this.#positionOf(to, nowMs);
    if (position === null) return { kind: 'beyond_end', lastOffset: this.#log.lastOffset };
    group.position = position;
    group.outstanding.clear();
    group.voidTakes = group.takes;
    for (const offset of group.dead.keys()) if (offset > position) group.dead.delete(offset);
    return { kind: 'sought', position };
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const wanted = ascending(group.dead.keys()).filter((offset) => offsets?.includes(offset) ?? true);
    for (const offset of wanted.slice(0, eventsMax)) {
      const { bytes } = group.dead.get(offset)!;
      group.dead.delete(offset);
      group.outstanding.set(offset, { offset, bytes, deliveries: 0, take: null, dueMs: nowMs });
    }
    return Math.min(wanted.length, eventsMax);
  }

  claimPush(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null {
    const group = this.#at(nowMs, id);
    const push = group?.definition.push ?? null;
    if (group === undefined || push === null) return null;
    const othersForMs = group.sender === sender ? 0 : Math.max(0, group.senderUntilMs - nowMs);
    if (othersForMs === 0) {
      // What a sender that is gone was sending, nobody is sending now.
      if (group.sender !== sender) this.untake(nowMs, id, null);
      group.sender = sender;
      group.senderUntilMs = nowMs + claimMs;
    }
    return { isHeld: othersForMs === 0, othersForMs, push, state: pushStateOf(group) };
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
      for (const take of leases.takes) this.untake(nowMs, id, take);
      return { state: pushStateOf(group), dueInMs: 0 };
    }
    this.giveBack(nowMs, id, leases, delayMs);
    return { state: this.notePush(nowMs, id, reason, pauseAfterMs)!, dueInMs: delayMs };
  }

  notePush(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    if (failure === null) {
      group.failingSinceMs = null;
    } else {
      group.failingSinceMs ??= nowMs;
      group.isPaused ||= nowMs - group.failingSinceMs >= pauseAfterMs;
    }
    group.lastFailure = failure;
    return pushStateOf(group);
  }

  resume(nowMs: number, id: number): PushState | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    group.isPaused = false;
    group.failingSinceMs = null;
    group.lastFailure = null;
    for (const event of group.outstanding.values()) if (event.take === null) event.dueMs = nowMs;
    return pushStateOf(group);
  }

  state(nowMs: number, id: number): GroupState | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const events = [...group.outstanding.values()];
    const leased = events.filter((event) => event.take !== null && event.dueMs > nowMs).length;
    const { definition, secret, createdMs, position, deliveries, redeliveries, acknowledged } = group;
    return {
      id,
      definition,
      secret,
      createdMs,
      position,
      cursor: Math.min(position, ...events.map(({ offset }) => offset - 1)),
      leased,
      returned: events.length - leased,
      dead: group.dead.size,
      deliveries,
      redeliveries,
      acknowledged,
      push: definition.push === null ? null : pushStateOf(group),
    };
  }

  list(nowMs: number): GroupState[] {
    const states = [...this.#byId.keys()].map((id) => this.state(nowMs, id)!);
    return states.toSorted((a, b) =>
      Buffer.compare(Buffer.from(a.definition.name), Buffer.from(b.definition.name)),
    );
  }

  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const behind = ascending(group.dead.keys()).filter((offset) => offset > after);
    return behind.slice(0, eventsMax).map((offset) => group.dead.get(offset)!);
  }

  /** The group, with those events dead that the clock has made so. */
  #at(nowMs: number, id: number): Group | undefined {
    const group = this.#byId.get(id);
    for (const event of group?.outstanding.values() ?? []) {
      const isAtItsLast = event.deliveries >= group!.definition.deliveriesMax;
      if (isAtItsLast && event.dueMs <= nowMs) bury(group!, event, event.dueMs, 'lease_expired');
    }
    return group;
  }

  #change(nowMs: number, group: Group, definition: Definition): Created {
    const { id, definition: known } = group;
    const field = differingField(known, definition);
    if (field !== undefined) return { kind: 'differs', field };
    if (isSamePush(known.push, definition.push)) return { kind: 'same', state: this.state(nowMs, id)! };
    group.definition = { ...known, push: definition.push };
    this.resume(nowMs, id);
    return { kind: 'changed', state: this.state(nowMs, id)! };
  }

  #eachLease(
    nowMs: number,
    id: number,
    { takes, offsets }: Leases,
    work: (group: Group, event: Outstanding) => void,
  ): LeaseStates | null {
    const group = this.#at(nowMs, id);
    if (group === undefined) return null;
    const isDone = Array.from(takes, (take, i) => {
      const event = group.outstanding.get(offsets[i]!);
      const isHeld = event?.take === take && event.dueMs > nowMs;
      if (isHeld) work(group, event);
      return isHeld;
    });
    // What became of the events of the others is said as things are then.
    return Uint8Array.from(takes, (take, i) => {
      const offset = offsets[i]!;
      if (isDone[i]!) return DONE;
      if (take < 1 || take > group.takes) return UNKNOWN;
      if (take <= group.voidTakes) return EXPIRED;
      if (offset > group.position) return UNKNOWN;
      return group.outstanding.has(offset) || group.dead.has(offset) ? EXPIRED : SETTLED;
    });
  }

  /** What is above it is ahead; null where there is no such place. */
  #positionOf(start: Start, nowMs: number): number | null {
    const { lastOffset } = this.#log;
    if (start === 'earliest') return 0;
    if (start === 'latest') return lastOffset;
    if ('timeMs' in start) return start.timeMs > nowMs ? null : this.#log.lastOffsetBefore(start.timeMs);
    return start.offset > lastOffset + 1 ? null : Math.max(0, start.offset - 1);
  }

  #step(nowMs: number, [name, ...args]: Step): unknown {
    const step = this[name].bind(this) as (nowMs: number, ...args: unknown[]) => unknown;
    return step(nowMs, ...args);
  }
}

/** Whether what a caller has read ahead goes on where the group is. */
function isCurrent(readAhead: FreshEvents | null, position: number): readAhead is FreshEvents {
  return readAhead?.after === position;
}

function pushStateOf({ isPaused, failingSinceMs, lastFailure }: Group): PushState {
  return { isPaused, failingSinceMs, lastFailure };
}

function bury(group: Group, event: Outstanding, deadMs: number, reason: DeadReason): void {
  const { offset, deliveries, bytes } = event;
  group.outstanding.delete(offset);
  group.dead.set(offset, { offset, deliveries, bytes, deadMs, reason });
}

function inOrderOfDue({ outstanding }: Group): Outstanding[] {
  return [...outstanding.values()].toSorted(
    (a, b) => a.dueMs - b.dueMs || (a.take ?? 0) - (b.take ?? 0) || a.offset - b.offset,
  );
}

function ascending(offsets: Iterable<number>): number[] {
  return [...offsets].toSorted((a, b) => a - b);
}
