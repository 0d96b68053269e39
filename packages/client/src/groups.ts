import type { StoredEvent } from '@chronicleweaver/protocol';
import { pathOf } from './address.ts';
import { listIn, parsed } from './answer.ts';
import type { CallOptions, Transport } from './transport.ts';

/** How a group is created. */
export interface GroupDefinition {
  /** Topics or patterns: `*` matches one dot-separated word, `>` at the end one or more. */
  topics: readonly string[];
  /** `earliest`, `latest` (the default), the offset of the first event, or an ISO 8601 time. */
  start?: 'earliest' | 'latest' | number | (string & {}) | undefined;
  /** How long a worker has for an event before the event is delivered again, milliseconds (30,000). */
  lease_ms?: number | undefined;
  /** How many deliveries an event gets before it is dead (5). */
  max_deliveries?: number | undefined;
  /**
   * Where the service itself sends the events, one at a time, following Standard Webhooks; then nobody can pull them. Each
   * of the one to three secrets is `whsec_` followed by 24 to 64 random bytes in base64. Every message is signed with all
   * of them, and they are never shown again. With the format `cloudevents` each event is sent as a CloudEvent.
   */
  push?:
    | { url: string; secrets: readonly string[]; format?: 'cloudevents' | undefined }
    | { url: string; secret: string; format?: 'cloudevents' | undefined }
    | undefined;
}

const NDJSON = 'application/x-ndjson';

/** A group and its counts. */
export interface Group {
  name: string;
  topics: string[];
  start: string | number;
  lease_ms: number;
  max_deliveries: number;
  created_at: string;
  /** All events of the group up to and including this offset are acknowledged, dead or expired. */
  cursor: number;
  /** Kept events that are neither acknowledged nor dead. */
  lag: number;
  in_flight: number;
  returned: number;
  dead: number;
  deliveries: number;
  redeliveries: number;
  acknowledged: number;
  /** Events whose text was gone before the group had finished them, since it was created. */
  expired: number;
  /** Only if the service pushes the events; `paused` on request, or after a day of failures. */
  push?: {
    url: string;
    /** How many secrets sign each message. */
    secrets: number;
    /** Only if it is not that of reads. */
    format?: 'cloudevents';
    state: 'active' | 'failing' | 'paused';
    paused_by: 'failures' | 'request' | null;
    failing_since: string | null;
    last_failure: string | null;
  };
  [name: string]: unknown;
}

/** An event with its lease. `delivery` counts from 1. */
export interface DeliveredEvent extends StoredEvent {
  delivery: number;
  lease_id: string;
}

/** An event that was delivered as often as the group allows, without success. */
export type DeadEvent = ((StoredEvent & { expired?: undefined }) | ExpiredText) & {
  deliveries: number;
  dead_at: string;
  reason: string;
};

/** All that is shown of an event whose text is gone. */
interface ExpiredText {
  offset: number;
  expired: true;
}

/**
 * Durable groups: workers share the events of some topics, and each event is leased to one of them until it is
 * acknowledged. If some leases are no longer held, `ack`, `nack` and `extend` still take effect for the others, and then
 * reject with a ProblemError whose `errors` name the lost ones.
 */
export class Groups {
  readonly #transport: Transport;
  readonly #parse: (text: string) => StoredEvent;

  constructor(transport: Transport, parse: (text: string) => StoredEvent) {
    this.#transport = transport;
    this.#parse = parse;
  }

