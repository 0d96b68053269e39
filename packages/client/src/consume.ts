import { ProblemError } from './errors.ts';
import type { DeliveredEvent, Groups } from './groups.ts';
import type { CallOptions } from './transport.ts';

/**
 * Deals with one event. When it resolves the event is acknowledged, when it throws the event is given back. `signal`
 * fires where the lease was lost meanwhile: then somebody else may be given the event.
 */
export type Handler = (event: DeliveredEvent, context: { signal: AbortSignal }) => unknown;

export interface ConsumeOptions extends CallOptions {
  /** Events that are dealt with at once (1). With 1 they are begun in the order of their offsets. */
  concurrency?: number;
  /** After how long an event that was given back comes again, by its deliveries so far (1 s, doubled up to 60 s). */
  nackDelayMs?: (delivery: number) => number;
  /** Told what a handler has thrown, and of what could not be acknowledged or given back (console.error). */
  onError?: (error: unknown, event?: DeliveredEvent) => void;
}

/** How long a pull waits for an event. */
const PULL_WAIT_MS = 20_000;
const PULL_EVENTS_MAX = 1000;
const ACK_LEASES_MAX = 10_000;

/**
 * Works on the events of a group until the signal fires; then takes no more, and resolves when those at hand are done.
 *
 * An event is *working* while its handler runs, then *done* until its acknowledgement is sent; its lease is held, and
 * extended every third of its time, through both. Those that are done are acknowledged together, while the next ones are
 * worked on. A lease that is lost is told, and nothing else: its event is delivered again.
 */
export async function consume(
  groups: Groups,
  group: string,
  handler: Handler,
  options: ConsumeOptions,
  stop: AbortSignal,
): Promise<void> {
  // oxlint-disable-next-line no-console
  const { concurrency = 1, nackDelayMs = doubling, onError = console.error } = options;
  const held = new Map<string, AbortController>();
  const working = new Set<Promise<void>>();
  const done: string[] = [];
  let acknowledging: Promise<void> | undefined;
  let freed = (): void => {};

  const acknowledge = async (retryMs: number): Promise<void> => {
    while (done.length > 0) {
      const leaseIds = done.splice(0, ACK_LEASES_MAX);
      for (const leaseId of leaseIds) held.delete(leaseId);
      await groups.ack(group, leaseIds, { retryMs }).catch((error: unknown) => onError(error));
    }
    acknowledging = undefined;
  };

  const extend = async (retryMs: number): Promise<void> => {
    const leaseIds = [...held.keys()];
    if (leaseIds.length === 0) return;
    try {
      await groups.extend(group, leaseIds, { retryMs });
    } catch (error) {
      const faults = error instanceof ProblemError ? error.errors : [];
      // What was acknowledged or given back meanwhile is no loss.
      const lost = faults.flatMap(({ index }) => held.get(leaseIds[index ?? -1]!) ?? []);
      if (lost.length > 0 || faults.length === 0) onError(error);
      for (const lease of lost) lease.abort(error);
    }
  };

  const work = async (event: DeliveredEvent, leaseMs: number): Promise<void> => {
    const { lease_id: leaseId, delivery } = event;
    const lease = new AbortController();
    held.set(leaseId, lease);
    try {
      await handler(event, { signal: lease.signal });
      done.push(leaseId);
      acknowledging ??= acknowledge(leaseMs);
    } catch (error) {
      held.delete(leaseId);
      onError(error, event);
      if (lease.signal.aborted) return;
      await groups
        .nack(group, [leaseId], { delayMs: nackDelayMs(delivery), retryMs: leaseMs })
        .catch((error: unknown) => onError(error, event));
    }
  };

  let extending: ReturnType<typeof setInterval> | undefined;
  try {
    const { lease_ms: leaseMs } = await groups.get(group, { signal: stop, retryMs: Infinity });
    extending = setInterval(() => void extend(leaseMs / 3), leaseMs / 3);
    while (!stop.aborted) {
      if (working.size >= concurrency) {
        await new Promise<void>((resolve) => (freed = resolve));
        continue;
      }
      const events = await groups.pull(group, {
        max: Math.min(concurrency - working.size, PULL_EVENTS_MAX),
        waitMs: PULL_WAIT_MS,
        signal: stop,
        retryMs: Infinity,
      });
      for (const event of events) {
        const one = work(event, leaseMs).finally(() => {
          working.delete(one);
          freed();
        });
        working.add(one);
      }
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    await Promise.all(working);
    await acknowledging;
    clearInterval(extending);
  }
}

function doubling(delivery: number): number {
  return Math.min(1000 * 2 ** (delivery - 1), 60_000);
}
