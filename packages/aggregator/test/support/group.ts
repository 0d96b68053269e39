import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { manyEvents } from './events.ts';
import { TestServer } from './server.ts';

export interface DeliveredEvent extends StoredEvent {
  delivery: number;
  lease_id: string;
}

export interface DeadEvent extends StoredEvent {
  /** Then nothing of the event itself is there but its offset. */
  expired?: true;
  deliveries: number;
  dead_at: string;
  reason: string;
}

export interface GroupView {
  name: string;
  topics: string[];
  start: string | number;
  lease_ms: number;
  max_deliveries: number;
  created_at: string;
  cursor: number;
  lag: number;
  in_flight: number;
  returned: number;
  dead: number;
  deliveries: number;
  redeliveries: number;
  acknowledged: number;
  expired: number;
  push?: {
    url: string;
    secrets: number;
    format?: 'cloudevents';
    state: string;
    paused_by: string | null;
    failing_since: string | null;
    last_failure: string | null;
  };
}

/** A durable group, used over HTTP. */
export class Group {
  /** The address of its server; a test that starts another server changes it. */
  url: string;
  readonly name: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, name = 'workers', headers: Record<string, string> = {}) {
    this.url = url;
    this.name = name;
    this.#headers = headers;
  }

  /** Creates the group, starting at the earliest event unless told otherwise. */
  async make(definition: Record<string, unknown> = {}): Promise<GroupView> {
    const response = await this.put({ topics: ['>'], start: 'earliest', ...definition });
    assert.equal(response.status, 201, await response.clone().text());
    return (await response.json()) as GroupView;
  }

  put(definition: unknown): Promise<Response> {
    return this.#send('PUT', '', definition);
  }

  /** `POST` of one of its resources, like `pull`. */
  post(resource: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    return this.#send('POST', `/${resource}`, body, signal);
  }

  async pull(body: { max?: number; wait_ms?: number } = {}): Promise<DeliveredEvent[]> {
    const { count, events } = await this.#good<{ count: number; events: DeliveredEvent[] }>(
      await this.post('pull', body),
    );
    assert.equal(events.length, count);
    return events;
  }

  async acknowledge(events: readonly Pick<DeliveredEvent, 'lease_id'>[]): Promise<void> {
    const { done } = await this.#good<{ done: number }>(await this.post('ack', leasesOf(events)));
    assert.equal(done, events.length);
  }

  async giveBack(events: readonly DeliveredEvent[], delayMs = 0): Promise<void> {
    await this.#good(await this.post('nack', { ...leasesOf(events), delay_ms: delayMs }));
  }

  async view(): Promise<GroupView> {
    return this.#good(await this.get());
  }

  async dead(
    query = '',
  ): Promise<{ count: number; events: DeadEvent[]; cursor: number; next: number | null }> {
    return this.#good(await this.get(`/dead${query}`));
  }

  async seek(to: Record<string, unknown>): Promise<number> {
    const { cursor } = await this.#good<{ cursor: number }>(await this.post('seek', to));
    return cursor;
  }

  get(resource = ''): Promise<Response> {
    return fetch(this.#path(resource), { headers: this.#headers });
  }

  delete(): Promise<Response> {
    return fetch(this.#path(''), { method: 'DELETE', headers: this.#headers });
  }

  #path(resource: string): string {
    return `${this.url}/subscriptions/${encodeURIComponent(this.name)}${resource}`;
  }

  #send(method: string, resource: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(this.#path(resource), {
      method,
      headers: { ...this.#headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  }

  async #good<T>(response: Response): Promise<T> {
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as T;
  }
}

export function leasesOf(events: readonly Pick<DeliveredEvent, 'lease_id'>[]): { lease_ids: string[] } {
  return { lease_ids: events.map(({ lease_id: leaseId }) => leaseId) };
}

/** A server with some events, and a group from the first of them on. */
export async function groupWith(
  t: TestContext,
  { events = 5, ...definition }: { events?: number; [field: string]: unknown } = {},
): Promise<{ server: TestServer; group: Group }> {
  const server = await TestServer.start(t);
  if (events > 0) await server.publish(...manyEvents(events));
  const group = new Group(server.url);
  await group.make(definition);
  return { server, group };
}

export function offsetsOf(events: readonly { offset: number }[]): number[] {
  return events.map(({ offset }) => offset);
}
