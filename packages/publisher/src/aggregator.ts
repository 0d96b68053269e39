import { setTimeout as sleep } from 'node:timers/promises';
import type { EventResult, Problem, PublishAnswer, StoredEvent } from '@chronicleweaver/protocol';
import pRetry from 'p-retry';

/**
 * The aggregator as this publisher sees it. Every request is tried again while trying again can help: after network
 * errors, timeouts, 408, 429 and 5xx, until `retryMs` have passed. Publishing twice is safe, since the aggregator
 * keeps each event once; that is why an answer that got lost needs no care here.
 */
export class Aggregator {
  readonly #baseUrl: string;
  readonly #limits: TimeLimits;

  constructor(baseUrl: string, limits: Partial<TimeLimits> = {}) {
    this.#baseUrl = baseUrl;
    this.#limits = { ...TIME_LIMITS, ...limits };
  }

  /**
   * Resolves when `GET /ready` answers 200; `onWait` is told after each answer that is another.
   * @throws RequestError after `readyMs`
   */
  async waitUntilReady(signal: AbortSignal, onWait: (reason: string) => void): Promise<void> {
    const { readyMs } = this.#limits;
    try {
      await pRetry(() => this.#attempt('GET', '/ready', undefined, signal, Math.min(readyMs, 5000)), {
        ...FOREVER,
        maxRetryTime: readyMs,
        minTimeout: 250,
        factor: 1,
        signal,
        onFailedAttempt: ({ error }) => {
          if (!signal.aborted) onWait(error.message);
        },
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RequestError)) throw error;
      throw new RequestError(`the aggregator was not ready within ${readyMs / 1000} s: ${error.message}`);
    }
  }

  /**
   * Publishes one body and returns the answer with the verdict of each event, and how long the attempt that was
   * answered took. `onRetry` is told before each further attempt.
   * @throws RequestError where it is refused for good or `retryMs` have passed
   */
  async publish(
    body: string,
    signal: AbortSignal,
    onRetry: (reason: string) => void,
  ): Promise<{ answer: VerdictAnswer; latencyMs: number }> {
    const path = '/publish?results=true';
    const { value, latencyMs } = await this.#request('POST', path, body, signal, onRetry);
    if (!isVerdictAnswer(value))
      throw new RequestError(`POST ${path} answered 200 without a verdict per event`);
    return { answer: value, latencyMs };
  }

  /** @throws RequestError */
  async stats(signal: AbortSignal): Promise<Stats> {
    const { value } = await this.#request('GET', '/stats', undefined, signal);
    if (!isStats(value)) throw new RequestError('GET /stats answered 200 without its counts');
    return value;
  }

  /** One page of a source's events of one topic with offsets above `after`. @throws RequestError */
  async page(topic: string, source: string, after: number | null, signal: AbortSignal): Promise<Page> {
    const query = new URLSearchParams({ topic, source, limit: String(PAGE_EVENTS) });
    if (after !== null) query.set('after', String(after));
    const path = `/events?${query.toString()}`;
    const { value } = await this.#request('GET', path, undefined, signal);
    if (!isPage(value)) throw new RequestError(`GET ${path} answered 200 without a page of events`);
    return value;
  }

  async #request(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal,
    onRetry?: (reason: string) => void,
  ): Promise<Answered> {
    const { retryMs, requestMs } = this.#limits;
    const giveUpAt = performance.now() + retryMs;
    let reason = '';
    try {
      return await pRetry(
        async (attempt) => {
          if (attempt > 1) onRetry?.(reason);
          return this.#attempt(method, path, body, signal, requestMs);
        },
        {
          ...FOREVER,
          maxRetryTime: retryMs,
          minTimeout: BACKOFF_MIN_MS,
          // p-retry adds its jitter below the cap only; a cap of its own for each request keeps them apart there too.
          maxTimeout: BACKOFF_MAX_MS * (1 + Math.random() / 2),
          randomize: true,
          signal,
          shouldRetry: ({ error }) => error instanceof RequestError && error.retryable,
          onFailedAttempt: async ({ error }) => {
            reason = error.message;
            if (!(error instanceof RequestError) || error.retryAfterMs === 0) return;
            if (performance.now() + error.retryAfterMs >= giveUpAt) {
              const asked = `it asks to wait ${error.retryAfterMs / 1000} s`;
              throw new RequestError(`${error.message}; ${asked}, longer than retries may still take`);
            }
            // The backoff comes on top, so that publishers who were refused together do not return together.
            await sleep(error.retryAfterMs, undefined, { signal });
          },
        },
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RequestError) || !error.retryable) throw error;
      throw new RequestError(`${error.message}; given up after retrying for ${retryMs / 1000} s`);
    }
  }

  async #attempt(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal,
    requestMs: number,
  ): Promise<Answered> {
    const start = performance.now();
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#baseUrl + path, {
        method,
        ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(requestMs)]),
      });
      text = await response.text();
    } catch (error) {
      signal.throwIfAborted();
      throw new RequestError(`${method} ${this.#baseUrl}${path}: ${describe(error, requestMs)}`, {
        retryable: true,
        cause: error,
      });
    }
    const latencyMs = performance.now() - start;

    const value = parseJson(text);
    if (response.ok) return { value, latencyMs };
    const { status } = response;
    const said = isProblem(value) ? describeProblem(value) : text.slice(0, 200) || response.statusText;
    throw new RequestError(`${method} ${this.#baseUrl}${path} answered ${status}: ${said}`, {
      retryable: status >= 500 || status === 429 || status === 408,
      retryAfterMs: readRetryAfter(response.headers.get('retry-after')),
    });
  }
}

