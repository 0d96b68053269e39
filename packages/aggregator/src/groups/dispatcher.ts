import { compileTopicPatterns } from '@chronicleweaver/protocol';
import type { EventStore, PlacedPage } from '../store/event-store.ts';
import type { Hand, GroupState } from '../store/group-store.ts';
import type { Commit, Commits } from '../commits/commits.ts';
import { createLeaseIds } from './lease-id.ts';
import type { SharedSteps } from './shared-steps.ts';

/** An event that was leased to whoever got it. */
export interface Delivered {
  readonly offset: number;
  /** The event's JSON as `GET /events` gives it, UTF-8. */
  readonly json: Uint8Array;
  /** The how-manieth delivery it is, from 1. */
  readonly delivery: number;
  readonly leaseId: string;
}

/** What is shared by all groups. */
export interface DispatcherParts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly steps: SharedSteps;
}

/** There is no such group, or no more. */
export class GroupGone extends Error {}

/** Bytes of events of one pull, but for a single event that is larger: what one answer may hold in memory. */
const PULL_BYTES_MAX = 1024 * 1024;

/** Pulls that are served in one step, so that its events are few enough to hold. */
const PULLS_AT_ONCE_MAX = 32;

/** Above so many bytes nothing is read ahead. A page that is read is at most 256 KiB, or one event. */
const AHEAD_BYTES_MAX = 1024 * 1024;

/** How long fresh events are kept for the next pull, milliseconds. */
const KEPT_MS = 1000;

interface Pull {
  readonly eventsMax: number;
  readonly deadlineMs: number;
  readonly resolve: (events: Delivered[]) => void;
  readonly reject: (error: Error) => void;
  /** Whoever pulled has left. */
  hasLeft: boolean;
}

type FreshEvent = Pick<Delivered, 'offset' | 'json'>;

/**
 * Hands out the events of one group. In: pulls, and word of what may have made events available: commits, leases
 * that were settled, seeks. Out: for each pull its events, after their leases are durable, or none when its time is up.
 *
 * It is *idle* while nobody pulls. With a pull it is *turning*: it reads fresh events ahead, offers them to the store
 * in one step for all who wait, and hands out what the step leased, to who came first first. Where there is nothing to
 * lease it is *asleep*, until a commit brings an event of its topics, an event is due again, room is made, or a pull's
 * time is up.
 *
 * What it knows of the store (position, next due time, room) may be old; the step decides, so a mistake costs a turn and
 * never an event. Leases of a pull that left meanwhile are undone.
 *
 * Invariant: all events of the group above `#position` and up to `#scannedTo` are in `#fresh`, in order.
 */
export class Dispatcher {
  readonly id: number;
  readonly #parts: DispatcherParts;
  readonly #topics: readonly string[];
  readonly #isMeant: (topic: string) => boolean;
  readonly #secret: Uint8Array;
  readonly #outstandingMax: number;
  #pulls: Pull[] = [];
  /** The store's, as the last step told it. */
  #position: number;
  #scannedTo: number;
  #fresh: FreshEvent[] = [];
  #freshBytes = 0;
  #reading: Promise<void> | null = null;
  /** No event is due again before. */
  #nextDueMs = 0;
  /** There was no room for fresh events. */
  #isFull = false;
  #turning: Promise<void> | null = null;
  #alarm: NodeJS.Timeout | null = null;
  #end: GroupGone | 'closed' | null = null;

  constructor(parts: DispatcherParts, state: GroupState, outstandingMax: number) {
    this.id = state.id;
    this.#parts = parts;
    this.#topics = state.definition.topics;
    this.#isMeant = compileTopicPatterns(this.#topics);
    this.#secret = state.secret;
    this.#outstandingMax = outstandingMax;
    this.#position = state.position;
    this.#scannedTo = state.position;
  }

  /** Above the position and up to here nothing belongs to the group, as far as was looked. */
  get lookedTo(): number {
    return this.#fresh[0] === undefined ? this.#scannedTo : this.#fresh[0].offset - 1;
  }

