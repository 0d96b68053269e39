import { type Query, addressOf } from './address.ts';
import { parsed, problemOf, reasonOf } from './answer.ts';
import { ChronicleWeaverError, ConnectionError, ProblemError } from './errors.ts';
import { type Linked, linkSignals, startRetryTime } from './signals.ts';

/** How requests are made. Everything but `url` is optional; defaults are in parentheses. */
export interface TransportOptions {
  /** Where the service is, such as `http://localhost:8000`. A path is kept, since a proxy may need one. */
  url: string | URL;
  /** The secret of an API key, sent as `Authorization: Bearer`. */
  key?: string | undefined;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** How long one attempt may take until its whole answer is read, milliseconds (30,000). */
  requestMs?: number | undefined;
  /**
   * How long a request is retried, not counting its last attempt, milliseconds (60,000); may be Infinity. Time during
   * which the event loop is blocked does not count.
   */
  retryMs?: number | undefined;
  /** The longest wait before the first retry, milliseconds (100); doubles with each retry up to `backoffMaxMs` (10,000). */
  backoffMinMs?: number | undefined;
  backoffMaxMs?: number | undefined;
  /** Called before each retry. */
  onRetry?: ((retry: Retry) => void) | undefined;
}

export interface Retry {
  /** Why the last attempt failed. */
  readonly error: ChronicleWeaverError;
  /** Attempts made so far, from 1. */
  readonly attempts: number;
}

/** What a request has besides method and path. */
export interface RequestOptions extends CallOptions {
  query?: Query;
  /** Sent as JSON; a string is taken as JSON text and sent as is. */
  body?: unknown;
}

export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** These replace the client's own for this call. */
  requestMs?: number | undefined;
  retryMs?: number | undefined;
  onRetry?: ((retry: Retry) => void) | undefined;
}

/**
 * Speaks HTTP with one service. A request is retried while that can help: after network errors, timeouts, 408, 429 and
 * 5xx, until `retryMs` have passed. That is safe for every request, since the service stores each event once.
 */
export class Transport {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;
  readonly #limits: { requestMs: number; retryMs: number; backoffMinMs: number; backoffMaxMs: number };
  readonly #onRetry: ((retry: Retry) => void) | undefined;
  readonly #ended: AbortSignal;

