import type { GroupNewsListener } from './group-news.ts';

/**
 * Keeps each group's progress beside the events, and as durable as they are. All stores behave the same, and one
 * suite proves it for each of them (test/store/group-store.test.ts). Read memory/groups.ts first.
 *
 * For each group an event is in one of these states, and only the steps below move it:
 *
 *   ahead ──take──▶ leased ──acknowledge──▶ acknowledged
 *                   │    ▲ └──its lease runs out or it is given back, deliveries at their most──▶ dead
 *         its lease │    │ take: the next delivery                                                 │
 *       runs out or │    │                                                                         │
 *     it is given ▼ back │                                                                         │
 *                   returned ◀──────────────────────────────replay─────────────────────────────────┘
 *
 * - *ahead*: above the position; not given to anybody yet.
 * - *leased*: given to one worker, exclusively, for the time of its lease.
 * - *returned*: waiting to be given out again, from its due time on. A lease that runs out returns its event by the
 *   clock alone.
 * - *acknowledged*, or settled by \`expire\`: at or below the position and in no other state. It is never given out again.
 * - *dead*: delivered as often as allowed. It waits for a replay, which restarts its count of deliveries.
 *
 * An event ahead that has expired (retention-store.ts) is passed over by the take that moves the position past it, and counted
 * in `expired` then; a bare one is passed over and not counted. An event that expires later changes no state by that: a
 * worker's lease on it stays good. When it is taken again, its text is not there to be given out, and \`expire\` settles it.
 *
 * A group that pushes its events takes none while it is paused. Only `notePush` and `failPush` (after failures), `pause` (on
 * request), `resume` and a change of target pause or unpause it.
 *
 * `seek` resets all of this: everything above the new position is ahead again, leased and returned events are
 * forgotten, and earlier leases are void.
 *
 * Invariants: first deliveries follow the order of offsets; only a seek moves `position` back; every leased or
 * returned event is at or below it and counted in `outstanding`.
 */
export interface GroupStore {
  /**
   * Does the steps in order, in one transaction at one time of the store's own clock, and resolves once it is
   * durable, with an outcome for each. Rejects with a StoreError; then no step has happened. Steps that only read
   * cost no sync.
   */
  apply<const S extends readonly Step[]>(steps: S): Promise<OutcomesOf<S>>;

  /**
   * Tells the listener of changes that matter to those waiting for events (group-news.ts), by any process, once they
   * are durable, until the returned function is called. News of a step taken here arrives before its outcome. News
   * from other processes may be lost, so what a process remembers of a group is only a hint.
   */
  watch(listener: GroupNewsListener): () => void;
}

/** The steps. Each gets the time by the store's clock, and returns null if the group no longer exists. */
export interface GroupSteps {
  /**
   * Creates the group. If one already has the name, says in which field the two differ. If only url or secrets
   * differ, adopts the new ones, keeps everything else, and resumes as `resume` does, unless it is paused on request.
   */
  create(nowMs: number, definition: Definition): Created;

  /** Deletes the group; false if there is none. */
  remove(nowMs: number, id: number): boolean;

  /** The group with this name. */
  find(nowMs: number, name: string): GroupState | null;

  /**
   * Leases events to those who ask. Events due for redelivery come first, the longest due first; events due at the
   * same time are ordered by the take that last had them, then by offset. Fresh events, the next above the position,
   * follow; expired ones that are passed over with them are counted. Nothing is leased while the group is paused.
   */
  take(nowMs: number, id: number, request: TakeRequest): Taken | null;

  /**
   * Undoes a take that reached nobody, or every take if null: its deliveries do not count, and its events are due at
   * once.
   */
  untake(nowMs: number, id: number, take: number | null): null;

  acknowledge(nowMs: number, id: number, leases: Leases): LeaseStates | null;

  /**
   * Settles events whose texts are gone, as whoever took them has found out: they are counted in `expired`, and the delivery
   * that found nothing is not.
   */
  expire(nowMs: number, id: number, leases: Leases): LeaseStates | null;

  /** Gives events back for redelivery after `delayMs`. An event at its last delivery is dead instead. */
  giveBack(nowMs: number, id: number, leases: Leases, delayMs: number): LeaseStates | null;

