import type { EventResult } from '@chronicleweaver/protocol';
import { ProblemError } from './errors.ts';

/**
 * Calls whose events are sent together.
 *
 * The service refuses a batch as a whole. If it names the events at fault, their calls are refused and the others sent
 * again. If it names none, the batch is halved until the call at fault is alone. When every call is settled before the
 * answer, because their signals gave them up, the request is aborted.
 */
export class Batch {
  readonly #calls: readonly Call[];
  readonly #send: Send;
  readonly #ended = new AbortController();

  constructor(calls: readonly Call[], send: Send) {
    this.#calls = calls;
    this.#send = send;
    for (const call of calls) call.batch = this;
  }

  /** Sends the events and settles each call. Never rejects. */
  deliver(): Promise<void> {
    return this.#deliver(this.#calls.map((call) => ({ call, from: 0, to: call.texts.length })));
  }

  endIfSettled(): void {
    if (this.#calls.every(({ isSettled }) => isSettled)) this.#ended.abort();
  }

  async #deliver(parts: readonly Part[]): Promise<void> {
    const live = parts.filter(({ call }) => !call.isSettled);
    if (live.length === 0) return;
    const texts = live.flatMap(({ call, from, to }) => call.texts.slice(from, to));
    let results: EventResult[];
    try {
      results = await this.#send(`{"events":[${texts.join(',')}]}`, texts.length, this.#ended.signal);
    } catch (error) {
      for (const rest of divide(live, error)) await this.#deliver(rest);
      return;
    }
    let at = 0;
    for (const { call, from, to } of live) {
      call.resolve(from, results.slice(at, at + to - from));
      at += to - from;
    }
  }
}

/** Publishes a body of `count` events and resolves with as many verdicts. */
export type Send = (body: string, count: number, signal: AbortSignal) => Promise<EventResult[]>;

/** The events of one call from index `from` up to, but not including, `to`. */
interface Part {
  readonly call: Call;
  readonly from: number;
  readonly to: number;
}

/** Refusals of the content, so a part of it may be accepted. */
const CONTENT_REFUSED: ReadonlySet<number> = new Set([413, 422]);

/** Rejects the calls at fault and returns the parts to send again, one list for each request. */
function divide(parts: readonly Part[], error: unknown): (readonly Part[])[] {
  if (error instanceof ProblemError) {
    const others = withoutFaulty(parts, error);
    if (others.length < parts.length) return [others];
    if (parts.length > 1 && CONTENT_REFUSED.has(error.status)) {
      return [parts.slice(0, parts.length >> 1), parts.slice(parts.length >> 1)];
    }
    const { call, from, to } = parts[0]!;
    const middle = (from + to) >> 1;
    if (error.status === 413 && middle > from) {
      return [[{ call, from, to: middle }], [{ call, from: middle, to }]];
    }
  }
  for (const { call } of parts) call.reject(error);
  return [];
}

/** Rejects the calls whose events the error names, each with the faults of its own events, and returns the others. */
function withoutFaulty(parts: readonly Part[], error: ProblemError): Part[] {
  let end = 0;
  return parts.filter(({ call, from, to }) => {
    const start = end;
    end += to - from;
    const own = error.errors.flatMap((fault) => {
      const index = fault.index ?? -1;
      return index >= start && index < end ? [{ ...fault, index: index - start + from }] : [];
    });
    if (own.length > 0) call.reject(error.narrowedTo(own));
    return own.length === 0;
  });
}

const ENCODER = new TextEncoder();

/** One call to `publish`: its events as JSON texts, and the promise of their verdicts. */
export class Call {
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
