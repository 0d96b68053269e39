import { randomBytes } from 'node:crypto';
import {
  DONE,
  type DeadLetter,
  type DeadReason,
  type Definition,
  EXPIRED,
  type FreshEvents,
  type GroupState,
  type Hand,
  type LeaseStates,
  type Leases,
  type PushState,
  SETTLED,
  type TakeRequest,
  type Taken,
  UNKNOWN,
} from '../group-store.ts';
import { expiredUpTo } from '../fresh-events.ts';
import type { GroupAction } from '../audit-store.ts';
import type { MemoryAudit } from './audit.ts';

/** An event that is leased (`take` is set and `dueMs` lies ahead) or returned. */
interface Outstanding {
  readonly offset: number;
  readonly bytes: number;
  deliveries: number;
  take: number | null;
  dueMs: number;
}

/** Finds the next events above the offset on matching topics, at most `eventsMax`. */
type FindNext = (topics: readonly string[], after: number, eventsMax: number) => FreshEvents;

/** One group of the reference store, and the steps on it, each at a time that the caller gives. */
export class MemoryGroup {
  readonly id: number;
  definition: Definition;
  readonly #secret = Uint8Array.from(randomBytes(16));
  readonly #createdMs: number;
  #position: number;
  #takes = 0;
  /** Leases of takes up to this one are void. */
  #voidTakes = 0;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #dead = new Map<number, DeadLetter>();
  #deliveries = 0;
  #redeliveries = 0;
  #acknowledged = 0;
  #expired = 0;
  push: PushState = { pausedBy: null, failingSinceMs: null, lastFailure: null };
  /** Who may send its events, and until when. */
  sender: string | null = null;
  senderUntilMs = 0;
  readonly #audit: MemoryAudit;

  constructor(id: number, definition: Definition, position: number, createdMs: number, audit: MemoryAudit) {
    this.id = id;
    this.#audit = audit;
    this.definition = definition;
    this.#position = position;
    this.#createdMs = createdMs;
  }

  /** Events above it are ahead. */
  get position(): number {
    return this.#position;
  }

  take(nowMs: number, request: TakeRequest, next: FindNext): Taken {
    const { demands, outstandingMax, readAhead } = request;
    if (this.push.pausedBy !== null) {
      const none = { take: this.#takes, offsets: new Float64Array(0), deliveries: new Int32Array(0) };
      const hands = demands.map(() => none);
      return {
        hands,
        position: this.#position,
        outstanding: this.#outstanding.size,
        nextDueInMs: null,
        isPaused: true,
      };
    }
    const room = Math.max(0, outstandingMax - this.#outstanding.size);
    const asked = demands.reduce((sum, eventsMax) => sum + eventsMax, 0);
    const fresh =
      readAhead?.after === this.#position
        ? readAhead
        : next(this.definition.topics, this.#position, Math.min(asked, room));
    const left = Array.from(fresh.offsets, (offset, i): Outstanding => {
      return { offset, bytes: fresh.bytes[i]!, deliveries: 0, take: null, dueMs: nowMs };
    });
    const hands = demands.map((eventsMax) => this.#hand(nowMs, eventsMax, request, left));
    const taken = fresh.offsets.length - left.length;
    if (left.length === 0) this.#position = fresh.upTo;
    else if (taken > 0) this.#position = fresh.offsets[taken - 1]!;
    this.#expired += expiredUpTo(fresh, taken);
    const nextDueMs = this.#inOrderOfDue()[0]?.dueMs;
    return {
      hands,
      position: this.#position,
      outstanding: this.#outstanding.size,
      nextDueInMs: nextDueMs === undefined ? null : Math.max(0, nextDueMs - nowMs),
      isPaused: false,
    };
  }

  /** Undoes a take, or every take if null. */
  untake(nowMs: number, take: number | null): void {
    for (const event of this.#outstanding.values()) {
      if (event.take === null || event.take !== (take ?? event.take) || event.dueMs <= nowMs) continue;
      this.#note('withdrawn', event);
      event.deliveries -= 1;
      this.#deliveries -= 1;
      this.#redeliveries -= event.deliveries > 0 ? 1 : 0;
      event.take = null;
      event.dueMs = nowMs;
    }
  }

  acknowledge(nowMs: number, leases: Leases): LeaseStates {
    return this.#eachLease(nowMs, leases, (event) => {
      this.#outstanding.delete(event.offset);
      this.#acknowledged += 1;
      this.#note('acknowledged', event);
    });
  }

  expire(nowMs: number, leases: Leases): LeaseStates {
    return this.#eachLease(nowMs, leases, (event) => {
      this.#outstanding.delete(event.offset);
      this.#expired += 1;
      this.#deliveries -= 1;
      this.#redeliveries -= event.deliveries > 1 ? 1 : 0;
    });
  }

