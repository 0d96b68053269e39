import type { EventResult, Payload, StoredEvent } from '@chronicleweaver/protocol';
import { pathOf } from './address.ts';
import { isRecord, listIn, parsed, unexpectedAnswer } from './answer.ts';
import { ChronicleWeaverError, ProblemError } from './errors.ts';
import { type ConsumeOptions, type Handler, consume } from './consume.ts';
import { Groups } from './groups.ts';
import { type BufferLimits, PublishBuffer } from './publish-buffer.ts';
import { linkSignals, unlessAborted } from './signals.ts';
import { type SubscribeQuery, subscribe } from './subscribe.ts';
import { type CallOptions, type RequestOptions, Transport, type TransportOptions } from './transport.ts';

/** All but `url` may be left out; the defaults stand in parentheses. */
export interface ClientOptions extends TransportOptions, Partial<BufferLimits> {
  /** The `source` of events that name none. */
  source?: string | undefined;
  /**
   * How the JSON text of an event that was read becomes the event (JSON.parse). Another one can keep numbers that
   * JavaScript has not, or the text itself: it comes digit for digit as it was published.
   */
  parse?: ((text: string) => StoredEvent) | undefined;
}

/** An event to publish. What is left out is made when it is given to `publish`, once, and stays through all retries. */
export interface NewEvent {
  topic: string;
  /** A JSON object. Its `message`, if there, is a string, its `timestamp` an ISO 8601 time. */
  payload: Payload | object;
  /** A random one, where left out. The same id in the same topic is the same event, for ever. */
  event_id?: string | undefined;
  /** The client's own, where left out. */
  source?: string | undefined;
  /** ISO 8601, or a Date; now, where left out. */
  timestamp?: string | Date | undefined;
}

/** Which events to read; all conditions must hold. Times are ISO 8601 and are those of the events themselves. */
export interface ReadQuery {
  topic?: string | undefined;
  source?: string | undefined;
  /** Inclusive. */
  from?: string | undefined;
  /** Exclusive. */
  to?: string | undefined;
  /** Only events behind this offset, in the order asked for. */
  after?: number | undefined;
  /** By offset, ascending where left out. */
  order?: 'asc' | 'desc' | undefined;
  /** Events in all; all there are, where left out. */
  limit?: number | undefined;
}

/** A topic, how many events it has, and the offset of its last one. */
export interface TopicInfo {
  topic: string;
  events: number;
  last_offset: number;
}

/**
 * The service's books: `received = unique_processed + duplicated_dropped`, conflicts counted in the dropped, too. To a key
 * that may see some topics only, the service tells what is true of these alone, and not what is optional here.
 */
export interface Stats {
  received?: number;
  unique_processed: number;
  duplicated_dropped?: number;
  conflicts?: number;
  topics: string[];
  /** Seconds since the service started. */
  uptime: number;
  last_offset: number;
  version: string;
  [name: string]: unknown;
}

type SignalOption = Pick<CallOptions, 'signal'>;

/** Events of one page that `read` asks for. */
const PAGE_EVENTS = 1000;
const NDJSON = 'application/x-ndjson';

