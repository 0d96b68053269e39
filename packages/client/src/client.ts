import type { EventResult, Payload, StoredEvent } from '@chronicleweaver/protocol';
import { pathOf } from './address.ts';
import { isRecord, listIn, parsed, unexpectedAnswer } from './answer.ts';
import { ChronicleWeaverError, ProblemError } from './errors.ts';
import { type ConsumeOptions, type Handler, consume } from './consume.ts';
import { Groups } from './groups.ts';
import { type BufferLimits, PublishBuffer } from './publish-buffer.ts';
import { linkSignals, unlessAborted } from './signals.ts';
import { type OnGap, type SubscribeQuery, subscribe } from './subscribe.ts';
import { type CallOptions, type RequestOptions, Transport, type TransportOptions } from './transport.ts';

/** Everything but `url` is optional; defaults are in parentheses. */
export interface ClientOptions extends TransportOptions, Partial<BufferLimits> {
  /** The `source` of events that name none. */
  source?: string | undefined;
  /**
   * Turns the JSON text of an event that was read into the event (JSON.parse). Your own function can keep numbers that
   * JavaScript cannot represent, or the text itself, which is digit for digit as it was published.
   */
  parse?: ((text: string) => StoredEvent) | undefined;
}

/** An event to publish. `publish` fills in what is left out, once, and it stays the same through all retries. */
export interface NewEvent {
  topic: string;
  /** A JSON object. If it has a `message`, that is a string; if it has a `timestamp`, that is an ISO 8601 time. */
  payload: Payload | object;
  /** A random id by default. The same id in the same topic is the same event, forever. */
  event_id?: string | undefined;
  /** The client's `source` by default. */
  source?: string | undefined;
  /** ISO 8601 or a Date; now by default. */
  timestamp?: string | Date | undefined;
}

/** Which events to read; all conditions must hold. Times are ISO 8601 and refer to the `timestamp` of the events. */
export interface ReadQuery {
  topic?: string | undefined;
  source?: string | undefined;
  /** Inclusive. */
  from?: string | undefined;
  /** Exclusive. */
  to?: string | undefined;
  /** Only events after this offset, in the requested order. */
  after?: number | undefined;
  /** By offset; ascending by default. */
  order?: 'asc' | 'desc' | undefined;
  /** How many events to read in all; no limit by default. */
  limit?: number | undefined;
  /** `refuse` throws a ProblemError `cursor_expired` rather than pass over events that are no longer kept. */
  expired?: 'tell' | 'refuse' | undefined;
}

/** A topic, and what the log has of it. */
export interface TopicInfo {
  topic: string;
  /** Events that are kept. */
  events: number;
  /** Events that are not: they are expired, or were never kept. */
  expired: number;
  /** Of the first event that is kept; null if none is. */
  first_offset: number | null;
  /** Of the last event, kept or not. */
  last_offset: number;
  /** Of the events that are kept, uncompressed. */
  bytes: number;
}

/**
 * The service's counts: `received = unique_processed + duplicated_dropped`, where the dropped include conflicts, and
 * `unique_processed = stored + expired`, where the expired are all whose ids alone are kept. A key that may see only some topics gets the counts of those, without the fields that are optional here.
 */
export interface Stats {
  received?: number;
  unique_processed: number;
  stored: number;
  expired: number;
  duplicated_dropped?: number;
  conflicts?: number;
  topics: string[];
  /** Seconds since the service started. */
  uptime: number;
  /** Of the first event that is kept; null if none is. */
  first_offset: number | null;
  last_offset: number;
  version: string;
  [name: string]: unknown;
}

type SignalOption = Pick<CallOptions, 'signal'>;

interface GapOption {
  onGap?: OnGap | undefined;
}

/** How many events `read` requests at a time. */
const PAGE_EVENTS = 1000;
const NDJSON = 'application/x-ndjson';

/** `Symbol.asyncDispose`, or in older browsers what compilers use instead. */
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/**
 * A connection to one ChronicleWeaver service. Every call takes a `signal` and rejects with its reason if it fires; every
 * other failure is a ChronicleWeaverError.
 */