/** A request that got no usable answer. The message is one line for the user. */
export class RequestError extends Error {
  override name = 'RequestError';
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** How long the aggregator asked to wait, 0 where it did not. */
  readonly retryAfterMs: number;

  constructor(message: string, about: { retryable?: boolean; retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, { cause: about.cause });
    this.retryable = about.retryable ?? false;
    this.retryAfterMs = about.retryAfterMs ?? 0;
  }
}

export interface TimeLimits {
  /** How long to wait for the aggregator to be ready before a run. */
  readyMs: number;
  /** How long one request is tried again, its last attempt not counted. */
  retryMs: number;
  /** How long one attempt may take, until its answer has been read. */
  requestMs: number;
}

const TIME_LIMITS: TimeLimits = { readyMs: 30_000, retryMs: 60_000, requestMs: 30_000 };
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 2000;
/** The bound is the time, never the number of attempts. */
const FOREVER = { retries: Number.POSITIVE_INFINITY };
const PAGE_EVENTS = 1000;

export type VerdictAnswer = PublishAnswer & { results: EventResult[] };

export interface Stats {
  received: number;
  unique_processed: number;
  duplicated_dropped: number;
}

export interface Page {
  events: StoredEvent[];
  next: number | null;
}

interface Answered {
  value: unknown;
  latencyMs: number;
}

function describe(error: unknown, requestMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${requestMs / 1000} s`;
  // fetch says only "fetch failed"; the reason is its cause, whose message is empty where two addresses failed.
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ('code' in cause ? String(cause.code) : error.message);
}

function describeProblem(problem: Problem): string {
  const first = problem.errors?.[0];
  if (first === undefined) return problem.detail;
  const where = [
    ...(first.index === null ? [] : [`event ${first.index}`]),
    ...(first.field === null ? [] : [first.field]),
  ].join(', ');
  return `${problem.detail} (${where === '' ? '' : `${where}: `}${first.message})`;
}

/** Retry-After, RFC 9110 section 10.2.3: seconds or a date. What is neither counts as not there. */
function readRetryAfter(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return ms > 0 ? ms : 0;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is not JSON fails the check of the answer's form, which knows better what to say about it.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isProblem(value: unknown): value is Problem {
  if (!isRecord(value) || typeof value['detail'] !== 'string') return false;
  const errors = value['errors'];
  return errors === undefined || (Array.isArray(errors) && errors.every(isRecord));
}

function isStats(value: unknown): value is Stats {
  return (
    isRecord(value) &&
    [value['received'], value['unique_processed'], value['duplicated_dropped']].every(isCount)
  );
}

function isVerdictAnswer(value: unknown): value is VerdictAnswer {
  if (!isRecord(value) || !Array.isArray(value['results'])) return false;
  const counts = [value['events_count'], value['accepted'], value['duplicates'], value['conflicts']];
  return counts.every(isCount) && value['results'].every(isResult);
}

function isResult(value: unknown): value is EventResult {
  return (
    isRecord(value) &&
    typeof value['event_id'] === 'string' &&
    typeof value['topic'] === 'string' &&
    (value['verdict'] === 'accepted' ||
      value['verdict'] === 'duplicate' ||
      value['verdict'] === 'conflict') &&
    isCount(value['offset'])
  );
}

function isPage(value: unknown): value is Page {
  if (!isRecord(value) || !Array.isArray(value['events'])) return false;
  const next = value['next'];
  if (next !== null && !isCount(next)) return false;
  // The other fields are compared with what was sent, whatever their type has become.
  return value['events'].every(
    (event) => isRecord(event) && typeof event['event_id'] === 'string' && isCount(event['offset']),
  );
}