/** `Symbol.asyncDispose`, or in older browsers what compilers put in its place. */
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/**
 * A connection to one ChronicleWeaver service. Everything takes a `signal` and then rejects with its reason; all other
 * failures are a ChronicleWeaverError.
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
  /** Makes, lists and deletes groups, and what `consume` does, step by step. */
  readonly groups: Groups;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options, this.#ended.signal);
    this.groups = new Groups(this.#transport);
    this.#source = options.source;
    this.#parse = options.parse ?? ((text) => JSON.parse(text) as StoredEvent);
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
   * Publishes one event or several, together with others that are published at the same time, and resolves with the
   * verdict of each after it is committed and on disk. Several are stored all or none, unless the service says that
   * they are too large for one request. A string is the JSON text of a whole event and is sent as it is.
   * @throws ProblemError where the service refuses these events; `errors` says which field of which
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

  /** Sends what waits for a batch at once, and resolves when all that was published before has its answer, good or bad. */
  flush({ signal }: SignalOption = {}): Promise<void> {
    return this.#buffer.flush(signal);
  }

  /** Resolves as soon as the buffer has room: the brake of a loop that does not await what it publishes. */
  room({ signal }: SignalOption = {}): Promise<void> {
    return this.#buffer.room(signal);
  }

  /**
   * Lets those who consume finish what is at hand, flushes, then ends what this client still does: streams end, all later
   * calls are refused. Where the signal fires first, what has no answer yet is given up with its reason.
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

  /** `await using client = new ChronicleWeaver(…)` closes it. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The events that match, in order, read a page at a time as they are asked for, until there are no more. */
  async *read(query: ReadQuery = {}, options: CallOptions = {}): AsyncGenerator<StoredEvent, void, void> {
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
      const lines = text.split('\n').filter((line) => line !== '');
      for (const line of lines) yield parsed('GET /events', line, this.#parse);
      limit -= lines.length;
      const next = /[?&]after=(\d+)[^>]*>; *rel="next"/.exec(headers.get('link') ?? '');
      if (next === null) return;
      after = Number(next[1]);
    }
  }

  /**
   * Follows the log live: the events of these topics, in order, each as soon as it is committed. A connection that breaks
   * is made again, for as long as it takes, and goes on where it was: no event is missed, none comes twice. It ends when
   * the loop is left, when the signal fires (it then throws its reason), or when the client is closed.
   * @throws ProblemError where the service refuses; `cursor_beyond_end` where its log is shorter than `after`
   */
  subscribe(
    query: SubscribeQuery = {},
    { signal }: SignalOption = {},
  ): AsyncGenerator<StoredEvent, void, void> {
    this.#ended.signal.throwIfAborted();
    return subscribe(this.#transport, this.#parse, query, signal);
  }

  /**
   * Works on a group's events: each is acknowledged when the handler resolves, given back when it throws, and its lease
   * extended while it works. When the signal fires no more are taken, and it resolves when those at hand are done.
   * @throws ProblemError where the service refuses; `subscription_not_found` where there is no such group
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

  /** The stored event of this topic under this id, or undefined where there is none. */
  async find(topic: string, eventId: string, options?: CallOptions): Promise<StoredEvent | undefined> {
    try {
      const { text } = await this.#transport.text('GET', `/events${pathOf(topic, eventId)}`, options);
      return parsed('GET /events', text, this.#parse);
    } catch (error) {
      if (error instanceof ProblemError && error.code === 'event_not_found') return undefined;
      throw error;
    }
  }

  /** All topics, in the order of their names' UTF-8 bytes. */
  async topics(options?: CallOptions): Promise<TopicInfo[]> {
    return listIn<TopicInfo>(await this.request('GET', '/topics', options), 'topics');
  }

  /** The service's books and how it stands. */
  async stats(options?: CallOptions): Promise<Stats> {
    const answer = await this.request('GET', '/stats', options);
    if (!isRecord(answer) || typeof answer['unique_processed'] !== 'number') {
      throw unexpectedAnswer('GET /stats', 'without counts');
    }
    return answer as Stats;
  }

  /** Any other request, with this client's key and retries; resolves with what the JSON of the answer says. */
  request(method: string, path: string, options?: RequestOptions): Promise<unknown> {
    return this.#transport.request(method, path, options);
  }

  #textOf(event: NewEvent | string): string {
    if (typeof event === 'string') {
      // Text that is not one JSON value could be read as part of the events that travel with it.
      JSON.parse(event);
      return event;
    }
    const { event_id = randomId(), source = this.#source, timestamp = new Date() } = event;
    // What else it has goes along, for the service to refuse it by name.
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
  return new ChronicleWeaverError('closed', 'this client was closed');
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** A random UUID, or 128 random bits in hexadecimal digits: browsers have `randomUUID` on https and localhost only. */
function randomId(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
