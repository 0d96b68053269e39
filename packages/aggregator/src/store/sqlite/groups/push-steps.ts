import {
  type FailedAttempt,
  type FailedPush,
  type Leases,
  type PushClaim,
  type PushState,
} from '../../group-store.ts';
import { isSamePush } from '../../group-definition.ts';
import { type GroupRows, pushOf, pushStateOf } from './group-rows.ts';
import { NOBODY } from './hands.ts';
import type { LeaseSteps } from './leases.ts';

/** The steps of a group's sender: who may send, how it went, and what became of the event. */
export class PushSteps {
  readonly #rows: GroupRows;
  readonly #leases: LeaseSteps;
  /**
   * Which sender may send a group's events, by group. Not in the tables: the file has one process at a time, so every
   * claim from before it was opened is void. A claim whose transaction is rolled back runs out harmlessly.
   */
  readonly #claims = new Map<number, { readonly sender: string; readonly untilMs: number }>();

  constructor(rows: GroupRows, leases: LeaseSteps) {
    this.#rows = rows;
    this.#leases = leases;
  }

  claim(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null {
    const row = this.#rows.at(nowMs, id);
    const push = row === undefined ? null : pushOf(row);
    if (row === undefined || push === null) return null;
    const claim = this.#claims.get(id);
    const isOwn = claim?.sender === sender;
    const othersForMs = isOwn ? 0 : Math.max(0, (claim?.untilMs ?? 0) - nowMs);
    if (othersForMs === 0) {
      // Nobody is sending any more what the previous sender was sending.
      if (!isOwn) this.#leases.untake(nowMs, id, null);
      this.#claims.set(id, { sender, untilMs: nowMs + claimMs });
    }
    return { isHeld: othersForMs === 0, othersForMs, push, state: pushStateOf(row) };
  }

  /** The group is gone. */
  forget(id: number): void {
    this.#claims.delete(id);
  }

  release(_nowMs: number, id: number, sender: string): null {
    // The sender's name is kept: it may have left an event under way.
    if (this.#claims.get(id)?.sender === sender) this.#claims.set(id, { sender, untilMs: 0 });
    return null;
  }

  fail(nowMs: number, id: number, leases: Leases, attempt: FailedAttempt): FailedPush | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const { target, reason, pauseAfterMs, delayMs } = attempt;
    if (!isSamePush(pushOf(row), target)) {
      for (const take of leases.takes) this.#leases.untake(nowMs, id, take);
      return { state: pushStateOf(row), dueInMs: 0 };
    }
    this.#leases.giveBack(nowMs, id, leases, delayMs);
    return { state: this.note(nowMs, id, reason, pauseAfterMs)!, dueInMs: delayMs };
  }

  note(nowMs: number, id: number, failure: string | null, pauseAfterMs: number): PushState | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    const failingSinceMs = failure === null ? null : (row.failing_since_ms ?? nowMs);
    const hasFailedForLong = failingSinceMs !== null && nowMs - failingSinceMs >= pauseAfterMs;
    const isPaused = row.is_paused === 1 || hasFailedForLong;
    return this.#writePushState(id, { isPaused, failingSinceMs, lastFailure: failure });
  }

  resume(nowMs: number, id: number): PushState | null {
    if (this.#rows.at(nowMs, id) === undefined) return null;
    const kept = this.#rows.hands(id);
    for (const hand of kept.of(NOBODY)) {
      for (const offset of hand.offsets()) kept.put(NOBODY, nowMs, hand.isLast, offset, hand.remove(offset)!);
    }
    kept.save();
    return this.#writePushState(id, { isPaused: false, failingSinceMs: null, lastFailure: null });
  }

  #writePushState(id: number, state: PushState): PushState {
    this.#rows.run(
      'UPDATE event_group SET is_paused = ?, failing_since_ms = ?, last_failure = ? WHERE group_id = ?',
      Number(state.isPaused),
      state.failingSinceMs,
      state.lastFailure,
      id,
    );
    return state;
  }
}
