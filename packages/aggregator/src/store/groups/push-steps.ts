import type { FailedAttempt, FailedPush, Leases, PushClaim, PushState } from '../group-store.ts';
import { isSamePush } from '../group-definition.ts';
import type { GroupRows } from './group-rows.ts';
import { pushOf, pushStateOf } from './group-tables.ts';
import { NOBODY } from './hands.ts';
import type { LeaseSteps } from './leases.ts';

/** The steps of a group's sender: who may send, how it went, and what became of the event. */
export class PushSteps {
  readonly #rows: GroupRows;
  readonly #leases: LeaseSteps;

  constructor(rows: GroupRows, leases: LeaseSteps) {
    this.#rows = rows;
    this.#leases = leases;
  }

  claim(nowMs: number, id: number, sender: string, claimMs: number): PushClaim | null {
    const row = this.#rows.at(nowMs, id);
    const push = row === undefined ? null : pushOf(row);
    if (row === undefined || push === null) return null;
    const claim = this.#rows.tables.claim(id);
    const isOwn = claim?.sender === sender;
    const othersForMs = isOwn ? 0 : Math.max(0, (claim?.untilMs ?? 0) - nowMs);
    if (othersForMs === 0) {
      // Nobody is sending any more what the previous sender was sending.
      if (!isOwn) this.#leases.untake(nowMs, id, null);
      this.#rows.tables.setClaim(id, { sender, untilMs: nowMs + claimMs });
    }
    return { isHeld: othersForMs === 0, othersForMs, push, state: pushStateOf(row) };
  }

  release(_nowMs: number, id: number, sender: string): null {
    // The sender's name is kept: it may have left an event under way.
    const { tables } = this.#rows;
    if (tables.claim(id)?.sender === sender) tables.setClaim(id, { sender, untilMs: 0 });
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
    const pausedBy = pushStateOf(row).pausedBy ?? (hasFailedForLong ? 'failures' : null);
    return this.#writePushState(id, { pausedBy, failingSinceMs, lastFailure: failure });
  }

  pause(nowMs: number, id: number): PushState | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    return this.#writePushState(id, { ...pushStateOf(row), pausedBy: 'request' });
  }

  resume(nowMs: number, id: number): PushState | null {
    return this.#forgive(nowMs, id, null);
  }

  /** The target is another one: what failed says nothing about it, but whoever asked for a pause still wants it. */
  retarget(nowMs: number, id: number): PushState | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    return this.#forgive(nowMs, id, pushStateOf(row).pausedBy === 'request' ? 'request' : null);
  }

  /** As if nothing had failed: events that were given back are due at once. */
  #forgive(nowMs: number, id: number, pausedBy: PushState['pausedBy']): PushState | null {
    if (this.#rows.at(nowMs, id) === undefined) return null;
    const kept = this.#rows.hands(id);
    for (const hand of kept.of(NOBODY)) {
      for (const offset of hand.offsets()) kept.put(NOBODY, nowMs, hand.isLast, offset, hand.remove(offset)!);
    }
    kept.save();
    return this.#writePushState(id, { pausedBy, failingSinceMs: null, lastFailure: null });
  }

  #writePushState(id: number, state: PushState): PushState {
    this.#rows.tables.update(id, {
      is_paused: Number(state.pausedBy !== null),
      pause_asked: Number(state.pausedBy === 'request'),
      failing_since_ms: state.failingSinceMs,
      last_failure: state.lastFailure,
    });
    return state;
  }
}
