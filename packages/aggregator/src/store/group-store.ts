import type { GroupNewsListener } from './group-news.ts';

/**
 * Keeps how far each group has come, beside the events and as durable as they are. Every store behaves the same
 * and proves it by the same suite (test/store/group-store.test.ts); memory/subscriptions.ts is the one to read first.
 *
 * Towards a group an event is in one of these states, and only the steps below move it:
 *
 *   ahead ──take──▶ leased ──acknowledge──▶ acknowledged
 *                   │    ▲ └──its lease runs out or it is given back, deliveries at their most──▶ dead
 *         its lease │    │ take: the next delivery                                                 │
 *       runs out or │    │                                                                         │
 *     it is given ▼ back │                                                                         │
 *                   returned ◀──────────────────────────────replay─────────────────────────────────┘
 *
 * - *ahead*: above the position; nobody was given it.
 * - *leased*: given to a worker, for its lease; no other is given it meanwhile.
 * - *returned*: waits to be given again, from its due time on. A lease that runs out makes it so by the clock alone.
 * - *acknowledged*: at or below the position and nowhere else. It is never given out again.
 * - *dead*: was delivered as often as it may be. It waits for a replay, which counts its deliveries anew.
 *
 * Where events are sent and not pulled, a paused group takes none; only `notePush`, `failPush`, `resume` and a
 * change of its target change that.
 *
 * `seek` puts all of this aside: what is above the new position is ahead again, what was leased or returned is not
 * waited for any more, and leases given before it are void.
 *
 * Invariants: first deliveries come in the order of the offsets; `position` moves back by a seek only; what is leased
 * or returned is at or below it and counted in `outstanding`.
 */
export interface GroupStore {
  /**
   * Does the steps, in order, in one transaction at one time of the store's own clock, and resolves after it is durable,
   * with an outcome for each. Rejects with a StoreError, and then no step has happened. Steps that only read cost no sync.
   */
  apply<const S extends readonly Step[]>(steps: S): Promise<OutcomesOf<S>>;

  /**
   * Tells the listener what steps changed that matters to those who wait (group-news.ts), whoever took them, after they
   * are durable, until the returned function is called. News of a step taken here come before its outcome; those of
   * others may be lost, so what a process remembers of a group is a hint.
   */
  watch(listener: GroupNewsListener): () => void;
}

/** The steps. Each gets the time by the store's clock, and answers null where the group is no longer there. */
export interface GroupSteps {
  /**
   * Makes the group. Of one that has the name already it says in which field it differs; where that is only its url or
   * its secrets, it takes them, keeps all else, and goes on as `resume` lets it.
   */
  create(nowMs: number, definition: Definition): Created;

  /** Forgets the group; false where there is none. */
  remove(nowMs: number, id: number): boolean;

  /** The group of the name. */
  find(nowMs: number, name: string): GroupState | null;

  /**
   * Leases events to those who ask: first what is due to be given again, longest due first, of one time in the order of
   * the takes that had them and of the offsets; then fresh ones, the next above the position.
   */
  take(nowMs: number, id: number, request: TakeRequest): Taken | null;

  /** Undoes a take that reached nobody, null all of them: its deliveries do not count, and its events are due at once. */
  untake(nowMs: number, id: number, take: number | null): null;

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null;

  /** Gives events back, to be given again after `delayMs`. An event at its last delivery is dead instead. */
  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null;

  /** Lets the leases end `leaseMs` from now. */
  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null;

  /** Goes on from another place. */
  seek(nowMs: number, id: number, to: Start): Sought | null;

  /** Returns dead events, due at once: those at the offsets, or the lowest, at most `eventsMax`. Says how many. */
  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null;

