/**
 * Watches how long handlers block the event loop, and says how many of them one lease can bear.
 *
 * In come ticks of a timer and the ends of handlers; out go `room`, the number of handlers that may run at once, and
 * `arrivedAfterMs`, the earliest time at which something just read can have arrived. Nothing is known of a handler before
 * it has run, so `room` starts at 1 and doubles with each handler that ends, or tick that comes, without a block.
 */
export class LoopWatch {
  readonly #leaseMs: number;
  readonly #tickMs: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #lastTickMs = performance.now();
  #blockedFromMs = 0;
  #blockedToMs = -Infinity;
  /** The longest block, forgotten by and by. */
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

  /** All that may run at once could block the loop one after the other, and yet take a third of a lease. */
  get room(): number {
    return Math.max(1, Math.min(this.#room, Math.floor(this.#leaseMs / 3 / this.#worstMs)));
  }

  /** Read after a block, an answer may have lain there since the block began. */
  get arrivedAfterMs(): number {
    return performance.now() - this.#blockedToMs < this.#tickMs ? this.#blockedFromMs : this.#lastTickMs;
  }

  /** Takes note of a block that has just ended, for ticks come too late to tell. */
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
