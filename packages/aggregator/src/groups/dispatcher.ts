import type { Commit, Commits } from '../commits/commits.ts';
import type { EventStore } from '../store/event-store.ts';
import type { GroupState, Hand, TakeRequest, Taken } from '../store/group-store.ts';
import type { Expiry } from '../store/retention-store.ts';
import { createLeaseIds } from './lease-id.ts';
import { type FreshEvent, ReadAhead, eventsOf, isWithin } from './read-ahead.ts';
import type { SharedSteps } from './shared-steps.ts';
import { type Delivered, type Pull, WaitingPulls } from './waiting-pulls.ts';

/** What all groups share. */
export interface DispatcherParts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly steps: SharedSteps;
  /** What a test makes shorter. */
  readonly believedMs?: number;
}

/** The group does not exist, or no longer does. */
export class GroupGone extends Error {}

/** Bytes of events per pull, except that a single event may be larger: bounds what one answer holds in memory. */
const PULL_BYTES_MAX = 1024 * 1024;

/** How long events that were read ahead are kept for the next pull, milliseconds. */
const KEPT_MS = 1000;

/** How long past its time a pull may search the log, milliseconds: commits may come faster than they are searched. */
const SEARCH_MS_MAX = 250;

/**
 * How long a due time that a step reported is trusted while pulls wait, milliseconds: news of what other processes
 * did may be lost.
 */
const BELIEVED_MS = 10_000;

/**
 * Hands out the events of one group. In: pulls, and news of what may have made events available: commits, and steps
 * of this process or another. Out: each pull's events, once their leases are durable, or none when its time is up.
 *
 * It is *idle* while nobody pulls. With a pull it is *turning*: it reads ahead, asks the store in one step for all
 * waiting pulls, and hands out what the step leased, first come, first served. When there is nothing to lease it is
 * *asleep*, until a commit brings an event on its topics, an event is due again, room is made, or a pull's time is
 * up.
 *
 * What it knows of the store (position, next due time, room) may be out of date. The step decides, so a mistake costs
 * a turn but never an event. Leases for a pull that has left meanwhile are undone. Times here are by the process's
 * own monotonic clock; those of the store's clock arrive as milliseconds from now.
 */
export class Dispatcher {
  readonly id: number;
  readonly #parts: DispatcherParts;
  readonly #secret: Uint8Array;
  readonly #outstandingMax: number;
  readonly #ahead: ReadAhead;
  readonly #believedMs: number;
  readonly #pulls = new WaitingPulls();
  /** No event is due again before this, as far as is known. */
  #nextDueMs = 0;
  /** The last take found no room for fresh events, or a pause. */
  #isFull = false;
  /** Room was made since the last take began. */
  #roomCame = false;
  /** What has expired since the take under way began. */
  #expiries: Expiry[] = [];
  #turning: Promise<void> | null = null;
  #alarm: NodeJS.Timeout | null = null;
  #end: GroupGone | 'closed' | null = null;

  constructor(parts: DispatcherParts, state: GroupState, outstandingMax: number) {
    this.id = state.id;
    this.#parts = parts;
    this.#secret = state.secret;
    this.#outstandingMax = outstandingMax;
    this.#believedMs = parts.believedMs ?? BELIEVED_MS;
    this.#ahead = new ReadAhead(parts.store, parts.commits, state.definition.topics, state.position);
  }

  /** What was searched above this position of the store's: see ReadAhead.looked. */
  looked(position: number): { readonly upTo: number; readonly expired: number } {
    return this.#ahead.looked(position);
  }