  /**
   * Resolves with 1 to `eventsMax` events, or with none after `waitMs`. Rejects with GroupGone, or with the
   * StoreError of its step. Aborted by the signal it resolves with none, and none is held for it.
   */
  pull(eventsMax: number, waitMs: number, signal: AbortSignal): Promise<Delivered[]> {
    return new Promise((resolve, reject) => {
      const deadlineMs = Date.now() + waitMs;
      const pull: Pull = { eventsMax, deadlineMs, resolve, reject, hasLeft: signal.aborted };
      const leave = (): void => {
        pull.hasLeft = true;
        this.#wake();
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#pulls.push(pull);
      this.#wake();
    });
  }

  get isAwaited(): boolean {
    return this.#pulls.length > 0;
  }

  /** The next part of the log was committed. */
  committed({ after, lastOffset, events }: Commit): void {
    if (events === null || events.topics.values().some(this.#isMeant)) this.#wake();
    // None of it is for this group, which need not be read to know that. While a read is under way it may stop anywhere
    // below `after`: what lies between would be passed over.
    else if (this.#scannedTo === after && this.#reading === null) this.#scannedTo = lastOffset;
  }

  /** Leases were settled, so there may be room; with a time, events are due then. */
  settled(dueMs: number | null = null): void {
    this.#isFull = false;
    if (dueMs !== null) this.#nextDueMs = Math.min(this.#nextDueMs, dueMs);
    this.#wake();
  }

  /** The group goes on from another place. */
  sought(position: number): void {
    this.#goTo(position);
    this.#nextDueMs = Number.POSITIVE_INFINITY;
    this.#isFull = false;
    this.#wake();
  }

  /** It was deleted: pulls are refused from now on, those that wait and those that come. */
  gone(): void {
    this.#end ??= new GroupGone('the group was deleted');
    this.#wake();
  }

  /** Pulls are answered with nothing from now on. Resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#end ??= 'closed';
    this.#wake();
    await this.#turning;
    await this.#reading;
    if (this.#alarm !== null) clearTimeout(this.#alarm);
  }

  #wake(): void {
    if (this.#pulls.length > 0) this.#turning ??= this.#run();
  }

  async #run(): Promise<void> {
    // So that it is noted as turning before it can have ended.
    await Promise.resolve();
    if (this.#alarm !== null) clearTimeout(this.#alarm);
    this.#alarm = null;
    try {
      while (this.#someStay()) {
        this.#readAhead();
        if (this.#fresh.length === 0) await this.#reading;
        if (this.#nextDueMs <= Date.now() || (this.#fresh.length > 0 && !this.#isFull)) await this.#take();
        else if (this.#fresh.length > 0 || !this.#isBehind) {
          this.#answerLate();
          break;
        }
      }
    } catch (error) {
      this.#refuseAll(error as Error);
    }
    this.#turning = null;
    this.#sleep();
  }

  /** Lets go of the pulls that left, and at the end of all; says whether any is there to be served. */
  #someStay(): boolean {
    const end = this.#end;
    this.#pulls = this.#pulls.filter((pull) => {
      if (end !== null && end !== 'closed') pull.reject(end);
      else if (end === 'closed' || pull.hasLeft) pull.resolve([]);
      else return true;
      return false;
    });
    return this.#pulls.length > 0;
  }

  #refuseAll(error: Error): void {
    for (const pull of this.#pulls) pull.reject(error);
    this.#pulls = [];
  }

  /** Answers the pulls whose time is up. They have been tried: there is nothing to lease. */
  #answerLate(): void {
    const nowMs = Date.now();
    this.#pulls = this.#pulls.filter((pull) => {
      if (pull.deadlineMs > nowMs) return true;
      pull.resolve([]);
      return false;
    });
  }

  #sleep(): void {
    const nowMs = Date.now();
    if (this.#pulls.length > 0) {
      const wakeMs = Math.min(this.#nextDueMs, ...this.#pulls.map(({ deadlineMs }) => deadlineMs));
      this.#alarm = setTimeout(() => this.#wake(), Math.max(0, wakeMs - nowMs)).unref();
    } else if (this.#fresh.length > 0) {
      this.#alarm = setTimeout(() => this.#goTo(this.#position), KEPT_MS).unref();
    }
  }

  get #isBehind(): boolean {
    return this.#scannedTo < this.#parts.commits.lastOffset;
  }

  #demand(): number {
    return this.#pulls.slice(0, PULLS_AT_ONCE_MAX).reduce((sum, { eventsMax }) => sum + eventsMax, 0);
  }

  /** Begins to read fresh events where those at hand are fewer than two turns hand out. */
  #readAhead(): void {
    const demand = this.#demand();
    const isEnough = this.#fresh.length >= 2 * demand || this.#freshBytes >= AHEAD_BYTES_MAX;
    if (this.#reading !== null || isEnough || !this.#isBehind) return;
    this.#reading = this.#read(demand)
      .catch((error: unknown) => this.#refuseAll(error as Error))
      .finally(() => (this.#reading = null));
  }

  async #read(eventsMax: number): Promise<void> {
    const { store, commits } = this.#parts;
    const after = this.#scannedTo;
    const upTo = commits.lastOffset;
    const page = await store.read({
      topicPatterns: [this.#topics],
      order: 'asc',
      after,
      upTo,
      eventsMax,
      framing: 'array',
      placed: true,
    });
    // Where it was sought meanwhile, what was read does not follow upon what is here.
    if (this.#scannedTo !== after) return;
    this.#scannedTo = page.resumeAfter ?? upTo;
    for (const event of eventsOf(page as PlacedPage)) {
      this.#fresh.push(event);
      this.#freshBytes += event.json.length;
    }
  }

  /** One step for the pulls that wait: leases what there is, and answers those that got something. */
  async #take(): Promise<void> {
    const pulls = this.#pulls.slice(0, PULLS_AT_ONCE_MAX);
    const offered = this.#fresh.slice(0, this.#demand());
    const after = this.#position;
    const upTo = offered.length < this.#fresh.length ? offered.at(-1)!.offset : this.#scannedTo;
    const taken = await this.#parts.steps.do('take', this.id, {
      demands: pulls.map(({ eventsMax }) => eventsMax),
      bytesMax: PULL_BYTES_MAX,
      fresh: {
        after,
        upTo,
        offsets: Float64Array.from(offered, ({ offset }) => offset),
        bytes: Int32Array.from(offered, ({ json }) => json.length),
      },
      outstandingMax: this.#outstandingMax,
    });
    if (taken === null) {
      this.gone();
      return;
    }
    this.#nextDueMs = taken.nextDueMs ?? Number.POSITIVE_INFINITY;
    this.#isFull = taken.outstanding >= this.#outstandingMax;
    if (taken.position < after || taken.position > upTo) this.#goTo(taken.position);
    else this.#passed(taken.position);

    const served = new Set(pulls.filter((_, i) => taken.hands[i]!.offsets.length > 0));
    this.#pulls = this.#pulls.filter((pull) => !served.has(pull));
    try {
      const jsonOf = await this.#texts(offered, taken.hands);
      for (const [i, pull] of pulls.entries()) {
        if (served.has(pull)) this.#hand(pull, taken.hands[i]!, jsonOf);
      }
    } catch (error) {
      for (const [i, pull] of pulls.entries()) {
        if (!served.has(pull)) continue;
        pull.reject(error as Error);
        this.#undo(taken.hands[i]!);
      }
    }
  }

  /** The text of each event of the hands: of the fresh ones those at hand, of the others from the store. */
  async #texts(
    offered: readonly FreshEvent[],
    hands: readonly Hand[],
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const jsonOf = new Map(offered.map(({ offset, json }) => [offset, json]));
    const missing = hands.flatMap(({ offsets }) => [...offsets].filter((offset) => !jsonOf.has(offset)));
    if (missing.length === 0) return jsonOf;
    const page = await this.#parts.store.readAt(Float64Array.from(missing).toSorted());
    for (const { offset, json } of eventsOf(page)) jsonOf.set(offset, json);
    return jsonOf;
  }

  #hand(pull: Pull, hand: Hand, jsonOf: ReadonlyMap<number, Uint8Array>): void {
    if (pull.hasLeft) {
      pull.resolve([]);
      this.#undo(hand);
      return;
    }
    const leaseId = createLeaseIds(this.#secret, hand.take);
    pull.resolve(
      Array.from(hand.offsets, (offset, i) => ({
        offset,
        json: jsonOf.get(offset)!,
        delivery: hand.deliveries[i]!,
        leaseId: leaseId(offset),
      })),
    );
  }

  /** Gives back what reached nobody. */
  #undo({ take }: Hand): void {
    this.#parts.steps.do('untake', this.id, take).then(
      () => this.settled(Date.now()),
      // Then the leases run out, and the events are delivered again with a delivery counted that was none.
      () => undefined,
    );
  }

  /** The fresh events up to here were leased. */
  #passed(position: number): void {
    this.#position = position;
    const count = this.#fresh.findIndex(({ offset }) => offset > position);
    const passed = this.#fresh.splice(0, count === -1 ? this.#fresh.length : count);
    for (const { json } of passed) this.#freshBytes -= json.length;
  }

  #goTo(position: number): void {
    this.#position = position;
    this.#scannedTo = position;
    this.#fresh = [];
    this.#freshBytes = 0;
  }
}

/** The events of a page, each a view of its JSON without the comma behind it. */
export function* eventsOf({ bytes, ends, offsets }: PlacedPage): Generator<FreshEvent> {
  let start = 0;
  for (const [i, offset] of offsets.entries()) {
    const end = ends[i]!;
    yield { offset, json: bytes.subarray(start, end - 1) };
    start = end;
  }
}
