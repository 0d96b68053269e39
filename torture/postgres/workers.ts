import { setTimeout as sleep } from 'node:timers/promises';
import type { SeededRandom } from '../../lab/random.ts';
import { BrokenPromise } from '../broken-promise.ts';
import { numberOf } from '../events.ts';
import type { Clients } from './clients.ts';
import type { AggregatorProcess } from '../../lab/aggregator-process.ts';

const GROUP = '/subscriptions/torture-workers';
const LEASE_MS = 4000;

/** A pull holds at most so many, and waits so long for the first. */
const PULL_MAX = 500;
const PULL_WAIT_MS = 500;
const BACK_AFTER_MS = 20;

/** The share of events that a worker lets go: to their leases, or given back. */
const LEFT_SHARE = 0.002;
const GIVEN_BACK_SHARE = 0.01;

interface Delivery {
  readonly event_id: string;
  readonly offset: number;
  readonly delivery: number;
  readonly lease_id: string;
}

/** What the workers of a group were given. In milliseconds of one clock. */
interface Held {
  /** The lease may end then, and not before; 0 once it was given back. */
  endsMs: number;
  /** When its acknowledgement was confirmed. */
  doneMs: number;
}

/**
 * Workers of one group on all instances. What must hold: an event is leased to one worker at a time, never again after its
 * acknowledgement was confirmed, and in the end each was acknowledged.
 */
export class GroupWorkers {
  deliveries = 0;
  readonly #clients: Clients;
  readonly #held = new Map<number, Held>();

  constructor(clients: Clients) {
    this.#clients = clients;
  }

  /** Creates the group, which begins with the first event. */
  async make({ url }: AggregatorProcess): Promise<void> {
    const definition = { topics: ['>'], start: 'earliest', lease_ms: LEASE_MS, max_deliveries: 1000 };
    const { status, text } = await sent('PUT', url + GROUP, definition);
    if (status !== 201) throw new BrokenPromise('a new group', `${status}: ${text}`);
  }

  /** Works until the signal; throws a BrokenPromise. */
  async work(random: SeededRandom): Promise<void> {
    const { instances, signal } = this.#clients;
    while (!signal.aborted) {
      const instance = instances.any(random);
      try {
        if (instance === undefined) await sleep(BACK_AFTER_MS);
        else await this.#pull(instance.service.url, random);
      } catch (error) {
        if (error instanceof BrokenPromise) throw error;
        // The instance is gone.
        await sleep(BACK_AFTER_MS);
      }
    }
  }

  /** How many events are left until every one was acknowledged once, or had been let go of. */
  async left({ url }: AggregatorProcess, events: number): Promise<number> {
    const response = await fetch(url + GROUP);
    const view = (await response.json()) as Record<'lag' | 'acknowledged' | 'expired' | 'dead', number>;
    const done = view.acknowledged + view.expired;
    if (done > events || view.dead > 0)
      throw new BrokenPromise(
        `up to ${events} events acknowledged or expired, and none dead`,
        JSON.stringify(view),
      );
    return Math.max(view.lag, events - done);
  }

  async #pull(url: string, random: SeededRandom): Promise<void> {
    const askedMs = performance.now();
    const { status, text } = await sent('POST', `${url}${GROUP}/pull`, {
      max: PULL_MAX,
      wait_ms: PULL_WAIT_MS,
    });
    if (status === 503) {
      await sleep(BACK_AFTER_MS);
      return;
    }
    if (status !== 200) throw new BrokenPromise('200 or 503 for a pull', `${status}: ${text}`);
    const { events } = JSON.parse(text) as { events: Delivery[] };
    const nowMs = performance.now();
    for (const event of events) this.#given(event, askedMs, nowMs);
    this.deliveries += events.length;
    const fates = new Map(events.map((event) => [event, random.between(0, 1)]));
    const fate = (from: number, to: number) =>
      events.filter((event) => fates.get(event)! >= from && fates.get(event)! < to);
    await this.#giveBack(url, fate(LEFT_SHARE, LEFT_SHARE + GIVEN_BACK_SHARE));
    await this.#acknowledge(url, fate(LEFT_SHARE + GIVEN_BACK_SHARE, 1));
  }

  #given({ event_id: eventId, offset, delivery }: Delivery, askedMs: number, nowMs: number): void {
    const k = numberOf(eventId);
    const known = k === null ? 0 : this.#clients.account.offsetOf(k);
    if (known !== 0 && known !== offset)
      throw new BrokenPromise(`${eventId} at offset ${known}`, `${offset}`);
    const before = this.#held.get(offset);
    const what = `delivery ${delivery} of offset ${offset}, asked for at ${askedMs} ms and there at ${nowMs} ms`;
    if (before !== undefined && before.doneMs < askedMs)
      throw new BrokenPromise(`none after its acknowledgement at ${before.doneMs} ms`, what);
    if (before !== undefined && nowMs < before.endsMs)
      throw new BrokenPromise(`none before its lease ends at ${before.endsMs} ms`, what);
    this.#held.set(offset, { endsMs: askedMs + LEASE_MS, doneMs: Infinity });
  }

  async #giveBack(url: string, events: readonly Delivery[]): Promise<void> {
    if (events.length === 0) return;
    // From when it is asked on: it may be done without an answer.
    for (const { offset } of events) this.#held.get(offset)!.endsMs = 0;
    await sent('POST', `${url}${GROUP}/nack`, { lease_ids: events.map(({ lease_id: id }) => id) });
  }

  async #acknowledge(url: string, events: readonly Delivery[]): Promise<void> {
    if (events.length === 0) return;
    const held = events.map(({ offset }) => this.#held.get(offset)!);
    const { status, text } = await sent('POST', `${url}${GROUP}/ack`, {
      lease_ids: events.map(({ lease_id: id }) => id),
    });
    if (status !== 200 && status !== 409 && status !== 503)
      throw new BrokenPromise('200, 409 or 503 for an acknowledgement', `${status}: ${text}`);
    if (status === 503) return;
    const { errors = [] } = JSON.parse(text) as { errors?: { index: number }[] };
    const lost = new Set(errors.map(({ index }) => index));
    const nowMs = performance.now();
    for (const [i, one] of held.entries()) if (!lost.has(i)) one.doneMs = nowMs;
  }
}

async function sent(method: string, url: string, body: unknown): Promise<{ status: number; text: string }> {
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}