export class ChronicleWeaver {
  readonly #transport: Transport;
  readonly #buffer: PublishBuffer;
  readonly #source: string | undefined;
  readonly #parse: (text: string) => StoredEvent;
  readonly #stopping = new AbortController();
  readonly #consuming = new Set<Promise<void>>();
  readonly #ended = new AbortController();
  #isClosing = false;
  /** Creates, lists and deletes groups, and offers the steps of `consume` one by one. */
  readonly groups: Groups;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options, this.#ended.signal);
    this.#source = options.source;
    this.#parse = options.parse ?? ((text) => JSON.parse(text) as StoredEvent);
    this.groups = new Groups(this.#transport, this.#parse);
    this.#buffer = new PublishBuffer(
      {
        batchEventsMax: options.batchEventsMax ?? 500,
        batchBytesMax: options.batchBytesMax ?? 512 * 1024,
        batchDelayMs: options.batchDelayMs ?? 5,
        concurrency: options.concurrency ?? 1,
        bufferEventsMax: options.bufferEventsMax ?? 10_000,
        bufferBytesMax: options.bufferBytesMax ?? 16 * 1024 * 1024,
        whenFull: options.whenFull ?? 'wait',
      },
      (body, count, signal) => this.#publishBody(body, count, signal),
    );
  }

  /**
   * Publishes one event or several, together with others that are published at the same time. Resolves with the verdict
   * of each once it is committed and on disk. Several events are stored all or none, unless the service says that they are
   * too large for one request. A string is the JSON text of a whole event and is sent as is.
   * @throws ProblemError if the service refuses these events; `errors` names the event and field of each fault
   */
  publish(event: NewEvent | string, options?: SignalOption): Promise<EventResult>;
  publish(events: readonly (NewEvent | string)[], options?: SignalOption): Promise<EventResult[]>;
  async publish(
    given: NewEvent | string | readonly (NewEvent | string)[],
    { signal }: SignalOption = {},
  ): Promise<EventResult | EventResult[]> {
    if (this.#isClosing) throw closed();
    if (isList(given)) {
      if (given.length === 0) return [];
      return this.#buffer.publish(
        given.map((event) => this.#textOf(event)),
        signal,
      );
    }
    const [result] = await this.#buffer.publish([this.#textOf(given)], signal);
    return result!;
  }

  /** Sends what is waiting without delay, and resolves when everything published before has its answer, good or bad. */
  flush({ signal }: SignalOption = {}): Promise<void> {
    return this.#buffer.flush(signal);
  }

  /** Resolves as soon as the buffer has room: the brake for a loop that does not await what it publishes. */
  room({ signal }: SignalOption = {}): Promise<void> {
    return this.#buffer.room(signal);
  }

  /**
   * Lets consumers finish the events in hand, flushes, then ends everything else: streams end, and later calls are refused.
   * If the signal fires first, whatever has no answer yet is given up with its reason.
   */
  async close({ signal }: SignalOption = {}): Promise<void> {
    this.#stopping.abort();
    try {
      await unlessAborted(Promise.allSettled(this.#consuming), signal);
      this.#isClosing = true;
      await this.#buffer.flush(signal);
    } catch (reason) {
      this.#buffer.rejectAll(reason);
      throw reason;
    } finally {
      this.#isClosing = true;
      this.#ended.abort(closed());
    }
  }

  /** Lets `await using client = new ChronicleWeaver(…)` close the client. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Yields the matching events in order until there are no more. Each page is requested only when it is needed; `onGap` is
   * told, before its events, of what it passes over.
   */
  async *read(
    query: ReadQuery = {},
    { onGap, ...options }: CallOptions & GapOption = {},
  ): AsyncGenerator<StoredEvent, void, void> {
    let { after, limit = Infinity } = query;
    while (limit > 0) {
      const { text, headers } = await this.#transport.text('GET', '/events', {
        query: { ...query, after, limit: Math.min(limit, PAGE_EVENTS) },
        accept: NDJSON,
        ...options,
      });
      if (headers.get('content-type')?.startsWith(NDJSON) !== true) {
        throw unexpectedAnswer('GET /events', 'without events');
      }
      const link = /[?&]after=(\d+)[^>]*>; *rel="next"/.exec(headers.get('link') ?? '');
      const next = link === null ? undefined : Number(link[1]);
      const expired = Number(headers.get('chronicle-expired'));
      if (expired > 0) onGap?.({ expired, after, next });
      const lines = text.split('\n').filter((line) => line !== '');
      for (const line of lines) yield parsed('GET /events', line, this.#parse);
      limit -= lines.length;
      if (next === undefined) return;
      after = next;
    }
  }

  /**
   * Follows the log live: yields the events of these topics in order, each as soon as it is committed. If the connection
   * breaks it reconnects, for as long as that takes, and resumes where it was: no event is missed, none comes twice. It ends
   * when you leave the loop, when the signal fires (it then throws the reason), or when the client is closed.
   * `onGap` is told of events that are no longer kept, in their place.
   * @throws ProblemError if the service refuses; `cursor_beyond_end` if its log ends before `after`
   */
  subscribe(
    query: SubscribeQuery = {},
    { signal, onGap }: SignalOption & GapOption = {},
  ): AsyncGenerator<StoredEvent, void, void> {
    this.#ended.signal.throwIfAborted();
    return subscribe(this.#transport, this.#parse, query, signal, onGap);
  }

  /**
   * Handles the events of a group: each is acknowledged when the handler resolves and given back when it throws; its lease
   * is extended meanwhile. Once the signal fires no more events are taken, and it resolves when those in hand are done.
   * @throws ProblemError if the service refuses; `subscription_not_found` if there is no such group
   */
  async consume(group: string, handler: Handler, options: ConsumeOptions = {}): Promise<void> {
    this.#ended.signal.throwIfAborted();
    const linked = linkSignals(options.signal, this.#stopping.signal);
    const consuming = consume(this.groups, group, handler, options, linked.signal).finally(() => {
      this.#consuming.delete(consuming);
      linked.release();
    });
    this.#consuming.add(consuming);
    await consuming;
  }

  /**
   * Returns the stored event with this topic and id, or undefined if there is none.
   * @throws ProblemError `event_expired` if there was one that is no longer kept; the error has its `offset` and `receivedAt`
   */
  async find(topic: string, eventId: string, options?: CallOptions): Promise<StoredEvent | undefined> {
    try {
      const { text } = await this.#transport.text('GET', `/events${pathOf(topic, eventId)}`, options);
      return parsed('GET /events', text, this.#parse);
    } catch (error) {
      if (error instanceof ProblemError && error.code === 'event_not_found') return undefined;
      throw error;
    }
  }

  /** Returns all topics, in the order of the UTF-8 bytes of their names. */
  async topics(options?: CallOptions): Promise<TopicInfo[]> {
    return listIn<TopicInfo>(await this.request('GET', '/topics', options), 'topics');
  }

  /** Returns the service's counts and state. */
  async stats(options?: CallOptions): Promise<Stats> {
    const answer = await this.request('GET', '/stats', options);
    if (!isRecord(answer) || typeof answer['unique_processed'] !== 'number') {
      throw unexpectedAnswer('GET /stats', 'without counts');
    }
    return answer as Stats;
  }

  /** Returns the page of `/metrics`, in Prometheus' text format. */
  async metrics(options?: CallOptions): Promise<string> {
    const { text } = await this.#transport.text('GET', '/metrics', { ...options, accept: 'text/plain' });
    return text;
  }

  /** Makes any other request, with this client's key and retries, and resolves with the parsed JSON of the answer. */
  request(method: string, path: string, options?: RequestOptions): Promise<unknown> {
    return this.#transport.request(method, path, options);
  }

  #textOf(event: NewEvent | string): string {
    if (typeof event === 'string') {
      // Text that is not exactly one JSON value could be read as part of the events that it is sent with.
      JSON.parse(event);
      return event;
    }
    const { event_id = randomId(), source = this.#source, timestamp = new Date() } = event;
    // Unknown fields are sent too, so that the service refuses them by name.
    return JSON.stringify({ ...event, event_id, source, timestamp });
  }

  async #publishBody(body: string, count: number, signal: AbortSignal): Promise<EventResult[]> {
    const answer = await this.request('POST', '/publish', { query: { results: true }, body, signal });
    const results = listIn<EventResult>(answer, 'results');
    if (results.length === count) return results;
    throw unexpectedAnswer('POST /publish', `without ${count} results`);
  }
}

function closed(): ChronicleWeaverError {
  return new ChronicleWeaverError('closed', 'this client is closed');
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** A random UUID, or 128 random bits in hexadecimal: browsers have `randomUUID` only on https and localhost. */
function randomId(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
