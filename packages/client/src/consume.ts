import { ProblemError } from './errors.ts';
import type { DeliveredEvent, Groups } from './groups.ts';
import { LoopWatch } from './loop-watch.ts';
import type { CallOptions } from './transport.ts';

/** Handles one event. If it resolves, the event is acknowledged; if it throws, the event is given back. */
export type Handler = (event: DeliveredEvent, context: HandlerContext) => unknown;

export interface HandlerContext {
  /** Fires if the lease is lost meanwhile: another worker may then get the event. */
  signal: AbortSignal;
  /** Fires once the consumer takes no more events, and only waits for its handlers. */
  stopping: AbortSignal;
}

export interface ConsumeOptions extends CallOptions {
  /**
   * How many events are handled at once, at most (1); fewer if handlers block the event loop. With 1, handlers start in
   * the order of the offsets.
   */
  concurrency?: number;
  /** How long until an event that was given back is delivered again, by its deliveries so far (1 s, doubling up to 60 s). */
  nackDelayMs?: (delivery: number) => number;
  /**
   * Gets what a handler threw, and why an event could not be acknowledged or given back (console.error). If it throws, the
   * consumer ends as if it were stopped, and rejects with that.
   */
  onError?: (error: unknown, event?: DeliveredEvent) => void;
}

/** How long a pull waits for an event. */
const PULL_WAIT_MS = 20_000;
const PULL_EVENTS_MAX = 1000;
const ACK_LEASES_MAX = 10_000;

/** After handlers have held the loop for longer than this, sockets get a few turns to be written and read. */
const BLOCKED_MS = 10;

/** An event's lease. `endsAtMs` is the earliest time at which it can end, by the client's own clock. */
interface Lease {
  readonly lost: AbortController;
  endsAtMs: number;
}

/**
 * Handles the events of a group until the signal fires. It then takes no more, and resolves once those in hand are done.
 */
export async function consume(
  groups: Groups,
  group: string,
  handler: Handler,
  options: ConsumeOptions,
  stop: AbortSignal,
): Promise<void> {
  let leaseMs: number;
  try {
    ({ lease_ms: leaseMs } = await groups.get(group, { signal: stop, retryMs: Infinity }));
  } catch (error) {
    if (stop.aborted) return;
    throw error;
  }
  await new Consumer(groups, group, handler, options, leaseMs, stop).run();
}

/**
 * An event is *working* while its handler runs, then *done* until its acknowledgement is sent. From the pull until then
 * its lease is held, and extended each time a third of it has passed. Events that are done are acknowledged together while
 * the next ones are handled. If a lease ends before its handler can start, the event is dropped: it is delivered again.
 */
class Consumer {
  readonly #groups: Groups;
  readonly #group: string;
  readonly #handler: Handler;
  readonly #options: Required<Pick<ConsumeOptions, 'concurrency' | 'nackDelayMs' | 'onError'>>;
  readonly #leaseMs: number;
  readonly #failing = new AbortController();
  readonly #stop: AbortSignal;
  readonly #held = new Map<string, Lease>();
  readonly #working = new Set<Promise<void>>();
  readonly #done: string[] = [];
  readonly #loop: LoopWatch;
  #acknowledging: Promise<void> | undefined;
  #freed = (): void => {};

  constructor(
    groups: Groups,
    group: string,
    handler: Handler,
    options: ConsumeOptions,
    leaseMs: number,
    stop: AbortSignal,
  ) {
    // oxlint-disable-next-line no-console
    const { concurrency = 1, nackDelayMs = doubling, onError = console.error } = options;
    this.#groups = groups;
    this.#group = group;
    this.#handler = handler;
    this.#options = { concurrency, nackDelayMs, onError };
    this.#leaseMs = leaseMs;
    this.#stop = AbortSignal.any([stop, this.#failing.signal]);
    this.#loop = new LoopWatch(leaseMs, () => this.#freed());
  }

