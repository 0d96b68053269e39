import type { FreshEvent } from './read-ahead.ts';

/** An event leased to the worker that gets it. */
export interface Delivered extends FreshEvent {
  /** How often it was delivered, including this time. */
  readonly delivery: number;
  readonly leaseId: string;
}

/** Pulls served in one step; bounds the events that a step holds in memory. */
const PULLS_AT_ONCE_MAX = 32;

export interface Pull {
  readonly eventsMax: number;
  /** By the process's monotonic clock. */
  readonly deadlineMs: number;
  readonly resolve: (events: Delivered[]) => void;
  readonly reject: (error: Error) => void;
  /** The worker has disconnected. */
  hasLeft: boolean;
}

/** The pulls waiting for events of one group, in order of arrival. Each is answered once, here or by the dispatcher. */
export class WaitingPulls {
  #pulls: Pull[] = [];

  get isEmpty(): boolean {
    return this.#pulls.length === 0;
  }

  add(pull: Pull): void {
    this.#pulls.push(pull);
  }

  /** The pulls whose turn it is. */
  first(): readonly Pull[] {
    return this.#pulls.slice(0, PULLS_AT_ONCE_MAX);
  }

  /** How many events these want in total. */
  get demand(): number {
    return this.first().reduce((sum, { eventsMax }) => sum + eventsMax, 0);
  }

  /** When the next pull's time is up; infinite if none is waiting. */
  get nextDeadlineMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#pulls.map(({ deadlineMs }) => deadlineMs));
  }

  /** Hands these pulls over: the caller answers them. */
  take(pulls: ReadonlySet<Pull>): void {
    this.#pulls = this.#pulls.filter((pull) => !pulls.has(pull));
  }

  /** Takes pulls back that got nothing: they are the next ones. */
  putBack(pulls: readonly Pull[]): void {
    this.#pulls.unshift(...pulls);
  }

  /** Answers the pulls that left with nothing. */
  dropLeft(): void {
    this.#answer(({ hasLeft }) => hasLeft);
  }

  /** Answers the pulls whose time has been up for this long with nothing. */
  dropLate(lateMs: number): void {
    const nowMs = performance.now();
    this.#answer(({ deadlineMs }) => deadlineMs + lateMs <= nowMs);
  }

  /** Answers all pulls with nothing. */
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
