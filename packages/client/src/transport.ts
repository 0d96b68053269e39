import { type Query, addressOf } from './address.ts';
import { parsed, problemOf, reasonOf } from './answer.ts';
import { ChronicleWeaverError, ConnectionError, ProblemError } from './errors.ts';
import { type Linked, linkSignals, startRetryTime } from './signals.ts';

/** How requests are made. All but `url` may be left out. */
export interface TransportOptions {
  /** Where the service is, like `http://localhost:8000`; a path is kept, as a proxy may want one. */
  url: string | URL;
  /** An API key's secret, sent as `Authorization: Bearer`. */
  key?: string | undefined;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Takes the place of the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** How long one attempt may take until its answer is read, milliseconds (30,000). */
  requestMs?: number | undefined;
  /**
   * How long a request is tried again, its last attempt not counted, milliseconds (60,000); may be Infinity. Time during
   * which the event loop is blocked does not count.
   */
  retryMs?: number | undefined;
  /** The longest wait before the first retry (100), doubled for each further one up to `backoffMaxMs` (10,000). */
  backoffMinMs?: number | undefined;
  backoffMaxMs?: number | undefined;
  /** Told before each further attempt. */
  onRetry?: ((retry: Retry) => void) | undefined;
}

export interface Retry {
  /** Why the last attempt was of no use. */
  readonly error: ChronicleWeaverError;
  /** Attempts made so far, from 1. */
  readonly attempts: number;
}

/** What one request asks beside method and path. */
export interface RequestOptions extends CallOptions {
  query?: Query;
  /** Sent as JSON; a string is JSON already. */
  body?: unknown;
}

export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** In place of the client's own. */
  requestMs?: number | undefined;
  retryMs?: number | undefined;
  onRetry?: ((retry: Retry) => void) | undefined;
}

/**
 * Speaks HTTP with one service. A request is tried again while that can help: after network errors, timeouts, 408, 429
 * and 5xx, until `retryMs` have passed. That is safe for all there is, since the service keeps each event once.
 */
export class Transport {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;
  readonly #limits: { requestMs: number; retryMs: number; backoffMinMs: number; backoffMaxMs: number };
  readonly #onRetry: ((retry: Retry) => void) | undefined;
  readonly #ended: AbortSignal;

  /** @param ended once it fires every request is refused with its reason, and those under way are ended */
  constructor(options: TransportOptions, ended: AbortSignal) {
    const { key, requestMs = 30_000, retryMs = 60_000, backoffMinMs = 100, backoffMaxMs = 10_000 } = options;
    const { href, protocol, search, hash, username } = new URL(options.url);
    if (!/^https?:$/.test(protocol) || search || hash || username) {
      throw new TypeError('url takes http(s), no query, fragment or user');
    }
    this.#base = href.replace(/\/+$/, '');
    this.#headers = { ...options.headers, ...(key !== undefined && { authorization: `Bearer ${key}` }) };
    // What no header can hold is refused here, and not by every request.
    void new Headers(this.#headers);
    // Called without an object: browsers want fetch's `this` to be the window or nothing.
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#limits = { requestMs, retryMs, backoffMinMs, backoffMaxMs };
    this.#onRetry = options.onRetry;
    this.#ended = ended;
  }

  /**
   * Makes the request, again where needed, and returns what its JSON answer says; undefined where it is empty.
   * @throws ProblemError, ConnectionError, or ChronicleWeaverError `unexpected_answer`
   */
  async request(method: string, path: string, options?: RequestOptions): Promise<unknown> {
    const { text } = await this.text(method, path, options);
    return text === '' ? undefined : parsed(`${method} ${this.#base}${path}`, text, JSON.parse);
  }

  /** The same, with the answer as it came. */
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

  /** Makes attempts until one succeeds, no other can help, or the time for retries is over. */
  async #retrying<T>(attempt: () => Promise<T>, options: CallOptions): Promise<T> {
    const { signal, retryMs = this.#limits.retryMs, onRetry = this.#onRetry } = options;
    const retryTime = startRetryTime(retryMs);
    try {
      for (let attempts = 1; ; attempts++) {
        try {
          return await attempt();
        } catch (error) {
          // The reason of a signal may be an error of another request.
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
   * The text of an answer that has no end, as it comes; `opened` is called once, before the first of it. It is not tried
   * again here: only its reader knows where to go on.
   * @throws ProblemError, or ConnectionError where it ends, breaks, or says nothing for `quietMs`
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

  /** Whether the client was closed. */
  get isEnded(): boolean {
    return this.#ended.aborted;
  }

  /** Waits before a further attempt after so many. */
  async retry(attempts: number, error: ChronicleWeaverError, signal: AbortSignal | undefined): Promise<void> {
    await this.#sleep(this.#backoffMs(attempts, error), signal);
    this.#onRetry?.({ error, attempts });
  }

  /**
   * How long to wait after so many attempts: any time up to a bound that doubles ("full jitter"), so that clients who
   * failed together do not return together. It comes on top of what the server asked for.
   */
  #backoffMs(attempts: number, error: ChronicleWeaverError): number {
    const { backoffMinMs, backoffMaxMs } = this.#limits;
    const asked = error instanceof ProblemError ? error.retryAfterMs : 0;
    return asked + Math.random() * Math.min(backoffMaxMs, backoffMinMs * 2 ** (attempts - 1));
  }

  /** @throws the signal's reason, or that of the end, where it comes first */
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

  /** What to throw for it. */
  #failureOf(request: string, error: unknown, linked: Linked, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    if (this.#ended.aborted) return this.#ended.reason;
    if (error instanceof ChronicleWeaverError) return error;
    // A network error is a TypeError, and stays one where it comes just before the timeout fires.
    return linked.isTimedOut && !(error instanceof TypeError)
      ? new ConnectionError('timeout', `${request}: no answer in time`, error)
      : new ConnectionError('unreachable', `${request}: ${reasonOf(error)}`, error);
  }
}

export function isRetryable(error: unknown): error is ChronicleWeaverError {
  return error instanceof ChronicleWeaverError && error.retryable;
}