  /**
   * Resolves with 1 to `eventsMax` events, or with none after `waitMs`. Rejects with GroupGone, or with the
   * StoreError of its step. If the signal aborts, it resolves with none and holds no leases.
   */
  pull(eventsMax: number, waitMs: number, signal: AbortSignal): Promise<Delivered[]> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        pull.hasLeft = true;
        this.#wake();
      };
      // A signal that may fire later keeps what listens to it, and so the events that the pull got.
      const answered = (): void => signal.removeEventListener('abort', leave);
      const pull: Pull = {
        eventsMax,
        deadlineMs: performance.now() + waitMs,
        resolve: (events) => {
          answered();
          resolve(events);
        },
        reject: (error) => {
          answered();
          reject(error);
        },
        hasLeft: signal.aborted,
      };
      signal.addEventListener('abort', leave);
      this.#pulls.add(pull);
      this.#wake();
    });
  }

  /** The next part of the log was committed. */
  committed(commit: Commit): void {
    if (!this.#pulls.isEmpty && this.#ahead.committed(commit)) this.#wake();
  }

  /** A step was taken: there may be room now, and an event may be due in `dueInMs`. */
  moved(hasRoom: boolean, dueInMs: number | null): void {
    if (hasRoom) {
      this.#isFull = false;
      this.#roomCame = true;
    }
    if (dueInMs !== null) this.#nextDueMs = Math.min(this.#nextDueMs, performance.now() + dueInMs);
    if (hasRoom || dueInMs === 0) this.#wake();
    // If asleep, its alarm may be set for later.
    else if (this.#turning === null) this.#sleep();
  }

  /** Some events have expired: none of their texts is handed out any more. */
  expired(expiry: Expiry): void {
    this.#ahead.expired(expiry);
    if (this.#turning !== null) this.#expiries.push(expiry);
  }

  /** The group continues from another place. */
  sought(position: number): void {
    this.#ahead.restart(position);
    this.#nextDueMs = 0;
    this.#isFull = false;
    this.#roomCame = true;
    this.#wake();
  }

  /** The group was deleted: waiting and future pulls are refused. */
  gone(): void {
    this.#end ??= new GroupGone('the group was deleted');
    this.#wake();
  }

  /** Answers all pulls with nothing from now on. Resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#end ??= 'closed';
    this.#wake();
    await this.#turning;
    await this.#ahead.reading;
    if (this.#alarm !== null) clearTimeout(this.#alarm);
  }

  #wake(): void {
    if (!this.#pulls.isEmpty) this.#turning ??= this.#run();
  }

  async #run(): Promise<void> {
    // Ensures that it is marked as turning before it can end.
    await Promise.resolve();
    try {
      while (this.#hasPulls()) {
        this.#ahead.read(this.#pulls.demand, (error) => this.#pulls.refuseAll(error));
        if (this.#ahead.isEmpty) await this.#ahead.reading;
        const isFresh = this.#ahead.hasNews;
        if (this.#nextDueMs <= performance.now() || (isFresh && !this.#isFull)) await this.#take();
        else {
          const isSearched = isFresh || !this.#ahead.isBehind;
          this.#pulls.dropLate(isSearched ? 0 : SEARCH_MS_MAX);
          if (isSearched) break;
        }
      }
    } catch (error) {
      this.#pulls.refuseAll(error as Error);
    }
    this.#turning = null;
    this.#sleep();
  }

  /** Drops the pulls that left, or all of them after the end. Returns whether any remain to be served. */
  #hasPulls(): boolean {
    if (this.#end === 'closed') this.#pulls.dropAll();
    else if (this.#end !== null) this.#pulls.refuseAll(this.#end);
    else this.#pulls.dropLeft();
    return !this.#pulls.isEmpty;
  }

  #sleep(): void {
    if (this.#alarm !== null) clearTimeout(this.#alarm);
    this.#alarm = null;
    if (!this.#pulls.isEmpty) {
      const wakeMs = Math.min(this.#nextDueMs, this.#pulls.nextDeadlineMs);
      // A timer may fire a fraction of a millisecond early, and would find nothing due.
      const waitMs = Math.ceil(Math.max(0, wakeMs - performance.now()));
      this.#alarm = setTimeout(() => this.#wake(), waitMs).unref();
    } else if (!this.#ahead.isEmpty) {
      this.#alarm = setTimeout(() => this.#ahead.restart(), KEPT_MS).unref();
    }
  }

  /** Takes one step for the waiting pulls: leases what there is, and answers those that got something. */
  async #take(): Promise<void> {
    const pulls = this.#pulls.first();
    this.#expiries = [];
    const { events: offered, fresh } = this.#ahead.offer(this.#pulls.demand);
    const taken = await this.#step({
      demands: pulls.map(({ eventsMax }) => eventsMax),
      bytesMax: PULL_BYTES_MAX,
      readAhead: fresh,
      outstandingMax: this.#outstandingMax,
    });
    if (taken === null) {
      this.gone();
      return;
    }
    const { hands, position } = taken;
    // A seek that was reported meanwhile may have come after this step, which makes the position an old one: the next take
    // finds that out, since `sought` asks for one at once.
    this.#ahead.movedTo(position);

    const served = new Set(pulls.filter((_, i) => hands[i]!.offsets.length > 0));
    this.#pulls.take(served);
    try {
      const jsonOf = await this.#texts(offered, hands);
      const expiring = this.#expire(hands, jsonOf);
      const isAny = ({ offsets }: Hand): boolean => offsets.some((offset) => jsonOf.has(offset));
      this.#pulls.putBack(pulls.filter((pull, i) => served.has(pull) && !isAny(hands[i]!)));
      for (const [i, pull] of pulls.entries()) {
        if (isAny(hands[i]!)) this.#hand(pull, hands[i]!, jsonOf);
      }
      await expiring;
    } catch (error) {
      for (const [i, pull] of pulls.entries()) {
        if (!served.has(pull)) continue;
        pull.reject(error as Error);
        this.#undo(hands[i]!);
      }
    }
  }

  /** Takes the step. News that arrives meanwhile may be older or newer than the step, so all of it counts. */
  async #step(request: TakeRequest): Promise<Taken | null> {
    this.#nextDueMs = Number.POSITIVE_INFINITY;
    this.#roomCame = false;
    try {
      const taken = await this.#parts.steps.do('take', this.id, request);
      if (taken === null) return null;
      const { outstanding, nextDueInMs, isPaused } = taken;
      this.#isFull = (isPaused || outstanding >= this.#outstandingMax) && !this.#roomCame;
      const lookInMs = Math.min(nextDueInMs ?? this.#believedMs, this.#believedMs);
      this.#nextDueMs = Math.min(this.#nextDueMs, performance.now() + lookInMs);
      return taken;
    } catch (error) {
      // What was due is still due.
      this.#nextDueMs = 0;
      throw error;
    }
  }

  /**
   * The text of each event in the hands that is kept. Those that were offered are in memory; the others are read from the store.
   * What expires on the way is read again, since a text must not be handed out that the store has told to be gone.
   */
  async #texts(
    offered: readonly FreshEvent[],
    hands: readonly Hand[],
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const given = Float64Array.from(hands.flatMap(({ offsets }) => [...offsets])).toSorted();
    const jsonOf = new Map(offered.map(({ offset, json }) => [offset, json]));
    let missing = given.filter((offset) => !jsonOf.has(offset));
    for (;;) {
      const expiries = this.#expiries.splice(0);
      const doubtful = given.filter((offset) => expiries.some((expiry) => isWithin(offset, expiry)));
      for (const offset of doubtful) jsonOf.delete(offset);
      missing = Float64Array.from(new Set([...missing, ...doubtful])).toSorted();
      if (missing.length === 0) return jsonOf;
      const page = await this.#parts.store.readAt(missing);
      for (const { offset, json } of eventsOf(page)) jsonOf.set(offset, json);
      missing = new Float64Array(0);
    }
  }

  /** Settles those of the taken events whose texts are gone. */
  async #expire(hands: readonly Hand[], jsonOf: ReadonlyMap<number, Uint8Array>): Promise<void> {
    const takes: number[] = [];
    const gone: number[] = [];
    for (const { take, offsets } of hands) {
      for (const offset of offsets) {
        if (jsonOf.has(offset)) continue;
        takes.push(take);
        gone.push(offset);
      }
    }
    if (gone.length === 0) return;
    const leases = { takes: Float64Array.from(takes), offsets: Float64Array.from(gone) };
    // If that fails, the leases run out, and the next take finds the same.
    await this.#parts.steps.do('expire', this.id, leases).catch(() => undefined);
  }

  #hand(pull: Pull, hand: Hand, jsonOf: ReadonlyMap<number, Uint8Array>): void {
    if (pull.hasLeft) {
      pull.resolve([]);
      this.#undo(hand);
      return;
    }
    const leaseId = createLeaseIds(this.#secret, hand.take);
    const events: Delivered[] = [];
    for (const [i, offset] of hand.offsets.entries()) {
      const json = jsonOf.get(offset);
      if (json !== undefined)
        events.push({ offset, json, delivery: hand.deliveries[i]!, leaseId: leaseId(offset) });
    }
    pull.resolve(events);
  }

  /** Undoes a hand that reached nobody. */
  #undo({ take }: Hand): void {
    // If that fails, the leases run out, and the events are redelivered with one delivery too many in their count.
    this.#parts.steps.do('untake', this.id, take).catch(() => undefined);
  }
}
