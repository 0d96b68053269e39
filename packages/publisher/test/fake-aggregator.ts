import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Event, EventResult, StoredEvent } from '@chronicleweaver/protocol';
import type { Stats } from '../src/aggregator.ts';

/** The faults of a fake aggregator. Publish requests are numbered from 1, in order of arrival. */
export interface Faults {
  /** `GET /ready` answers 503 this many times. */
  notReady?: number;
  /** Answers a publish with this instead of accepting it. */
  refuse?: (request: number) => Refusal | undefined;
  /** Breaks the connection after the events are stored and before the answer. */
  loseAnswer?: (request: number) => boolean;
  /** Accepts the publish and never answers. */
  hang?: (request: number) => boolean;
  /** What to store for a new event: nothing, two events or a changed one. */
  keep?: (event: Event) => Event[];
  verdict?: (result: EventResult) => EventResult;
  results?: (results: EventResult[]) => EventResult[];
  counts?: (counts: { accepted: number; duplicates: number }) => { accepted: number; duplicates: number };
  stats?: (stats: Stats) => Stats;
  /** Replaces a page's events. */
  page?: (events: StoredEvent[]) => StoredEvent[];
  next?: (next: number | null) => number | null;
}

interface Refusal {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

export interface FakeAggregator {
  port: number;
  /** `topic/event_id` of every event of every accepted publish, in order of arrival. */
  taken: string[];
  /** Publish requests that arrived, whatever became of them. */
  publishCount: number;
  /** Stores an event from outside the run under test. */
  publish(event: Event): EventResult;
}

/** Pages end here whatever `limit` says, so that a small run has several. */
const PAGE_EVENTS = 30;

/** An aggregator in memory on a free port of the loopback; it closes when the test ends. */
export async function startFakeAggregator(t: TestContext, faults: Faults = {}): Promise<FakeAggregator> {
  const first = new Map<string, StoredEvent>();
  const log: StoredEvent[] = [];
  const books = { received: 0, unique_processed: 0, duplicated_dropped: 0 };
  let notReadyLeft = faults.notReady ?? 0;

  const fake: FakeAggregator = {
    port: 0,
    taken: [],
    publishCount: 0,
    publish(event) {
      const key = `${event.topic}/${event.event_id}`;
      const known = first.get(key);
      books.received++;
      fake.taken.push(key);
      if (known !== undefined) {
        books.duplicated_dropped++;
        const { offset, received_at: _, ...fields } = known;
        const verdict = isDeepStrictEqual(fields, event) ? 'duplicate' : 'conflict';
        return { event_id: event.event_id, topic: event.topic, verdict, offset };
      }
      books.unique_processed++;
      const offset = log.length + 1;
      first.set(key, { ...event, offset, received_at: '2026-01-01T00:00:00Z' });
      for (const kept of faults.keep?.(event) ?? [event]) {
        log.push({ ...kept, offset: log.length + 1, received_at: '2026-01-01T00:00:00Z' });
      }
      return { event_id: event.event_id, topic: event.topic, verdict: 'accepted', offset };
    },
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const say = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body));
    };
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /ready':
        return notReadyLeft-- > 0
          ? say(503, { code: 'store_unavailable', detail: 'the store is opening' })
          : say(200, {});
      case 'GET /stats':
        return say(200, faults.stats?.({ ...books }) ?? books);
      case 'GET /events': {
        const after = Number(url.searchParams.get('after') ?? 0);
        const found = log.filter(
          (event) =>
            event.offset > after &&
            event.topic === url.searchParams.get('topic') &&
            event.source === url.searchParams.get('source'),
        );
        const page = found.slice(0, PAGE_EVENTS);
        const events = faults.page?.(page) ?? page;
        const next = found.length > PAGE_EVENTS ? page.at(-1)!.offset : null;
        return say(200, { count: events.length, events, next: faults.next?.(next) ?? next });
      }
      case 'POST /publish': {
        const number = ++fake.publishCount;
        const { events }: { events: Event[] } = JSON.parse(await text(request));
        const refusal = faults.refuse?.(number);
        if (refusal !== undefined) return say(refusal.status, refusal.body ?? {}, refusal.headers);
        const results = events.map((event) => {
          const result = fake.publish(event);
          return faults.verdict?.(result) ?? result;
        });
        if (faults.hang?.(number) === true) return undefined;
        if (faults.loseAnswer?.(number) === true) return void request.socket.destroy();
        const conflicts = results.filter(({ verdict }) => verdict === 'conflict').length;
        const accepted = results.filter(({ verdict }) => verdict === 'accepted').length;
        const counts = { accepted, duplicates: events.length - accepted };
        return say(200, {
          status: 'success',
          message: `Published ${events.length} events`,
          events_count: events.length,
          ...(faults.counts?.(counts) ?? counts),
          conflicts,
          ...(url.searchParams.get('results') === 'true' && {
            results: faults.results?.(results) ?? results,
          }),
        });
      }
      default:
        return say(404, { detail: `${request.url} is not here` });
    }
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) =>
      response.destroy(new Error('the fake broke', { cause: error })),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  fake.port = address.port;
  return fake;
}
