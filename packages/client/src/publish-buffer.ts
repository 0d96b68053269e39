import type { EventResult } from '@chronicleweaver/protocol';
import { ChronicleWeaverError, ProblemError } from './errors.ts';
import { unlessAborted } from './signals.ts';

/**
 * Gathers what is published into requests.
 *
 * In come calls, each of one or more events as JSON text; out go batches of whole calls, and each call gets the
 * verdicts of its own events. A call is *buffered* until a batch takes it, then *in flight*, then *settled*: resolved,
 * refused, or given up by its signal. A batch leaves when it is full, when its oldest call has waited `batchDelayMs`,
 * or on a flush, and while fewer than `concurrency` are in flight; what comes meanwhile makes the next one larger.
 *
 * The service refuses a batch as a whole. So where it names the events at fault their calls are refused and the others
 * sent again; where it names none, halves are sent, until the one at fault is alone.
 *
 * Invariants: a call is split only where the service says it is too large; batches leave in the order of the calls;
 * `#events` and `#bytes` count the calls that are not settled, `#bufferedEvents` and `#bufferedBytes` those of
 * them that no batch took yet.
 */
export class PublishBuffer {
  readonly #limits: BufferLimits;
  readonly #send: Send;
  readonly #buffered: Call[] = [];
  #bufferedEvents = 0;
  #bufferedBytes = 0;
  readonly #unsettled = new Set<Call>();
  /** A signal has one listener for all its calls: each further one takes longer to add. */
  readonly #bySignal = new Map<AbortSignal, Set<Call>>();
  readonly #onAbort = ({ target }: Event): void => {
    const signal = target as AbortSignal;
    for (const call of this.#bySignal.get(signal) ?? []) this.#giveUp(call, signal.reason);
  };
  #events = 0;
  #bytes = 0;
  #inFlight = 0;
  /** Something buffered has waited long enough, so all that is buffered may leave. */
  #isDue = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #roomWaiters: (() => void)[] = [];

  constructor(limits: BufferLimits, send: Send) {
    for (const [name, value] of Object.entries(limits)) {
      const min = name === 'batchDelayMs' ? 0 : 1;
      if (name !== 'whenFull' && !(value >= min)) throw new TypeError(`${name} takes a number from ${min}`);
    }
    this.#limits = limits;
    this.#send = send;
  }

  /** Takes one event or more, as JSON texts; resolves with their verdicts, in their order. */
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