  /** Makes the leases end `leaseMs` from now. */
  extend(nowMs: number, id: number, leases: Leases, leaseMs: number): LeaseStates | null;

  /** Continues from another place. */
  seek(nowMs: number, id: number, to: Start): Sought | null;

  /** Returns at most `eventsMax` dead events, due at once: those at the given offsets, or the lowest. Says how many. */
  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null;

  /**
   * Claims the right to send the group's events, or renews it. One sender has it at a time, for `claimMs` from now.
   * When it passes to another sender, whatever the previous one was sending is undone, as by `untake`.
   */
  claimPush(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null;

  /** Gives back the right to send. Has no effect unless the sender holds it. */
  releasePush(nowMs: number, id: number, sender: string): null;

  /**
   * Gives back an event that its target did not accept, and notes the failure as `notePush` does. If the attempt went
   * to a target that has been changed since, it says nothing about the new one: nothing is noted, and the event is
   * untaken.
   */
  failPush(nowMs: number, id: number, leases: Leases, attempt: FailedAttempt): FailedPush | null;

  /**
   * Notes how an attempt to send went (null: it succeeded). Pauses the group once every attempt has failed for
   * `pauseAfterMs`.
   */
  notePush(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null;

  /** Pauses the group on request. What failed before stays noted. */
  pause(nowMs: number, id: number): PushState | null;

  /** Resumes a paused group as if nothing had failed: events given back are due at once. */
  resume(nowMs: number, id: number): PushState | null;

  state(nowMs: number, id: number): GroupState | null;

  /** All groups in the order of their names' bytes. */
  list(nowMs: number): GroupState[];

  /** Offsets of leased and returned events above this one, ascending. */
  outstanding(nowMs: number, id: number, after: number, eventsMax: number): number[] | null;

  /** Of these only the returned ones: nobody holds them. */
  returned(nowMs: number, id: number, after: number, eventsMax: number): number[] | null;

  /** Dead events above the offset, ascending. */
  dead(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null;
}

type StepName = keyof GroupSteps;
type Rest<A extends unknown[]> = A extends [unknown, ...infer R] ? R : never;

/** A step's name, and its arguments without the time. */
export type Step = { [N in StepName]: readonly [N, ...Rest<Parameters<GroupSteps[N]>>] }[StepName];
export type OutcomeOf<S extends Step> = ReturnType<GroupSteps[S[0]]>;
export type OutcomesOf<S extends readonly Step[]> = { [I in keyof S]: OutcomeOf<S[I]> };

/** Defines a group. Only its push target, the secrets that sign for it and the format can change. */
export interface Definition {
  readonly name: string;
  /** Distinct topic patterns. An event belongs to the group if its topic matches at least one. */
  readonly topics: readonly string[];
  readonly start: Start;
  readonly leaseMs: number;
  /** How many deliveries make an event dead. */
  readonly deliveriesMax: number;
  /** Where its events are sent; null if they are pulled. */
  readonly push: Push | null;
}

export interface Push {
  readonly url: string;
  /** 1 to 3, in the form of Standard Webhooks: `whsec_` and base64. All of them sign, and none is ever shown. */
  readonly secrets: readonly string[];
  /** By default each event is sent as it is read. */
  readonly format?: 'cloudevents';
}

/** How sending is going. */
export interface PushState {
  /** Why nothing is sent: all attempts have failed for long, or somebody asked for it; null if it is not paused. */
  readonly pausedBy: 'failures' | 'request' | null;
  /** When the current run of failures began; null if the last attempt succeeded. */
  readonly failingSinceMs: number | null;
  readonly lastFailure: string | null;
}

/**
 * A place in the log: the first kept event of the group's topics, the end, an event's offset, or the first event committed at or
 * after a time.
 */
export type Start = 'earliest' | 'latest' | { readonly offset: number } | { readonly timeMs: number };

/** The answer to a sender that claims the right to send. */
export interface PushClaim {
  /** Whether it holds the right now. */
  readonly isHeld: boolean;
  /** How much longer another sender holds it, unless something changes; 0 if none does. */
  readonly othersForMs: number;
  /** The current target. */
  readonly push: Push;
  readonly state: PushState;
}

/** A failed attempt to send an event. */
export interface FailedAttempt {
  /** Where it was sent, and what signed it. */
  readonly target: Push;
  readonly reason: string;
  /** As in `notePush`. */
  readonly pauseAfterMs: number;
  /** When the event may be sent again. */
  readonly delayMs: number;
}

export interface FailedPush {
  readonly state: PushState;
  /** When the event is due again, unless that was its last delivery. */
  readonly dueInMs: number;
}

export type Created =
  | { readonly kind: 'created' | 'same' | 'changed'; readonly state: GroupState }
  | { readonly kind: 'differs'; readonly field: DefinitionField }
  | { readonly kind: 'full'; readonly groups: number }
  | BeyondEnd;

export type DefinitionField = Exclude<keyof Definition, 'name'>;

export type Sought = { readonly kind: 'sought'; readonly position: number } | BeyondEnd;

/** The offset is more than one above the last, or the time lies in the future. */
interface BeyondEnd {
  readonly kind: 'beyond_end';
  readonly lastOffset: number;
}

export interface TakeRequest {
  /** At most this many events, for each demand. */
  readonly demands: readonly number[];
  /** At most this many bytes of events per demand, except that a single event may be larger. */
  readonly bytesMax: number;
  /** What the caller has read ahead. If it begins at the group's position, the store need not look for fresh events. */
  readonly readAhead: FreshEvents | null;
  /** No fresh event is taken while this many are leased or returned. */
  readonly outstandingMax: number;
}

/** The next events of a group, without a gap: all of its kept events above `after`, up to `upTo`. */
export interface FreshEvents {
  readonly after: number;
  readonly upTo: number;
  /** Ascending. */
  readonly offsets: Float64Array;
  /** The size of each one's JSON, as `GET /events` gives it. */
  readonly bytes: Int32Array;
  /** How many of the group's events have expired between the one before it, or \`after\`, and each one. */
  readonly expiredBefore: Int32Array;
  /** How many have in the whole range. */
  readonly expired: number;
}

export interface Taken {
  /** One for each demand, in order. */
  readonly hands: readonly Hand[];
  /** Where to read fresh events from now on: everything at or below it was taken. */
  readonly position: number;
  readonly outstanding: number;
  /** Milliseconds until the next event may be due, unless something changes; null if none is outstanding, or if it is paused. */
  readonly nextDueInMs: number | null;
  /** Nothing is leased before a `resume`. */
  readonly isPaused: boolean;
}

/** What one take leased: redelivered events first, then fresh ones. */
export interface Hand {
  /** The take's number, counted per group from 1; meaningless if there are no events. */
  readonly take: number;
  readonly offsets: Float64Array;
  /** How often each was delivered, including this time. */
  readonly deliveries: Int32Array;
}

/** Leases, as pairs of a take and one of its offsets. */
export interface Leases {
  readonly takes: Float64Array;
  readonly offsets: Float64Array;
}

/** What became of each lease: DONE, SETTLED, EXPIRED or UNKNOWN. */
export type LeaseStates = Uint8Array;
/** The lease was held and the step was done. */
export const DONE = 0;
/** The event was already acknowledged. */
export const SETTLED = 1;
/** The lease no longer holds: it ran out, was given back, or was voided by a seek. */
export const EXPIRED = 2;
/** No such lease was ever given. */
export const UNKNOWN = 3;

export interface GroupState {
  readonly id: number;
  readonly definition: Definition;
  /** Signs its lease ids; drawn at random when the group was created. */
  readonly secret: Uint8Array;
  readonly createdMs: number;
  readonly position: number;
  /** All events at or below it are acknowledged, dead or expired. */
  readonly cursor: number;
  readonly leased: number;
  readonly returned: number;
  readonly dead: number;
  /**
   * Totals since creation: deliveries, deliveries that were not their event's first, acknowledged events, and events that the
   * group passed over because they had expired.
   */
  readonly deliveries: number;
  readonly redeliveries: number;
  readonly acknowledged: number;
  readonly expired: number;
  /** Null if its events are pulled. */
  readonly push: PushState | null;
}

export interface DeadLetter {
  readonly offset: number;
  /** The size of its text. */
  readonly bytes: number;
  readonly deliveries: number;
  readonly deadMs: number;
  /** How its last lease ended. */
  readonly reason: DeadReason;
}

export type DeadReason = 'lease_expired' | 'given_back';