  /** @param ended once this fires, requests under way end and new ones are refused, both with its reason */
  constructor(options: TransportOptions, ended: AbortSignal) {
    const { key, requestMs = 30_000, retryMs = 60_000, backoffMinMs = 100, backoffMaxMs = 10_000 } = options;
    const { href, protocol, search, hash, username } = new URL(options.url);
    if (!/^https?:$/.test(protocol) || search || hash || username) {
      throw new TypeError('url must be http(s), with no query, fragment or user');
    }
    this.#base = href.replace(/\/+$/, '');
    this.#headers = { ...options.headers, ...(key !== undefined && { authorization: `Bearer ${key}` }) };
    // Refuses here, and not with every request, what no header can hold.
    void new Headers(this.#headers);
    // Called without an object: in browsers the `this` of fetch must be the window or undefined.
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#limits = { requestMs, retryMs, backoffMinMs, backoffMaxMs };
    this.#onRetry = options.onRetry;
    this.#ended = ended;
  }

  /**
   * Makes the request, with retries, and returns the parsed JSON of the answer; undefined if the answer is empty.
   * @throws ProblemError, ConnectionError, or ChronicleWeaverError `unexpected_answer`
   */
  async request(method: string, path: string, options?: RequestOptions): Promise<unknown> {
    const { text } = await this.text(method, path, options);
    return text === '' ? undefined : parsed(`${method} ${this.#base}${path}`, text, JSON.parse);
  }

  /** Does the same, but returns the text of the answer as it came. */
  async text(
    method: string,
    path: string,
    options: RequestOptions & { accept?: string } = {},
  ): Promise<{ text: string; headers: Headers }> {
    const { requestMs = this.#limits.requestMs, accept = 'application/json', body, query, signal } = options;
    const url = this.#base + addressOf(path, query);
    const headers: Record<string, string> = { accept, ...this.#headers };
    const init: RequestInit = { method, headers };
    if (body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = typeof body === 'string' ? body : JSON.stringify(body);
    }
    return this.#retrying(() => this.#attempt(url, init, signal, requestMs), options);
  }

  /** Makes attempts until one succeeds, another could not help, or the time for retries is over. */
  async #retrying<T>(attempt: () => Promise<T>, options: CallOptions): Promise<T> {
    const { signal, retryMs = this.#limits.retryMs, onRetry = this.#onRetry } = options;
    const retryTime = startRetryTime(retryMs);
    try {
      for (let attempts = 1; ; attempts++) {
        try {
          return await attempt();
        } catch (error) {
          // The signal's reason may itself be the error of another request.
          if (signal?.aborted === true || !isRetryable(error)) throw error;
          const waitMs = this.#backoffMs(attempts, error);
          if (waitMs >= retryTime.leftMs) {
            error.message += `; given up after attempt ${attempts}`;
            throw error;
          }
          await this.#sleep(waitMs, signal);
          onRetry?.({ error, attempts });
        }
      }
    } finally {
      retryTime.stop();
    }
  }

  /**
   * Yields the text of an endless answer as it comes; `opened` is called once, before the first piece. There are no
   * retries here: only the reader knows where to resume.
   * @throws ProblemError, or ConnectionError if the stream ends, breaks, or is silent for `quietMs`
   */
  async *stream(
    path: string,
    query: Query,
    quietMs: number,
    signal: AbortSignal | undefined,
    opened: (headers: Headers) => void,
  ): AsyncGenerator<string> {
    const linked = linkSignals(signal, this.#ended);
    const request = `GET ${this.#base}${path}`;
    try {
      linked.setTimeout(this.#limits.requestMs);
      const response = await this.#fetch(this.#base + addressOf(path, query), {
        headers: this.#headers,
        signal: linked.signal,
      });
      if (!response.ok || response.body === null) throw problemOf(request, response, await response.text());
      opened(response.headers);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        linked.setTimeout(quietMs);
        const { done, value } = await reader.read();
        linked.setTimeout(Infinity);
        if (done) throw new Error('the stream ended');
        yield value;
      }
    } catch (error) {
      throw this.#failureOf(request, error, linked, signal);
    } finally {
      linked.release();
    }
  }

  /** Whether the client is closed. */
  get isEnded(): boolean {
    return this.#ended.aborted;
  }

  /** Waits before the next attempt, after this many. */
  async retry(attempts: number, error: ChronicleWeaverError, signal: AbortSignal | undefined): Promise<void> {
    await this.#sleep(this.#backoffMs(attempts, error), signal);
    this.#onRetry?.({ error, attempts });
  }

  /**
   * How long to wait after this many attempts: a random time below a bound that doubles ("full jitter"), so that clients
   * that failed together do not come back together. It is added to the wait that the server asked for.
   */
  #backoffMs(attempts: number, error: ChronicleWeaverError): number {
    const { backoffMinMs, backoffMaxMs } = this.#limits;
    const asked = error instanceof ProblemError ? error.retryAfterMs : 0;
    return asked + Math.random() * Math.min(backoffMaxMs, backoffMinMs * 2 ** (attempts - 1));
  }

  /** @throws the signal's reason, or that of the closed client, if either comes first */
  async #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const linked = linkSignals(signal, this.#ended);
    try {
      linked.signal.throwIfAborted();
      linked.setTimeout(ms, 0);
      await new Promise((resolve) => linked.signal.addEventListener('abort', resolve));
      if (!linked.isTimedOut) throw linked.signal.reason;
    } finally {
      linked.release();
    }
  }

  async #attempt(
    url: string,
    init: RequestInit,
    signal: AbortSignal | undefined,
    requestMs: number,
  ): Promise<{ text: string; headers: Headers }> {
    const linked = linkSignals(signal, this.#ended);
    const request = `${init.method} ${url.split('?')[0]}`;
    try {
      linked.setTimeout(requestMs);
      const response = await this.#fetch(url, { ...init, signal: linked.signal });
      const text = await response.text();
      if (!response.ok) throw problemOf(request, response, text);
      return { text, headers: response.headers };
    } catch (error) {
      throw this.#failureOf(request, error, linked, signal);
    } finally {
      linked.release();
    }
  }

  /** What to throw when an attempt or a stream has failed with this error. */
  #failureOf(request: string, error: unknown, linked: Linked, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    if (this.#ended.aborted) return this.#ended.reason;
    if (error instanceof ChronicleWeaverError) return error;
    // fetch reports a network error as a TypeError. It stays one even if the timeout fires before we get to see it.
    return linked.isTimedOut && !(error instanceof TypeError)
      ? new ConnectionError('timeout', `${request}: no answer in time`, error)
      : new ConnectionError('unreachable', `${request}: ${reasonOf(error)}`, error);
  }
}

export function isRetryable(error: unknown): error is ChronicleWeaverError {
  return error instanceof ChronicleWeaverError && error.retryable;
}
