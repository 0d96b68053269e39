import assert from 'node:assert/strict';

/**
 * A client of the system that this one replaces: it knows the requests and the answers of that system's README and
 * nothing else. What passes here passes for its users without a change.
 */
export class OriginalClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** `POST /publish` with a batch; the answer must be a success that counts what was sent. */
  async publish(...events: OriginalEvent[]): Promise<OriginalPublishAnswer> {
    const response = await this.send({ events });
    assert.equal(response.status, 200, await response.clone().text());
    const answer = (await response.json()) as OriginalPublishAnswer;
    assert.equal(answer.status, 'success');
    assert.equal(answer.events_count, events.length);
    return answer;
  }

  send(body: unknown): Promise<Response> {
    return fetch(`${this.#url}/publish`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
  }

  /** All events, or those of a topic. */
  events(topic?: string): Promise<OriginalEventsAnswer> {
    return this.get(topic === undefined ? '/events' : `/events?topic=${encodeURIComponent(topic)}`);
  }

  stats(): Promise<OriginalStats> {
    return this.get('/stats');
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.#url + path, { signal: AbortSignal.timeout(30_000) });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as T;
  }
}

export interface OriginalEvent {
  event_id: string;
  topic: string;
  source: string;
  payload: { message: string; timestamp: string };
  timestamp: string;
}

export interface OriginalPublishAnswer {
  status: string;
  message: string;
  events_count: number;
}

export interface OriginalEventsAnswer {
  count: number;
  events: OriginalEvent[];
}

export interface OriginalStats {
  received: number;
  unique_processed: number;
  duplicated_dropped: number;
  topics: string[];
  uptime: number;
}

/** The event of the README; the given members replace its own. */
export function originalEvent(change: Partial<OriginalEvent> = {}): OriginalEvent {
  return {
    event_id: 'event-001',
    topic: 'user-actions',
    source: 'web-app',
    payload: { message: 'User logged in', timestamp: '2025-10-28T10:00:00Z' },
    timestamp: '2025-10-28T10:00:00Z',
    ...change,
  };
}

/** Events with distinct ids. */
export function originalEvents(
  count: number,
  change: (index: number) => Partial<OriginalEvent> = () => ({}),
): OriginalEvent[] {
  return Array.from({ length: count }, (_, i) => originalEvent({ event_id: `event-${i + 1}`, ...change(i) }));
}

/** The fields that the original returned, without those that events have now. */
export function asOriginal({ event_id, topic, source, payload, timestamp }: OriginalEvent): OriginalEvent {
  return { event_id, topic, source, payload, timestamp };
}
