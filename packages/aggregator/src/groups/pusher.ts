import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { cloudEventOf } from '../cloudevents/out.ts';
import type { GroupState, Push } from '../store/group-store.ts';
import type { WebhookOutcome, WebhookSender } from '../webhooks/sender.ts';
import { type Dispatcher, GroupGone } from './dispatcher.ts';
import type { Delivered } from './waiting-pulls.ts';
import { leasesOf } from './lease-id.ts';
import type { PushTiming } from './push-timing.ts';
import type { SharedSteps } from './shared-steps.ts';

/** Events that a dispatcher gives to a pusher at once: the next one waits until this one is done. */
export const PUSHED_AT_ONCE = 1;

/**
 * How long a process claims the right to send a group's events, and how long it waits for an event at a time. A claim
 * is renewed before each wait, and outlasts the wait and the longest answer (15 s). When a process dies, another
 * takes over after its claim has run out.
 */
const CLAIM_MS = 30_000;
const PULL_MS = 10_000;

/** How long to rest after an error of the store, milliseconds. */
const STORE_FAULT_MS = 1000;

/** Longer reasons are cut off. */
const REASON_CHARS_MAX = 200;

/**
 * Every delay is drawn from within this fraction of its nominal value, so that targets that failed together are not
 * retried together.
 */
const JITTER = 0.2;

/** The target accepted the event, answered something else, or did not answer. */
export type AttemptOutcome = 'taken' | 'refused' | 'unanswered';

export interface PusherParts {
  readonly dispatcher: Dispatcher;
  readonly steps: SharedSteps;
  readonly timing: PushTiming;
  readonly sender: WebhookSender;
  readonly attempted: (outcome: AttemptOutcome) => void;
  readonly log: Logger;
}

/**
 * Sends the events of one group to its target, in order. In: events, one at a time, under a lease like any worker's.
 * Out: a request for each, and its outcome in the store: acknowledged after a 2xx, otherwise given back with a delay
 * that grows with its deliveries. The next event waits meanwhile. After its last delivery an event is dead, and the
 * next one gets its turn.
 *
 * It is *waiting* for an event, *sending* one, *paused* or *standing by*. It is paused on request, and once all attempts have
 * failed for as long as the timing says, or the target has said that it is gone (410): then it sends nothing until a
 * `resume`. A pause cuts off no attempt. It stands by while another process has the right to send, which the store gives to one at a time. All of
 * this is in the store, so a restart continues where it was. An event that was being sent when the process died is
 * sent again, as the same delivery.
 *
 * Its target may change at any time. An attempt under way still goes to the old target. If it fails, the store does
 * not count it, and the event is sent to the new target at once.
 */
export class Pusher {
  readonly #parts: PusherParts;
  readonly #id: number;
  readonly #name: string;
  readonly #leaseSecret: Uint8Array;
  /** The name under which this process claims the right to send. */
  readonly #sender = randomUUID();
  readonly #stopped = new AbortController();
  readonly #finished: Promise<void>;
  /** Whether the last attempt failed. */
  #isFailing = false;
  /** Aborted when the answer to the last claim may be out of date. */
  #changed = new AbortController();

  constructor(parts: PusherParts, { id, definition, secret }: GroupState) {
    this.#parts = parts;
    this.#id = id;
    this.#name = definition.name;
    this.#leaseSecret = secret;
    this.#finished = this.#run();
  }

  /** Makes it check the store at once: a pause began or ended, or the target changed. */
  changed(): void {
    this.#changed.abort();
  }

  /** Stops it and cuts off a request under way. Resolves when nothing is under way. */
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
        else if (claim.state.pausedBy !== null) await this.#rest(CLAIM_MS / 2);
        else await this.#next(claim.push);
      } catch (error) {
        if (error instanceof GroupGone || signal.aborted) break;
        log.error({ err: error, group: this.#name }, 'a webhook waits for the store');
        await this.#rest(STORE_FAULT_MS);
      }
    }
    // Spares another process waiting for the claim to run out. If the store fails, it has to wait.
    await steps.do('releasePush', this.#id, this.#sender).catch(() => undefined);
  }

  /** Waits this long, or until something changes. */
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
    // Both steps are requested in one turn, so that they share a transaction.
    if (failure === null) {
      const noted = this.#noteSuccess();
      await steps.do('acknowledge', this.#id, leases);
      await noted;
    } else if (signal.aborted) {
      // The stop cut it off, so it did not fail: the next start sends it again, as the same delivery.
      await steps.do('untake', this.#id, leases.takes[0]!);
    } else {
      await this.#fail(event, push, failure);
    }
  }

  /** Null if the target accepted it. */
  async #send(target: Push, { offset, json }: Delivered): Promise<Failure | null> {
    const sent = target.format === 'cloudevents' ? CLOUDEVENT : EVENT;
    const message = { id: this.#messageId(offset), body: sent.body(json), type: sent.type };
    const outcome = await this.#parts.sender.send(target, message, this.#stopped.signal);
    // An attempt that the stop cut off says nothing of the target.
    if (!('fault' in outcome && this.#stopped.signal.aborted))
      this.#parts.attempted(attemptOutcomeOf(outcome));
    if ('fault' in outcome)
      return { reason: outcome.fault.slice(0, REASON_CHARS_MAX), retryAfterMs: 0, isGone: false };
    const { status, retryAfter } = outcome;
    if (status >= 200 && status < 300) return null;
    const isRedirect = status >= 300 && status < 400;
    const reason = `HTTP ${status}${isRedirect ? ': redirects are not followed' : ''}`;
    return { reason, retryAfterMs: retryAfterMsOf(retryAfter), isGone: status === 410 };
  }

  /** The same at every attempt to send an event; different for every event, group and server. */
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
    if (failed?.state.pausedBy !== 'failures') return;
    log.warn(
      { group: this.#name, failure: reason, failingSince: new Date(failed.state.failingSinceMs ?? 0) },
      'a webhook is paused; POST /subscriptions/{name}/resume resumes it',
    );
  }
}

/** The two forms in which an event is sent: as it is read, and as a CloudEvent in structured mode. */
const EVENT = { type: 'application/json', body: (json: Uint8Array) => json };
const CLOUDEVENT = { type: 'application/cloudevents+json; charset=utf-8', body: cloudEventOf };

function attemptOutcomeOf(outcome: WebhookOutcome): AttemptOutcome {
  if ('fault' in outcome) return 'unanswered';
  return outcome.status >= 200 && outcome.status < 300 ? 'taken' : 'refused';
}

interface Failure {
  readonly reason: string;
  /** How long the target asks us to wait before retrying; 0 if it does not say. */
  readonly retryAfterMs: number;
  readonly isGone: boolean;
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterMsOf(text = ''): number {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return ms > 0 ? ms : 0;
}
