import type { FreshEvent } from './read-ahead.ts';

/** An event that was leased to whoever got it. */
export interface Delivered extends FreshEvent {
  /** How often it was delivered, this time included. */
  readonly delivery: number;
  readonly leaseId: string;
}

/** Pulls that are served in one step, so that its events are few enough to hold. */
const PULLS_AT_ONCE_MAX = 32;

export interface Pull {
  readonly eventsMax: number;
  /** By the process's monotonic clock. */
  readonly deadlineMs: number;
  readonly resolve: (events: Delivered[]) => void;
  readonly reject: (error: Error) => void;
  /** Whoever pulled has left. */
  hasLeft: boolean;
}

/** Those who wait for the events of one group, in the order in which they came. Each is answered once, here or by who serves it. */
export class WaitingPulls {
  #pulls: Pull[] = [];

  get isEmpty(): boolean {
    return this.#pulls.length === 0;
  }

  add(pull: Pull): void {
    this.#pulls.push(pull);
  }

  /** Those whose turn it is. */
  first(): readonly Pull[] {
    return this.#pulls.slice(0, PULLS_AT_ONCE_MAX);
  }

  /** How many events those want together. */
  get demand(): number {
    return this.first().reduce((sum, { eventsMax }) => sum + eventsMax, 0);
  }

  /** When the next one's time is up; infinite where nobody waits. */
  get nextDeadlineMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#pulls.map(({ deadlineMs }) => deadlineMs));
  }

  /** Hands these over: they are answered by the caller. */
  take(pulls: ReadonlySet<Pull>): void {
    this.#pulls = this.#pulls.filter((pull) => !pulls.has(pull));
  }

  /** Answers those who left with nothing. */
  dropLeft(): void {
    this.#answer(({ hasLeft }) => hasLeft);
  }

  /** Answers those whose time is up with nothing. */
  dropLate(): void {
    const nowMs = performance.now();
    this.#answer(({ deadlineMs }) => deadlineMs <= nowMs);
  }

  /** Answers all with nothing. */
  dropAll(): void {
    this.#answer(() => true);
  }

  refuseAll(error: Error): void {
    for (const pull of this.#pulls) pull.reject(error);
    this.#pulls = [];
  }

  #answer(isMeant: (pull: Pull) => boolean): void {
    this.#pulls = this.#pulls.filter((pull) => {
      if (!isMeant(pull)) return true;
      pull.resolve([]);
      return false;
    });
  }
}
