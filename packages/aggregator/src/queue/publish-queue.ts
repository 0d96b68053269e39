import { type EventBatch, batchBytes } from '../event/event-batch.ts';
import type { AppendResult } from '../store/event-store.ts';
import { ByteBudget, type Hold } from './byte-budget.ts';

export interface QueueLimits {
  /** Events that may wait or be in the writer's hands. */
  readonly eventsMax: number;
  /** Bytes that they and the bodies still on their way may hold. */
  readonly bytesMax: number;
}

/** A batch that waits for its commit. Exactly one of `resolve` and `reject` is called, once. */
export interface QueuedPublish {
  readonly batch: EventBatch;
  readonly bytes: number;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Hands batches from many publishers to one consumer. In: parsed batches. Out: groups of them, in the order they came.
 *
 * A batch is *waiting*, then *taken*, then *settled*; until it is settled it counts against the limits, so what is
 * refused depends on what is held and not on where it stands. Bodies that are still on their way count against the same
 * bytes. A batch that does not fit is refused whole and leaves no trace; where nothing else is held, any batch that a
 * publish may hold is taken, however the limits are set.
 */
export class PublishQueue {
  /** Shared with the bodies that are still on their way. */
  readonly budget: ByteBudget;
  readonly #eventsMax: number;
  #waiting: QueuedPublish[] = [];
  #events = 0;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor({ eventsMax, bytesMax }: QueueLimits) {
    this.#eventsMax = eventsMax;
    this.budget = new ByteBudget(bytesMax);
  }

  /** Events that wait or are taken. */
  get events(): number {
    return this.#events;
  }

  /** Publishes that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Bytes that they and the bodies still on their way hold. */
  get bytes(): number {
    return this.budget.held;
  }

  /** Resolves after the batch is durable. Rejects with QueueFull at once, or with the StoreError of its commit. */
  publish(batch: EventBatch): Promise<AppendResult> {
    const bytes = batchBytes(batch);
    if (this.#closed) return Promise.reject(new QueueFull('the queue is closed'));
    const hold = this.budget.open();
    const fits = this.#events === 0 || this.#events + batch.count <= this.#eventsMax;
    if (!fits || !hold.grow(bytes)) return Promise.reject(new QueueFull(this.#fullness()));
    this.#events += batch.count;
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        batch,
        bytes,
        resolve: (result) => {
          this.#release(batch, hold);
          resolve(result);
        },
        reject: (error) => {
          this.#release(batch, hold);
          reject(error);
        },
      });
      this.#wake?.();
    });
  }

  /**
   * Waits until something waits, then takes as much as fits the two bounds, at least one batch. An empty answer means
   * that the queue is closed and drained.
   */
  async take(eventsMax: number, bytesMax: number): Promise<QueuedPublish[]> {
    while (this.#waiting.length === 0) {
      if (this.#closed) return [];
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
      // What else has arrived is read before the first of it is taken: one more turn of the loop, one sync less.
      await new Promise(setImmediate);
    }
    let taken = 0;
    let events = 0;
    let bytes = 0;
    for (const publish of this.#waiting) {
      events += publish.batch.count;
      bytes += publish.bytes;
      if (taken > 0 && (events > eventsMax || bytes > bytesMax)) break;
      taken += 1;
    }
    return this.#waiting.splice(0, taken);
  }

  /** Refuses from now on; what waits can still be taken. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  #release(batch: EventBatch, hold: Hold): void {
    this.#events -= batch.count;
    hold.release();
  }

  #fullness(): string {
    return `${this.#events} events and ${this.bytes} bytes are on their way`;
  }
}

/** Nothing of the batch was taken; the same publish may be sent again. */
export class QueueFull extends Error {}
