import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { GroupState, Push } from '../store/group-store.ts';
import type { WebhookSender } from '../webhooks/sender.ts';
import { type Dispatcher, GroupGone } from './dispatcher.ts';
import type { Delivered } from './waiting-pulls.ts';
import { leasesOf } from './lease-id.ts';
import type { PushTiming } from './push-timing.ts';
import type { SharedSteps } from './shared-steps.ts';

/** Events that a dispatcher gives out at once for a pusher: the next one waits until this one is done with. */
export const PUSHED_AT_ONCE = 1;

/**
 * For how long a process claims the right to send a group's events, and how long it waits for one at a time: a claim is
 * renewed before each wait, and outlasts it and the longest answer (15 s). A process that dies is followed by another
 * when its claim has run out.
 */
const CLAIM_MS = 30_000;
const PULL_MS = 10_000;

/** How long it rests where the store fails, milliseconds. */
const STORE_FAULT_MS = 1000;

/** What is kept of a reason. */
const REASON_CHARS_MAX = 200;

/** Every delay is drawn from this part of its time around it, so that targets that failed together are not tried together. */
const JITTER = 0.2;

export interface PusherParts {
  readonly dispatcher: Dispatcher;
  readonly steps: SharedSteps;
  readonly timing: PushTiming;
  readonly sender: WebhookSender;
  readonly log: Logger;
}

/**
 * Sends the events of one group to its target, in order. In: events, one at a time, under a lease like any
 * worker's. Out: a request for each, and what became of it in the store: acknowledged after a 2xx, else given back with
 * a delay that grows with its deliveries. The next event waits meanwhile; after its last delivery it is dead and the
 * next one's turn comes.
 *
 * It is *waiting* for an event, *sending* one, *paused* or *standing by*. It is paused where all attempts have failed for
 * as long as the timing says, or the target said that it is gone (410): nothing is sent until a `resume`. It stands by
 * while another process has the right to send, which the store gives to one at a time. All of that is in the store, so a
 * restart goes on where it was; an event that was being sent when the process died is sent again, as the same delivery.
 *
 * Its target may change at any time. An attempt under way ends with the old one; where it fails then, the store says that
 * it counts for nothing, and the event is sent to the new target at once.
 */
export class Pusher {
  readonly #parts: PusherParts;
  readonly #id: number;
  readonly #name: string;
  readonly #leaseSecret: Uint8Array;
  /** What this process claims the right to send under. */
  readonly #sender = randomUUID();
  readonly #stopped = new AbortController();
  readonly #finished: Promise<void>;
  /** Whether the last attempt failed. */
  #isFailing = false;
  /** Aborted where what the last claim told may not be true any more. */
  #changed = new AbortController();

  constructor(parts: PusherParts, { id, definition, secret }: GroupState) {
    this.#parts = parts;
    this.#id = id;
    this.#name = definition.name;
    this.#leaseSecret = secret;
    this.#finished = this.#run();
  }

  /** Looks at once at how things stand in the store: a pause ended, or the target changed. */
  changed(): void {
    this.#changed.abort();
  }

