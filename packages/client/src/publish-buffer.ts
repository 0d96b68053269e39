import type { EventResult } from '@chronicleweaver/protocol';
import { ChronicleWeaverError } from './errors.ts';
import { Batch, Call, type Send } from './publish-batch.ts';
import { unlessAborted } from './signals.ts';

/**
 * Gathers what is published into requests.
 *
 * In: calls, each with one or more events as JSON text. Out: batches of whole calls; each call gets the verdicts of its
 * own events. A call is *buffered* until a batch takes it, then *in flight*, then *settled*: resolved, refused, or given
 * up by its signal. A batch leaves when it is full, when its oldest call has waited `batchDelayMs`, or on a flush, but
 * only while fewer than `concurrency` are in flight; calls that come meanwhile make the next batch larger.
 *
 * Invariants: a call is split only if the service says that it is too large. Batches leave in the order of the calls.
 * `#events` and `#bytes` count the calls that are not settled, `#bufferedEvents` and `#bufferedBytes` those among them
 * that no batch has taken yet.
 */
export class PublishBuffer {
  readonly #limits: BufferLimits;
  readonly #send: Send;
  readonly #buffered: Call[] = [];
  #bufferedEvents = 0;
  #bufferedBytes = 0;
  readonly #unsettled = new Set<Call>();
  /** A signal gets one listener for all its calls, because each further listener takes longer to add. */
  readonly #bySignal = new Map<AbortSignal, Set<Call>>();
  readonly #onAbort = ({ target }: Event): void => {
    const signal = target as AbortSignal;
    for (const call of this.#bySignal.get(signal) ?? []) this.#giveUp(call, signal.reason);
  };
  #events = 0;
  #bytes = 0;
  #inFlight = 0;
  /** Some buffered call has waited long enough, so everything buffered may leave. */
  #isDue = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #roomWaiters: (() => void)[] = [];

  constructor(limits: BufferLimits, send: Send) {
    for (const [name, value] of Object.entries(limits)) {
      const min = name === 'batchDelayMs' ? 0 : 1;
      if (name !== 'whenFull' && !(value >= min)) throw new TypeError(`${name} must be at least ${min}`);
    }
    this.#limits = limits;
    this.#send = send;
  }

  /** Takes one or more events as JSON texts, and resolves with their verdicts in the same order. */
  async publish(texts: readonly string[], signal: AbortSignal | undefined): Promise<EventResult[]> {
    signal?.throwIfAborted();
    if (this.#isFull && this.#limits.whenFull === 'reject') {
      throw new ChronicleWeaverError('buffer_full', 'the buffer is full');
    }
    const call = new Call(texts);
    this.#unsettled.add(call);
    this.#events += texts.length;
    this.#bytes += call.bytes;
    this.#buffered.push(call);
    this.#bufferedEvents += texts.length;
    this.#bufferedBytes += call.bytes;
    if (signal !== undefined) this.#watch(signal, call);
    this.#pump();
    try {
      return await call.verdicts;
    } finally {
      if (signal !== undefined) this.#unwatch(signal, call);
      this.#unsettled.delete(call);
      this.#events -= texts.length;
      this.#bytes -= call.bytes;
      if (!this.#isFull) for (const go of this.#roomWaiters.splice(0)) go();
    }
  }

  /** Sends what is buffered without delay, and resolves once every call is settled, successfully or not. */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    this.#isDue = true;
    this.#pump();
    await unlessAborted(Promise.allSettled([...this.#unsettled].map((call) => call.verdicts)), signal);
  }

  /** Resolves as soon as the buffer has room. */
  async room(signal: AbortSignal | undefined): Promise<void> {
    while (this.#isFull) {
      await unlessAborted(new Promise<void>((resolve) => this.#roomWaiters.push(resolve)), signal);
    }
  }

  /** Rejects every call that is not settled. */
  rejectAll(reason: unknown): void {
    for (const call of this.#unsettled) this.#giveUp(call, reason);
  }

  #watch(signal: AbortSignal, call: Call): void {
    const calls = this.#bySignal.get(signal) ?? new Set();
    this.#bySignal.set(signal, calls.add(call));
    signal.addEventListener('abort', this.#onAbort);
  }

  #unwatch(signal: AbortSignal, call: Call): void {
    const calls = this.#bySignal.get(signal);
    calls?.delete(call);
    if (calls?.size !== 0) return;
    this.#bySignal.delete(signal);
    signal.removeEventListener('abort', this.#onAbort);
  }

  #giveUp(call: Call, reason: unknown): void {
    call.reject(reason);
    if (call.batch === undefined) this.#take(this.#buffered.indexOf(call), 1);
    else call.batch.endIfSettled();
  }

  get #isFull(): boolean {
    return this.#events >= this.#limits.bufferEventsMax || this.#bytes >= this.#limits.bufferBytesMax;
  }

  #pump(): void {
    while (this.#buffered.length > 0 && this.#inFlight < this.#limits.concurrency) {
      const calls = this.#nextBatch();
      if (calls === undefined) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#isDue = true;
          this.#pump();
        }, this.#limits.batchDelayMs);
        return;
      }
      this.#inFlight++;
      void this.#deliver(calls);
    }
    if (this.#buffered.length > 0) return;
    this.#isDue = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Takes the calls of the next batch out of the buffer; returns undefined while more may still join them. */
  #nextBatch(): Call[] | undefined {
    const { batchEventsMax, batchBytesMax } = this.#limits;
    const isFull = this.#bufferedEvents >= batchEventsMax || this.#bufferedBytes >= batchBytesMax;
    if (!isFull && !this.#isDue) return undefined;
    let events = 0;
    let bytes = 0;
    const end = this.#buffered.findIndex((call, i) => {
      events += call.texts.length;
      bytes += call.bytes;
      return i > 0 && (events > batchEventsMax || bytes > batchBytesMax);
    });
    return this.#take(0, end === -1 ? this.#buffered.length : end);
  }

  #take(start: number, count: number): Call[] {
    const calls = this.#buffered.splice(start, count);
    for (const { texts, bytes } of calls) {
      this.#bufferedEvents -= texts.length;
      this.#bufferedBytes -= bytes;
    }
    return calls;
  }

  async #deliver(calls: Call[]): Promise<void> {
    await new Batch(calls, this.#send).deliver();
    this.#inFlight--;
    this.#pump();
  }
}

export interface BufferLimits {
  /** A batch is sent once it has this many events… */
  readonly batchEventsMax: number;
  /** …or this many bytes of JSON, or its oldest call is this old. A call that exceeds them is a batch of its own. */
  readonly batchBytesMax: number;
  readonly batchDelayMs: number;
  /** Batches in flight at once. Only with 1 are events stored in the order in which they were published. */
  readonly concurrency: number;
  /** The buffer is full once this many events or bytes have no answer yet. */
  readonly bufferEventsMax: number;
  readonly bufferBytesMax: number;
  /** Whether a call then waits its turn or is rejected with `buffer_full`. */
  readonly whenFull: 'wait' | 'reject';
}