  /** Sends what is buffered without delay and resolves when all of it is settled, well or not. */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    this.#isDue = true;
    this.#pump();
    await unlessAborted(Promise.allSettled([...this.#unsettled].map((call) => call.verdicts)), signal);
  }

  /** Resolves as soon as the buffer is not full. */
  async room(signal: AbortSignal | undefined): Promise<void> {
    while (this.#isFull) {
      await unlessAborted(new Promise<void>((resolve) => this.#roomWaiters.push(resolve)), signal);
    }
  }

  /** Rejects all that is not settled. */
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

  /** Takes the calls of the next batch out of the buffer; undefined where more may still join them. */
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
    const batch = new Batch(calls);
    await this.#sendParts(
      calls.map((call) => ({ call, from: 0, to: call.texts.length })),
      batch.signal,
    );
    this.#inFlight--;
    this.#pump();
  }

  /** Never rejects: whatever happens is told to the calls. */
  async #sendParts(parts: readonly Part[], signal: AbortSignal): Promise<void> {
    const live = parts.filter(({ call }) => !call.isSettled);
    if (live.length === 0) return;
    const texts = live.flatMap(({ call, from, to }) => call.texts.slice(from, to));
    let results: EventResult[];
    try {
      results = await this.#send(`{"events":[${texts.join(',')}]}`, texts.length, signal);
    } catch (error) {
      for (const rest of this.#divide(live, error)) await this.#sendParts(rest, signal);
      return;
    }
    let at = 0;
    for (const { call, from, to } of live) {
      call.resolve(from, results.slice(at, at + to - from));
      at += to - from;
    }
  }

  /** Rejects the calls that are at fault and returns the parts that are worth sending again, in the batches to send. */
  #divide(parts: readonly Part[], error: unknown): Part[][] {
    if (error instanceof ProblemError) {
      const others: Part[] = [];
      let at = 0;
      for (const part of parts) {
        const { call, from, to } = part;
        // oxlint-disable-next-line no-loop-func
        const own = error.errors.flatMap((fault) => {
          const index = (fault.index ?? -1) - at;
          return index >= 0 && index < to - from ? [{ ...fault, index: from + index }] : [];
        });
        at += to - from;
        if (own.length > 0) call.reject(error.narrowedTo(own));
        else others.push(part);
      }
      if (others.length < parts.length) return others.length > 0 ? [others] : [];
      if (parts.length > 1 && CONTENT_REFUSED.has(error.status)) return halves(parts);
      const { call, from, to } = parts[0]!;
      const middle = (from + to) >> 1;
      if (error.status === 413 && middle > from) {
        return [[{ call, from, to: middle }], [{ call, from: middle, to }]];
      }
    }
    for (const { call } of parts) call.reject(error);
    return [];
  }
}

export interface BufferLimits {
  /** A batch is sent once it has so many events… */
  readonly batchEventsMax: number;
  /** …or so many bytes of JSON, or its oldest call is so old. A call that has more makes a batch of its own. */
  readonly batchBytesMax: number;
  readonly batchDelayMs: number;
  /** Batches in flight at once. Only with 1 are events stored in the order in which they were published. */
  readonly concurrency: number;
  /** The buffer is full from so many events or bytes on that have no answer yet. */
  readonly bufferEventsMax: number;
  readonly bufferBytesMax: number;
  /** Whether a call then waits its turn, or is rejected with `buffer_full`. */
  readonly whenFull: 'wait' | 'reject';
}

/** Publishes a body of `count` events and resolves with as many verdicts. */
type Send = (body: string, count: number, signal: AbortSignal) => Promise<EventResult[]>;

/** Refusals that are about what was sent, so that a part of it may be taken. */
const CONTENT_REFUSED: ReadonlySet<number> = new Set([413, 422]);

/** Events of one call from `from` to below `to`. */
interface Part {
  readonly call: Call;
  readonly from: number;
  readonly to: number;
}

class Call {
  readonly texts: readonly string[];
  readonly bytes: number;
  readonly verdicts: Promise<EventResult[]>;
  isSettled = false;
  batch: Batch | undefined;
  readonly #results: EventResult[] = [];
  #missing: number;
  // The promise's constructor sets both.
  #resolve!: (results: EventResult[]) => void;
  #reject!: (reason: unknown) => void;

  constructor(texts: readonly string[]) {
    this.texts = texts;
    this.bytes = texts.reduce((sum, text) => sum + ENCODER.encode(text).length, 0);
    this.#missing = texts.length;
    this.verdicts = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  resolve(from: number, results: readonly EventResult[]): void {
    for (const [i, result] of results.entries()) this.#results[from + i] = result;
    this.#missing -= results.length;
    if (this.#missing > 0) return;
    this.isSettled = true;
    this.#resolve(this.#results);
  }

  reject(reason: unknown): void {
    this.isSettled = true;
    this.#reject(reason);
  }
}

/** Calls that travel together. When the last of them was given up, so is the request. */
class Batch {
  readonly #calls: readonly Call[];
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;

  constructor(calls: readonly Call[]) {
    this.#calls = calls;
    for (const call of calls) call.batch = this;
  }

  endIfSettled(): void {
    if (this.#calls.every(({ isSettled }) => isSettled)) this.#controller.abort();
  }
}

const ENCODER = new TextEncoder();

function halves<T>(list: readonly T[]): T[][] {
  const middle = list.length >> 1;
  return [list.slice(0, middle), list.slice(middle)];
}