  /**
   * Asks for the right to send the group's events, or renews it: one sender has it at a time, for `claimMs` from now. Who
   * gets it from another finds no event under way: what that one was sending is undone, as by `untake`.
   */
  claimPush(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null;

  /** Gives the right to send back; of no effect for whoever does not have it. */
  releasePush(nowMs: number, id: number, sender: string): null;

  /**
   * Gives back an event that its target did not take, and notes that as `notePush` does. Where the attempt went to
   * another target than the one there is now, it says nothing about this one: nothing is noted, and the event is untaken.
   */
  failPush(nowMs: number, id: number, leases: Leases, attempt: FailedAttempt): FailedPush | null;

  /** Notes how an attempt to send went, null where well; pauses where all have failed for as long. */
  notePush(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null;

  /** Lets a paused group go on, as if nothing had failed: what was given back is due at once. */
  resume(nowMs: number, id: number): PushState | null;

  state(nowMs: number, id: number): GroupState | null;

  /** All groups in the order of their names' bytes. */
  list(nowMs: number): GroupState[];

  /** Dead events behind the offset, ascending. */
  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null;
}

type StepName = keyof GroupSteps;
type Rest<A extends unknown[]> = A extends [unknown, ...infer R] ? R : never;

/** A step by its name, and its arguments but for the time. */
export type Step = { [N in StepName]: readonly [N, ...Rest<Parameters<GroupSteps[N]>>] }[StepName];
export type OutcomeOf<S extends Step> = ReturnType<GroupSteps[S[0]]>;
export type OutcomesOf<S extends readonly Step[]> = { [I in keyof S]: OutcomeOf<S[I]> };

/** What a group is. Nothing of it changes but where its events are sent and what signs them. */
export interface Definition {
  readonly name: string;
  /** Topic patterns, each once: an event belongs to the group where its topic matches one. */
  readonly topics: readonly string[];
  readonly start: Start;
  readonly leaseMs: number;
  /** Deliveries after which an event is dead. */
  readonly deliveriesMax: number;
  /** Where its events are sent; null where they are pulled. */
  readonly push: Push | null;
}

export interface Push {
  readonly url: string;
  /** 1 to 3, as Standard Webhooks writes them: `whsec_` and base64. Each of them signs, and none is ever told. */
  readonly secrets: readonly string[];
}

/** How sending goes. */
export interface PushState {
  readonly isPaused: boolean;
  /** When the first of the attempts was that have all failed since; null where the last one went well. */
  readonly failingSinceMs: number | null;
  readonly lastFailure: string | null;
}

/** A place in the log: its ends, an event's offset, or the first event committed at or after a time. */
export type Start = 'earliest' | 'latest' | { readonly offset: number } | { readonly timeMs: number };

/** What a sender is told that asked for the right to send. */
export interface PushClaim {
  /** Whether it has the right now. */
  readonly isHeld: boolean;
  /** For how much longer another has it, if nothing happens before; 0 where none has. */
  readonly othersForMs: number;
  /** Where to, as it is defined now. */
  readonly push: Push;
  readonly state: PushState;
}

/** An attempt to send an event that failed. */
export interface FailedAttempt {
  /** Where to, and signed with what. */
  readonly target: Push;
  readonly reason: string;
  /** As `notePush` takes it. */
  readonly pauseAfterMs: number;
  /** When the event may be sent again. */
  readonly delayMs: number;
}

export interface FailedPush {
  readonly state: PushState;
  /** When the event is due again, if that was not its last delivery. */
  readonly dueInMs: number;
}

export type Created =
  | { readonly kind: 'created' | 'same' | 'changed'; readonly state: GroupState }
  | { readonly kind: 'differs'; readonly field: DefinitionField }
  | { readonly kind: 'full'; readonly groups: number }
  | BeyondEnd;

export type DefinitionField = Exclude<keyof Definition, 'name'>;

export type Sought = { readonly kind: 'sought'; readonly position: number } | BeyondEnd;

/** The offset is more than one above the last, or the time is to come. */
interface BeyondEnd {
  readonly kind: 'beyond_end';
  readonly lastOffset: number;
}

export interface TakeRequest {
  /** Of each who asks, how many events at most. */
  readonly demands: readonly number[];
  /** Bytes of events that one is given at most, but for a single event. */
  readonly bytesMax: number;
  /** What the caller has read ahead: where it begins at the position it spares the store looking for fresh events. */
  readonly readAhead: FreshEvents | null;
  /** No fresh event is taken while so many are leased or returned. */
  readonly outstandingMax: number;
}

/** The next events of a group, without a gap: all that belong to it above `after` and up to `upTo`. */
export interface FreshEvents {
  readonly after: number;
  readonly upTo: number;
  /** Ascending. */
  readonly offsets: Float64Array;
  /** Of each the bytes of its JSON, as `GET /events` gives it. */
  readonly bytes: Int32Array;
}

export interface Taken {
  /** One for each demand, in order. */
  readonly hands: readonly Hand[];
  /** Where fresh events are to be read from now: all at or below it were taken. */
  readonly position: number;
  readonly outstanding: number;
  /** In how many milliseconds the next event may be due, if nothing happens before; null where none is outstanding. */
  readonly nextDueInMs: number | null;
}

/** What one take leased: what was given before comes first, then the fresh ones. */
export interface Hand {
  /** The number of the take, counted for each group from 1; of no meaning where there are no events. */
  readonly take: number;
  readonly offsets: Float64Array;
  /** How often each was delivered, this time included. */
  readonly deliveries: Int32Array;
}

/** Leases as pairs of a take and an offset of it. */
export interface Leases {
  readonly takes: Float64Array;
  readonly offsets: Float64Array;
}

/** What became of each lease: DONE, SETTLED, EXPIRED or UNKNOWN. */
export type LeaseStates = Uint8Array;
/** The lease was held and the step was done. */
export const DONE = 0;
/** The event is acknowledged already. */
export const SETTLED = 1;
/** The lease was held and is no more: it ran out, was given back, or a seek came. */
export const EXPIRED = 2;
/** No such lease was given. */
export const UNKNOWN = 3;

export interface GroupState {
  readonly id: number;
  readonly definition: Definition;
  /** Drawn at random when it was made: what its lease ids are signed with. */
  readonly secret: Uint8Array;
  readonly createdMs: number;
  readonly position: number;
  /** All events at or below it are acknowledged or dead. */
  readonly cursor: number;
  readonly leased: number;
  readonly returned: number;
  readonly dead: number;
  /** Of all time: deliveries, those of them that were not the first of their event, and acknowledged events. */
  readonly deliveries: number;
  readonly redeliveries: number;
  readonly acknowledged: number;
  /** Null where its events are pulled. */
  readonly push: PushState | null;
}

export interface DeadLetter {
  readonly offset: number;
  /** Of its text. */
  readonly bytes: number;
  readonly deliveries: number;
  readonly deadMs: number;
  /** How its last lease ended. */
  readonly reason: DeadReason;
}

export type DeadReason = 'lease_expired' | 'given_back';
