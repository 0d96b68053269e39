/**
 * Measures how long handlers block the event loop, and works out how many of them fit into one lease.
 *
 * In: ticks of a timer and ends of handlers. Out: `room`, the number of handlers that may run at once, and
 * `arrivedAfterMs`, the earliest time at which something just read can have arrived. Nothing is known about a handler
 * before it has run, so `room` starts at 1 and doubles whenever a handler ends, or a tick comes, without a block.
 */
export class LoopWatch {
  readonly #leaseMs: number;
  readonly #tickMs: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #lastTickMs = performance.now();
  #blockedFromMs = 0;
  #blockedToMs = -Infinity;
  /** The longest block so far. It fades with each tick or handler that passes without one. */
  #worstMs = 0;
  #room = 1;

  /** @param onTick called after each tick, when `room` may have grown */
  constructor(leaseMs: number, onTick: () => void) {
    this.#leaseMs = leaseMs;
    this.#tickMs = Math.min(leaseMs / 20, 100);
    this.#timer = setInterval(() => {
      this.look();
      this.#lastTickMs = performance.now();
      onTick();
    }, this.#tickMs);
  }

  /** Even if all handlers that may run at once block the loop one after another, they take a third of a lease at most. */
  get room(): number {
    return Math.max(1, Math.min(this.#room, Math.floor(this.#leaseMs / 3 / this.#worstMs)));
  }

  /** An answer that is read after a block may have been waiting since the block began. */
  get arrivedAfterMs(): number {
    return performance.now() - this.#blockedToMs < this.#tickMs ? this.#blockedFromMs : this.#lastTickMs;
  }

  /** Notes a block that has just ended. Handlers need this, since the next tick comes too late for them. */
  look(): void {
    const now = performance.now();
    const lateMs = now - this.#lastTickMs - this.#tickMs;
    if (lateMs > this.#tickMs / 2) {
      this.#blockedFromMs = this.#lastTickMs;
      this.#blockedToMs = now;
      this.#worstMs = Math.max(this.#worstMs, lateMs);
    } else {
      this.#worstMs *= 0.9;
      this.#room = Math.min(this.#room * 2, 2 ** 20);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