  giveBack(nowMs: number, leases: Leases, delayMs: number): LeaseStates {
    return this.#eachLease(nowMs, leases, (event) => {
      event.take = null;
      event.dueMs = nowMs + delayMs;
      if (event.deliveries >= this.definition.deliveriesMax) this.#bury(event, nowMs, 'given_back');
    });
  }

  extend(nowMs: number, leases: Leases, leaseMs: number): LeaseStates {
    return this.#eachLease(nowMs, leases, (event) => {
      event.dueMs = nowMs + leaseMs;
    });
  }

  seek(position: number): void {
    this.#position = position;
    this.#outstanding.clear();
    this.#voidTakes = this.#takes;
    for (const offset of this.#dead.keys()) if (offset > position) this.#dead.delete(offset);
  }

  /** Returns dead events, at the given offsets or any, at most `eventsMax`; says how many. */
  replay(nowMs: number, offsets: readonly number[] | null, eventsMax: number): number {
    const wanted = ascending(this.#dead.keys()).filter((offset) => offsets?.includes(offset) ?? true);
    for (const offset of wanted.slice(0, eventsMax)) {
      const { bytes } = this.#dead.get(offset)!;
      this.#dead.delete(offset);
      this.#outstanding.set(offset, { offset, bytes, deliveries: 0, take: null, dueMs: nowMs });
    }
    return Math.min(wanted.length, eventsMax);
  }

  /** Makes events that were given back due at once. */
  hurry(nowMs: number): void {
    for (const event of this.#outstanding.values()) if (event.take === null) event.dueMs = nowMs;
  }

  /** Buries the events that are dead by the clock. */
  buryDue(nowMs: number): void {
    for (const event of this.#outstanding.values()) {
      const isAtItsLast = event.deliveries >= this.definition.deliveriesMax;
      if (isAtItsLast && event.dueMs <= nowMs) this.#bury(event, event.dueMs, 'lease_expired');
    }
  }

  outstandingBehind(after: number, eventsMax: number): number[] {
    return ascending(this.#outstanding.keys())
      .filter((offset) => offset > after)
      .slice(0, eventsMax);
  }

  returnedBehind(nowMs: number, after: number, eventsMax: number): number[] {
    const returned = [...this.#outstanding.values()].filter(
      (event) => event.offset > after && !isLeased(event, nowMs),
    );
    return ascending(returned.map(({ offset }) => offset)).slice(0, eventsMax);
  }

  deadBehind(after: number, eventsMax: number): DeadLetter[] {
    const behind = ascending(this.#dead.keys()).filter((offset) => offset > after);
    return behind.slice(0, eventsMax).map((offset) => this.#dead.get(offset)!);
  }

  state(nowMs: number): GroupState {
    const events = [...this.#outstanding.values()];
    const leased = events.filter((event) => isLeased(event, nowMs)).length;
    return {
      id: this.id,
      definition: this.definition,
      secret: this.#secret,
      createdMs: this.#createdMs,
      position: this.#position,
      cursor: Math.min(this.#position, ...events.map(({ offset }) => offset - 1)),
      leased,
      returned: events.length - leased,
      dead: this.#dead.size,
      deliveries: this.#deliveries,
      redeliveries: this.#redeliveries,
      acknowledged: this.#acknowledged,
      expired: this.#expired,
      push: this.definition.push === null ? null : this.push,
    };
  }

  /** Serves one demand; takes fresh events from `fresh`. */
  #hand(
    nowMs: number,
    eventsMax: number,
    { bytesMax, outstandingMax }: TakeRequest,
    fresh: Outstanding[],
  ): Hand {
    const taken: Outstanding[] = [];
    let bytes = 0;
    const fits = (event: Outstanding): boolean =>
      taken.length < eventsMax && (taken.length === 0 || bytes + event.bytes <= bytesMax);
    const give = (event: Outstanding): void => {
      taken.push(event);
      bytes += event.bytes;
    };
    for (const event of this.#inOrderOfDue()) {
      if (event.dueMs > nowMs || !fits(event)) break;
      give(event);
    }
    while (fresh[0] !== undefined && this.#outstanding.size < outstandingMax && fits(fresh[0])) {
      const event = fresh.shift()!;
      give(event);
      this.#outstanding.set(event.offset, event);
    }
    if (taken.length > 0) this.#takes += 1;
    for (const event of taken) {
      this.#deliveries += 1;
      if (event.deliveries > 0) this.#redeliveries += 1;
      event.deliveries += 1;
      event.take = this.#takes;
      event.dueMs = nowMs + this.definition.leaseMs;
      this.#note('delivered', event);
    }
    return {
      take: this.#takes,
      offsets: Float64Array.from(taken, ({ offset }) => offset),
      deliveries: Int32Array.from(taken, ({ deliveries }) => deliveries),
    };
  }

  #eachLease(nowMs: number, { takes, offsets }: Leases, work: (event: Outstanding) => void): LeaseStates {
    const isDone = Array.from(takes, (take, i) => {
      const event = this.#outstanding.get(offsets[i]!);
      const isHeld = event?.take === take && event.dueMs > nowMs;
      if (isHeld) work(event);
      return isHeld;
    });
    // The state of leases that no longer hold is judged after the work above.
    return Uint8Array.from(takes, (take, i) => {
      const offset = offsets[i]!;
      if (isDone[i]!) return DONE;
      if (take < 1 || take > this.#takes) return UNKNOWN;
      if (take <= this.#voidTakes) return EXPIRED;
      if (offset > this.#position) return UNKNOWN;
      return this.#outstanding.has(offset) || this.#dead.has(offset) ? EXPIRED : SETTLED;
    });
  }

  #note(action: GroupAction, { offset, deliveries }: Outstanding): void {
    this.#audit.stepped(action, this.definition.name, offset, deliveries);
  }

  #bury(event: Outstanding, deadMs: number, reason: DeadReason): void {
    const { offset, deliveries, bytes } = event;
    this.#note('dead', event);
    this.#outstanding.delete(offset);
    this.#dead.set(offset, { offset, deliveries, bytes, deadMs, reason });
  }

  #inOrderOfDue(): Outstanding[] {
    return [...this.#outstanding.values()].toSorted(
      (a, b) => a.dueMs - b.dueMs || (a.take ?? 0) - (b.take ?? 0) || a.offset - b.offset,
    );
  }
}

function isLeased({ take, dueMs }: Outstanding, nowMs: number): boolean {
  return take !== null && dueMs > nowMs;
}

function ascending(offsets: Iterable<number>): number[] {
  return [...offsets].toSorted((a, b) => a - b);
}