  /** Ends it: a request that is under way is cut. Resolves when nothing is. */
  async close(): Promise<void> {
    this.#stopped.abort(new Error('the pusher is stopping'));
    await this.#finished;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { steps, log } = this.#parts;
    while (!signal.aborted) {
      this.#changed = new AbortController();
      try {
        const claim = await steps.do('claimPush', this.#id, this.#sender, CLAIM_MS);
        if (claim === null) return;
        this.#isFailing = claim.state.lastFailure !== null;
        if (!claim.isHeld) await this.#rest(claim.othersForMs);
        else if (claim.state.isPaused) await this.#rest(CLAIM_MS / 2);
        else await this.#next(claim.push);
      } catch (error) {
        if (error instanceof GroupGone || signal.aborted) break;
        log.error({ err: error, group: this.#name }, 'a webhook waits for the store');
        await this.#rest(STORE_FAULT_MS);
      }
    }
    // Another process need not wait for the claim to run out. Where the store fails it does.
    await steps.do('releasePush', this.#id, this.#sender).catch(() => undefined);
  }

  /** Waits so long, or until something has changed. */
  async #rest(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#waitSignal(), ref: false }).catch(() => undefined);
  }

  #waitSignal(): AbortSignal {
    return AbortSignal.any([this.#stopped.signal, this.#changed.signal]);
  }

  /** Waits for an event and sends it. */
  async #next(push: Push): Promise<void> {
    const { signal } = this.#stopped;
    const [event] = await this.#parts.dispatcher.pull(PUSHED_AT_ONCE, PULL_MS, this.#waitSignal());
    if (event === undefined) return;
    const failure = await this.#send(push, event);
    const { steps } = this.#parts;
    const leases = leasesOf(this.#leaseSecret, [event.leaseId]);
    // The steps of a branch share a transaction: they are asked for in one turn.
    if (failure === null) {
      const noted = this.#noteSuccess();
      await steps.do('acknowledge', this.#id, leases);
      await noted;
    } else if (signal.aborted) {
      // It was cut by the stop and has not failed: the next start sends it again, as the same delivery.
      await steps.do('untake', this.#id, leases.takes[0]!);
    } else {
      await this.#fail(event, push, failure);
    }
  }

  /** Null where the target took it. */
  async #send(target: Push, { offset, json }: Delivered): Promise<Failure | null> {
    const message = { id: this.#messageId(offset), body: json };
    const outcome = await this.#parts.sender.send(target, message, this.#stopped.signal);
    if ('fault' in outcome)
      return { reason: outcome.fault.slice(0, REASON_CHARS_MAX), retryAfterMs: 0, isGone: false };
    const { status, retryAfter } = outcome;
    if (status >= 200 && status < 300) return null;
    const isRedirect = status >= 300 && status < 400;
    const reason = `HTTP ${status}${isRedirect ? ': redirects are not followed' : ''}`;
    return { reason, retryAfterMs: retryAfterMsOf(retryAfter), isGone: status === 410 };
  }

  /** The same for an event at every attempt, another for every event of every group of every server. */
  #messageId(offset: number): string {
    const own = createHmac('sha256', this.#leaseSecret).update('webhook-id').digest('hex').slice(0, 16);
    return `msg_${own}_${offset}`;
  }

  #delayMs({ delivery }: Delivered, { retryAfterMs }: Failure): number {
    const { retryMs } = this.#parts.timing;
    const usualMs = retryMs[Math.min(delivery, retryMs.length) - 1]!;
    const drawnMs = usualMs * (1 + JITTER * (2 * Math.random() - 1));
    return Math.round(Math.max(drawnMs, Math.min(retryAfterMs, retryMs.at(-1)!)));
  }

  async #noteSuccess(): Promise<void> {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    await this.#parts.steps.do('notePush', this.#id, null, 0);
  }

  async #fail(event: Delivered, target: Push, failure: Failure): Promise<void> {
    const { steps, timing, log } = this.#parts;
    const { reason, isGone } = failure;
    const failed = await steps.do('failPush', this.#id, leasesOf(this.#leaseSecret, [event.leaseId]), {
      target,
      reason,
      pauseAfterMs: isGone ? 0 : timing.pauseAfterMs,
      delayMs: this.#delayMs(event, failure),
    });
    log.debug({ group: this.#name, failure: reason }, 'a webhook was not taken');
    if (failed?.state.isPaused !== true) return;
    log.warn(
      { group: this.#name, failure: reason, failingSince: new Date(failed.state.failingSinceMs ?? 0) },
      'a webhook is paused; POST /subscriptions/{name}/resume lets it go on',
    );
  }
}

interface Failure {
  readonly reason: string;
  /** When the target asks to be asked again, from now; 0 where it does not say. */
  readonly retryAfterMs: number;
  readonly isGone: boolean;
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterMsOf(text = ''): number {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return ms > 0 ? ms : 0;
}
