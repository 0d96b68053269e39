import { type EventBatch, batchBytes } from '../event/event-batch.ts';
import type { AppendResult } from '../store/event-store.ts';
import { ByteBudget, type Hold } from './byte-budget.ts';

export interface QueueLimits {
  /** Events that may be waiting or with the writer. */
  readonly eventsMax: number;
  /** Bytes that these events and the bodies still arriving may hold. */
  readonly bytesMax: number;
}

/** A batch that is waiting for its commit. Exactly one of `resolve` and `reject` is called, once. */
export interface QueuedPublish {
  readonly batch: EventBatch;
  readonly bytes: number;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Hands batches from many publishers to one consumer. In: parsed batches. Out: groups of them, in order of arrival.
 *
 * A batch is *waiting*, then *taken*, then *settled*. It counts against the limits until it is settled, so a refusal
 * depends on how much is held, not on where it is. Bodies that are still arriving count against the same bytes. A
 * batch that does not fit is refused whole and leaves no trace. When nothing else is held, any batch that a publish
 * may hold is taken, however low the limits are set.
 */
export class PublishQueue {
  /** Shared with the bodies that are still arriving. */
  readonly budget: ByteBudget;
  /** Events that may be waiting or taken. */
  readonly eventsMax: number;
  #waiting: QueuedPublish[] = [];
  #events = 0;
  #waitingEvents = 0;
  #closed = false;
  #awaited: { readonly isEnough: () => boolean; readonly resolve: () => void } | null = null;

  constructor({ eventsMax, bytesMax }: QueueLimits) {
    this.eventsMax = eventsMax;
    this.budget = new ByteBudget(bytesMax);
  }

  /** Events that are waiting or taken. */
  get events(): number {
    return this.#events;
  }

  /** Publishes that are waiting. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Events that are waiting. */
  get waitingEvents(): number {
    return this.#waitingEvents;
  }

  /** Events that are taken and not settled. */
  get takenEvents(): number {
    return this.#events - this.#waitingEvents;
  }

  /** Bytes held by these publishes and by bodies that are still arriving. */
  get bytes(): number {
    return this.budget.held;
  }

  /** Resolves after the batch is durable. Rejects with QueueFull at once, or with the StoreError of its commit. */
  publish(batch: EventBatch): Promise<AppendResult> {
    const bytes = batchBytes(batch);
    if (this.#closed) return Promise.reject(new QueueFull('the queue is closed'));
    const hold = this.budget.open();
    const fits = this.#events === 0 || this.#events + batch.count <= this.eventsMax;
    if (!fits || !hold.grow(bytes)) return Promise.reject(new QueueFull(this.#fullness()));
    this.#events += batch.count;
    this.#waitingEvents += batch.count;
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
      this.#changed();
    });
  }

  /**
   * Resolves when enough is waiting, when the queue is closed, or after this many milliseconds. Only one may wait for an
   * arrival at a time.
   *
   * @param isEnough asked again whenever a batch arrives or is settled
   */
  async arrival(isEnough: () => boolean, ms?: number): Promise<void> {
    if (isEnough() || this.#closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaited = { isEnough, resolve };
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#awaited = null;
  }

  /** Takes as many of the waiting batches as fit both bounds, but at least one. Empty if none is waiting. */
  take(eventsMax: number, bytesMax: number): QueuedPublish[] {
    let taken = 0;
    let events = 0;
    let bytes = 0;
    for (const publish of this.#waiting) {
      events += publish.batch.count;
      bytes += publish.bytes;
      if (taken > 0 && (events > eventsMax || bytes > bytesMax)) break;
      taken += 1;
    }
    const group = this.#waiting.splice(0, taken);
    for (const { batch } of group) this.#waitingEvents -= batch.count;
    return group;
  }

  /** Refuses publishes from now on; waiting ones can still be taken. */
  close(): void {
    this.#closed = true;
    this.#awaited?.resolve();
  }

  #release(batch: EventBatch, hold: Hold): void {
    this.#events -= batch.count;
    hold.release();
    this.#changed();
  }

  #changed(): void {
    if (this.#awaited?.isEnough() === true) this.#awaited.resolve();
  }

  #fullness(): string {
    return `${this.#events} events and ${this.bytes} bytes are already under way`;
  }
}

/** Nothing of the batch was accepted; the same publish may be sent again. */
export class QueueFull extends Error {}
