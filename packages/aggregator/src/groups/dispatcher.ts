import type { Commit, Commits } from '../commits/commits.ts';
import type { EventStore } from '../store/event-store.ts';
import type { GroupState, Hand, TakeRequest, Taken } from '../store/group-store.ts';
import { createLeaseIds } from './lease-id.ts';
import { type FreshEvent, ReadAhead, eventsOf } from './read-ahead.ts';
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

/** There is no such group, or no longer. */
export class GroupGone extends Error {}

/** Bytes of events of one pull, but for a single event that is larger: what one answer may hold in memory. */
const PULL_BYTES_MAX = 1024 * 1024;

/** How long events that were read ahead are kept for the next pull, milliseconds. */
const KEPT_MS = 1000;

/**
 * For how long what a step told of due times is believed while pulls wait, milliseconds: word of what other processes did
 * may be lost.
 */
const BELIEVED_MS = 10_000;

/**
 * Hands out the events of one group. In: pulls, and word of what may have made events available: commits, and steps of
 * this process or another. Out: for each pull its events, after their leases are durable, or none when its time is up.
 *
 * It is *idle* while nobody pulls. With a pull it is *turning*: it reads ahead, asks the store in one step for all who
 * wait, and hands out what the step leased, first come first served. Where there is nothing to lease it is *asleep*,
 * until a commit brings an event of its topics, an event is due again, room is made, or a pull's time is up.
 *
 * What it knows of the store (position, next due time, room) may be old; the step decides, so a mistake costs a turn and
 * never an event. Leases of a pull that left meanwhile are undone. Times here are those of the process's own monotonic
 * clock; the store's clock is known only as milliseconds from now.
 */
export class Dispatcher {
  readonly id: number;
  readonly #parts: DispatcherParts;
  readonly #secret: Uint8Array;
  readonly #outstandingMax: number;
  readonly #ahead: ReadAhead;
  readonly #believedMs: number;
  readonly #pulls = new WaitingPulls();
  /** No event is due again before, as far as was told. */
  #nextDueMs = 0;
  /** There was no room for fresh events. */
  #isFull = false;
  /** Room was made since the last take was begun. */
  #roomCame = false;
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

  /** Above the position and up to here nothing belongs to the group, as far as was looked. */
  get lookedTo(): number {
    return this.#ahead.lookedTo;
  }

  /**
   * Resolves with 1 to `eventsMax` events, or with none after `waitMs`. Rejects with GroupGone, or with the StoreError of
   * its step. Aborted by the signal it resolves with none, and none is held for it.
   */
  pull(eventsMax: number, waitMs: number, signal: AbortSignal): Promise<Delivered[]> {
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + waitMs;
      const pull: Pull = { eventsMax, deadlineMs, resolve, reject, hasLeft: signal.aborted };
      const leave = (): void => {
        pull.hasLeft = true;
        this.#wake();
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#pulls.add(pull);
      this.#wake();
    });
  }

  /** The next part of the log was committed. */
  committed(commit: Commit): void {
    if (!this.#pulls.isEmpty && this.#ahead.committed(commit)) this.#wake();
  }

  /** A step was taken: there may be room now, and an event may be due in so many milliseconds. */
  moved(hasRoom: boolean, dueInMs: number | null): void {
    if (hasRoom) {
      this.#isFull = false;
      this.#roomCame = true;
    }
    if (dueInMs !== null) this.#nextDueMs = Math.min(this.#nextDueMs, performance.now() + dueInMs);
    if (hasRoom || dueInMs === 0) this.#wake();
    // Asleep it may have set its alarm for later.
    else if (this.#turning === null) this.#sleep();
  }

  /** The group goes on from another place. */
  sought(position: number): void {
    this.#ahead.restart(position);
    this.#nextDueMs = performance.now() + this.#believedMs;
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
    await this.#ahead.reading;
    if (this.#alarm !== null) clearTimeout(this.#alarm);
  }

  #wake(): void {
    if (!this.#pulls.isEmpty) this.#turning ??= this.#run();
  }

  async #run(): Promise<void> {
    // So that it is noted as turning before it can have ended.
    await Promise.resolve();
    try {
      while (this.#someStay()) {
        this.#ahead.read(this.#pulls.demand, (error) => this.#pulls.refuseAll(error));
        if (this.#ahead.isEmpty) await this.#ahead.reading;
        const isFresh = !this.#ahead.isEmpty;
        if (this.#nextDueMs <= performance.now() || (isFresh && !this.#isFull)) await this.#take();
        else if (isFresh || !this.#ahead.isBehind) {
          // They have been tried: there is nothing to lease.
          this.#pulls.dropLate();
          break;
        }
      }
    } catch (error) {
      this.#pulls.refuseAll(error as Error);
    }
    this.#turning = null;
    this.#sleep();
  }

  /** Drops the pulls that left, and at the end all of them; says whether any is there to be served. */
  #someStay(): boolean {
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

  /** One step for the pulls that wait: leases what there is, and answers those that got something. */
  async #take(): Promise<void> {
    const pulls = this.#pulls.first();
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
    this.#ahead.movedTo(position);

    const served = new Set(pulls.filter((_, i) => hands[i]!.offsets.length > 0));
    this.#pulls.take(served);
    try {
      const jsonOf = await this.#texts(offered, hands);
      for (const [i, pull] of pulls.entries()) {
        if (served.has(pull)) this.#hand(pull, hands[i]!, jsonOf);
      }
    } catch (error) {
      for (const [i, pull] of pulls.entries()) {
        if (!served.has(pull)) continue;
        pull.reject(error as Error);
        this.#undo(hands[i]!);
      }
    }
  }

  /** Takes the step. Of word that comes meanwhile it is not known whether it was before or after it, so all of it counts. */
  async #step(request: TakeRequest): Promise<Taken | null> {
    this.#nextDueMs = Number.POSITIVE_INFINITY;
    this.#roomCame = false;
    try {
      const taken = await this.#parts.steps.do('take', this.id, request);
      if (taken === null) return null;
      const { outstanding, nextDueInMs } = taken;
      this.#isFull = outstanding >= this.#outstandingMax && !this.#roomCame;
      const lookInMs = Math.min(nextDueInMs ?? this.#believedMs, this.#believedMs);
      this.#nextDueMs = Math.min(this.#nextDueMs, performance.now() + lookInMs);
      return taken;
    } catch (error) {
      // What was due is due still.
      this.#nextDueMs = 0;
      throw error;
    }
  }

  /** The text of each event of the hands: of those that were offered it is at hand, of others it is in the store. */
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
    // Where that fails the leases run out, and the events are delivered again with a delivery counted that was none.
    this.#parts.steps.do('untake', this.id, take).catch(() => undefined);
  }
}