  /**
   * Creates the group, unless it already exists with this definition. Another url or other secrets in `push` replace the
   * old ones and change nothing else; the waiting event is then sent at once.
   * @throws ProblemError `subscription_differs` if anything else differs
   */
  async create(name: string, definition: GroupDefinition, options?: CallOptions): Promise<Group> {
    return (await this.#request('PUT', name, '', options, definition)) as Group;
  }

  /** @throws ProblemError `subscription_not_found` */
  async get(name: string, options?: CallOptions): Promise<Group> {
    return (await this.#request('GET', name, '', options)) as Group;
  }

  async list(options?: CallOptions): Promise<Group[]> {
    const answer = await this.#transport.request('GET', '/subscriptions', options);
    return listIn<Group>(answer, 'subscriptions');
  }

  async delete(name: string, options?: CallOptions): Promise<void> {
    await this.#request('DELETE', name, '', options);
  }

  /** Leases up to `max` (100) events; if there are none, waits up to `waitMs` (0) for the first. */
  async pull(
    name: string,
    { max, waitMs = 0, ...options }: CallOptions & { max?: number; waitMs?: number } = {},
  ): Promise<DeliveredEvent[]> {
    const { text, headers } = await this.#transport.text('POST', `/subscriptions${pathOf(name)}/pull`, {
      requestMs: waitMs + 30_000,
      ...options,
      body: { max, wait_ms: waitMs },
      accept: NDJSON,
    });
    // A service that does not know of lines answers as always.
    if (headers.get('content-type')?.startsWith(NDJSON) !== true) {
      return listIn<DeliveredEvent>(parsed('a pull', text, JSON.parse), 'events');
    }
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => parsed('a pull', line, (text) => this.#deliveredIn(text)));
  }

  /** The members of the delivery follow those that `parse` is to see. */
  #deliveredIn(line: string): DeliveredEvent {
    const at = line.lastIndexOf(',"delivery":');
    const event = this.#parse(`${line.slice(0, at)}}`);
    return {
      ...event,
      ...(JSON.parse(`{${line.slice(at + 1)}`) as Pick<DeliveredEvent, 'delivery' | 'lease_id'>),
    };
  }

  /** Acknowledges the events of these leases: once this has resolved they are never delivered again. */
  async ack(name: string, leaseIds: readonly string[], options?: CallOptions): Promise<void> {
    await this.#request('POST', name, '/ack', options, { lease_ids: leaseIds });
  }

  /** Gives the events of these leases back, to be delivered again after `delayMs` (0). */
  async nack(
    name: string,
    leaseIds: readonly string[],
    { delayMs, ...options }: CallOptions & { delayMs?: number } = {},
  ): Promise<void> {
    await this.#request('POST', name, '/nack', options, { lease_ids: leaseIds, delay_ms: delayMs });
  }

  /** Makes the leases end `leaseMs` from now; the default is the `lease_ms` of the group. */
  async extend(
    name: string,
    leaseIds: readonly string[],
    { leaseMs, ...options }: CallOptions & { leaseMs?: number } = {},
  ): Promise<void> {
    await this.#request('POST', name, '/extend', options, { lease_ids: leaseIds, lease_ms: leaseMs });
  }

  /** Moves the group to an offset, `earliest`, `latest` or a time, and returns the new cursor. */
  async seek(
    name: string,
    to: { offset: number | 'earliest' | 'latest' } | { time: string },
    options?: CallOptions,
  ): Promise<number> {
    const answer = await this.#request('POST', name, '/seek', options, to);
    return (answer as { cursor: number }).cursor;
  }

  /** Pauses a group that pushes: nothing is sent any more until it is resumed, and its events wait. */
  async pause(name: string, options?: CallOptions): Promise<void> {
    await this.#request('POST', name, '/pause', options);
  }

  /** Resumes a group that pushes, and sends the waiting event at once. */
  async resume(name: string, options?: CallOptions): Promise<void> {
    await this.#request('POST', name, '/resume', options);
  }

  /** Yields the dead events, ascending by offset; reads a page at a time. */
  async *dead(name: string, options?: CallOptions): AsyncGenerator<DeadEvent, void, void> {
    let after: number | undefined;
    do {
      const page = await this.#request('GET', name, '/dead', { ...options, query: { after, limit: 1000 } });
      yield* listIn<DeadEvent>(page, 'events');
      after = (page as { next: number | null }).next ?? undefined;
    } while (after !== undefined);
  }

  /** Delivers dead events again, these or all; returns how many, and how many are still dead. */
  async replay(
    name: string,
    offsets?: readonly number[],
    options?: CallOptions,
  ): Promise<{ replayed: number; dead: number }> {
    const answer = await this.#request('POST', name, '/dead/replay', options, { offsets });
    return answer as { replayed: number; dead: number };
  }

  #request(method: string, name: string, path: string, options?: object, body?: object): Promise<unknown> {
    return this.#transport.request(method, `/subscriptions${pathOf(name)}${path}`, { ...options, body });
  }
}