  async run(): Promise<void> {
    const extending = setInterval(() => void this.#extend(), this.#leaseMs / 3);
    try {
      while (!this.#stop.aborted) {
        const room = Math.min(this.#options.concurrency, this.#loop.room) - this.#working.size;
        if (room < 1) await new Promise<void>((resolve) => (this.#freed = resolve));
        else await this.#begin(await this.#pull(room));
      }
    } catch (error) {
      if (!this.#stop.aborted) throw error;
    } finally {
      await Promise.all(this.#working);
      await this.#acknowledging;
      clearInterval(extending);
      this.#loop.stop();
    }
    this.#failing.signal.throwIfAborted();
  }

  async #pull(room: number): Promise<DeliveredEvent[]> {
    const sentAtMs = performance.now();
    const events = await this.#groups.pull(this.#group, {
      max: Math.min(room, PULL_EVENTS_MAX),
      waitMs: PULL_WAIT_MS,
      signal: this.#stop,
      retryMs: Infinity,
    });
    // The lease began when the service sent the answer; a tenth of it allows for the time on the way.
    const endsAtMs = Math.max(sentAtMs, this.#loop.arrivedAfterMs) + this.#leaseMs * 0.9;
    for (const { lease_id } of events) this.#held.set(lease_id, { lost: new AbortController(), endsAtMs });
    return events;
  }

  async #begin(events: readonly DeliveredEvent[]): Promise<void> {
    let turnedAtMs = performance.now();
    for (const event of events) {
      if (performance.now() - turnedAtMs > BLOCKED_MS) {
        await this.#breathe();
        turnedAtMs = performance.now();
      }
      const lease = this.#held.get(event.lease_id)!;
      if (lease.lost.signal.aborted || performance.now() >= lease.endsAtMs) {
        this.#held.delete(event.lease_id);
        continue;
      }
      const one = this.#work(event, lease).finally(() => {
        this.#working.delete(one);
        this.#loop.look();
        this.#freed();
      });
      this.#working.add(one);
    }
  }

  /** Lets acknowledgements leave, but does not wait long for a slow service to answer them. */
  async #breathe(): Promise<void> {
    await pause(0);
    await Promise.race([this.#acknowledging, pause(this.#leaseMs / 10)]);
  }

  async #work(event: DeliveredEvent, { lost }: Lease): Promise<void> {
    const { lease_id: leaseId, delivery } = event;
    try {
      await this.#handler(event, { signal: lost.signal, stopping: this.#stop });
      this.#done.push(leaseId);
      this.#acknowledging ??= this.#acknowledge();
    } catch (error) {
      this.#held.delete(leaseId);
      this.#report(error, event);
      if (lost.signal.aborted) return;
      await this.#giveBack(leaseId, delivery).catch((error: unknown) => this.#report(error, event));
    }
  }

  async #giveBack(leaseId: string, delivery: number): Promise<void> {
    const delayMs = this.#options.nackDelayMs(delivery);
    await this.#groups.nack(this.#group, [leaseId], { delayMs, retryMs: this.#leaseMs });
  }

  async #acknowledge(): Promise<void> {
    while (this.#done.length > 0) {
      const leaseIds = this.#done.splice(0, ACK_LEASES_MAX);
      for (const leaseId of leaseIds) this.#held.delete(leaseId);
      await this.#groups
        .ack(this.#group, leaseIds, { retryMs: this.#leaseMs })
        .catch((error: unknown) => this.#report(error));
    }
    this.#acknowledging = undefined;
  }

  #report(error: unknown, event?: DeliveredEvent): void {
    try {
      this.#options.onError(error, event);
    } catch (thrown) {
      this.#failing.abort(thrown);
      this.#freed();
    }
  }

  async #extend(): Promise<void> {
    const leaseIds = [...this.#held.keys()];
    if (leaseIds.length === 0) return;
    const endsAtMs = performance.now() + this.#leaseMs;
    let lost: ReadonlySet<string> = new Set();
    try {
      await this.#groups.extend(this.#group, leaseIds, { retryMs: this.#leaseMs / 3 });
    } catch (error) {
      // All of them are done meanwhile; the client may be closed by now.
      if (this.#held.size === 0) return;
      const faults = error instanceof ProblemError ? error.errors : [];
      lost = new Set(faults.map(({ index }) => leaseIds[index ?? -1]!));
      // An event that was acknowledged or given back meanwhile is not lost.
      const leases = [...lost].flatMap((leaseId) => this.#held.get(leaseId) ?? []);
      if (leases.length > 0 || faults.length === 0) this.#report(error);
      for (const lease of leases) lease.lost.abort(error);
      if (faults.length === 0) return;
    }
    for (const leaseId of leaseIds) {
      const lease = this.#held.get(leaseId);
      if (lease !== undefined && !lost.has(leaseId)) lease.endsAtMs = endsAtMs;
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function doubling(delivery: number): number {
  return Math.min(1000 * 2 ** (delivery - 1), 60_000);
}
