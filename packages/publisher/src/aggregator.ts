import { ChronicleWeaver, ChronicleWeaverError } from '@chronicleweaver/client';
import type { EventResult, PublishAnswer, StoredEvent } from '@chronicleweaver/protocol';
import type { Options } from './options.ts';

/**
 * The aggregator as this publisher sees it: the client's requests, each retried while that can help, with every
 * answer checked closely, because it is judged. The publisher makes its own batches and does not leave that to the
 * client.
 */
export class Aggregator {
  readonly #client: ChronicleWeaver;
  readonly #limits: TimeLimits;

  constructor({ baseUrl, key }: Pick<Options, 'baseUrl' | 'key'>, limits: Partial<TimeLimits> = {}) {
    this.#limits = { ...TIME_LIMITS, ...limits };
    const { requestMs, retryMs } = this.#limits;
    this.#client = new ChronicleWeaver({
      url: baseUrl,
      key,
      requestMs,
      retryMs,
      backoffMaxMs: BACKOFF_MAX_MS,
    });
  }

  /**
   * Resolves when `GET /ready` answers 200; calls `onWait` after every other answer.
   * @throws ChronicleWeaverError after `readyMs`, or if it will never be ready
   */
  async waitUntilReady(signal: AbortSignal, onWait: (reason: string) => void): Promise<void> {
    const { readyMs } = this.#limits;
    try {
      await this.#client.request('GET', '/ready', {
        signal,
        retryMs: readyMs,
        requestMs: Math.min(readyMs, 5000),
        onRetry: ({ error }) => onWait(error.message),
      });
    } catch (error) {
      if (!(error instanceof ChronicleWeaverError) || !error.retryable) throw error;
      const message = `the aggregator was not ready within ${readyMs / 1000} s: ${error.message}`;
      throw new ChronicleWeaverError(error.code, message, error);
    }
  }

  /**
   * Publishes one body. Returns the answer with the verdict on each event, and how long the answered attempt took.
   * Calls `onRetry` before each further attempt.
   * @throws ChronicleWeaverError if it is refused for good or `retryMs` have passed
   */
  async publish(
    body: string,
    signal: AbortSignal,
    onRetry: (reason: string) => void,
  ): Promise<{ answer: VerdictAnswer; latencyMs: number }> {
    let start = performance.now();
    const answer = await this.#client.request('POST', '/publish', {
      query: { results: true },
      body,
      signal,
      onRetry({ error }) {
        onRetry(error.message);
        start = performance.now();
      },
    });
    const latencyMs = performance.now() - start;
    if (!isVerdictAnswer(answer)) throw unexpected('POST /publish', 'a verdict per event');
    return { answer, latencyMs };
  }

  /** @throws ChronicleWeaverError */
  async stats(signal: AbortSignal): Promise<Stats> {
    const answer = await this.#client.request('GET', '/stats', { signal });
    if (!isStats(answer))
      throw unexpected('GET /stats', 'its counts; a key with topics of its own does not get them');
    return answer;
  }

  /** One page of a source's events on one topic, with offsets above `after`. @throws ChronicleWeaverError */
  async page(topic: string, source: string, after: number | null, signal: AbortSignal): Promise<Page> {
    const query = { topic, source, limit: PAGE_EVENTS, after: after ?? undefined };
    const answer = await this.#client.request('GET', '/events', { query, signal });
    if (!isPage(answer)) throw unexpected('GET /events', 'a page of events');
    return answer;
  }
}

export interface TimeLimits {
  /** How long to wait for the aggregator to be ready before a run. */
  readyMs: number;
  /** How long one request is retried, not counting its last attempt. */
  retryMs: number;
  /** How long one attempt may take until its answer has been read. */
  requestMs: number;
}

const TIME_LIMITS: TimeLimits = { readyMs: 30_000, retryMs: 60_000, requestMs: 30_000 };
const BACKOFF_MAX_MS = 2000;
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

function unexpected(request: string, what: string): ChronicleWeaverError {
  return new ChronicleWeaverError('unexpected_answer', `${request} answered 200 without ${what}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
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
  // The other fields are compared with what was sent, whatever their types are.
  return value['events'].every(
    (event) => isRecord(event) && typeof event['event_id'] === 'string' && isCount(event['offset']),
  );
}
