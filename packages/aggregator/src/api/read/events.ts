import { Readable } from 'node:stream';
import { parseTimestamp } from '@chronicleweaver/protocol';
import type { FastifyBaseLogger, FastifyReply } from 'fastify';
import { Type } from '../../json-schema.ts';
import { type EventPage, type EventStore, type PageQuery, START } from '../../store/event-store.ts';
import { releasedYoung } from '../../released-memory.ts';
import { requireTopic, visiblePatterns } from '../request/access.ts';
import { EPOCH_HEADER, currentEpoch, requireCursorOf } from '../epochs.ts';
import { ProblemError } from '../request/problems.ts';
import type { ReadRoom, Reading } from './read-room.ts';
import {
  type EventsQuery,
  eventParams,
  eventsAnswer,
  eventsQuery,
  problems,
  storedEvent,
} from '../schemas.ts';
import type { Api } from '../api.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const NDJSON_TYPE = 'application/x-ndjson; charset=utf-8';

/** The most bytes of events on a page, and so the most that one answer holds in memory. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;

/** The most that a whole answer holds: the page being sent, the next one, and what the connection buffers. */
const WHOLE_ANSWER_BYTES = 768 * 1024;

interface Parts {
  readonly store: EventStore;
  readonly room: ReadRoom;
}

const EVENTS_SCHEMA = {
  summary: 'Read events in order',
  description:
    'All matching events, streamed from one snapshot; with `limit` one page of them. ' +
    'With `Accept: application/x-ndjson` one event per line.',
  tags: ['events'],
  querystring: eventsQuery,
  response: {
    200: {
      description: 'Events',
      content: { 'application/json': { schema: Type.Unsafe<Readable | Uint8Array>(eventsAnswer) } },
    },
    ...problems(400, 409, 422, 500, 503),
  },
};

const EVENT_SCHEMA = {
  summary: 'Was this event processed?',
  tags: ['events'],
  params: eventParams,
  response: {
    200: {
      description: 'The stored event',
      content: { 'application/json': { schema: Type.Unsafe<Uint8Array>(storedEvent) } },
    },
    ...problems(400, 404, 422, 500),
  },
};

/** `GET /events` and `GET /events/{topic}/{event_id}`. Stored text is passed on unchanged, never parsed. */
export async function eventsRoutes(api: Api, { store, room }: Parts): Promise<void> {
  api.get(
    '/events',
    {
      config: { scope: 'read' },
      schema: EVENTS_SCHEMA,
    },
    async (request, reply) => {
      const ndjson = request.accepts().type(['json', 'application/x-ndjson']) === 'application/x-ndjson';
      if (request.query.topic !== undefined) requireTopic(request, request.query.topic);
      const query = { ...pageQueryOf(request.query, ndjson), topicPatterns: visiblePatterns(request) };
      const { limit, epoch, after } = request.query;
      requireCursorOf(store.epochs, epoch, after);
      reply.header(EPOCH_HEADER, currentEpoch(store.epochs));
      reply.type(ndjson ? NDJSON_TYPE : JSON_TYPE);
      const isHead = request.method === 'HEAD';
      const reading = room.open(reply.raw);
      if (limit === undefined) {
        // An answer to HEAD has no body, so read nothing from the store.
        if (isHead) return reply.send(Readable.from([]));
        reading.need(WHOLE_ANSWER_BYTES);
        const pieces = await allEvents(store, query, ndjson, request.log);
        return reply.send(Readable.from(noting(reading, pieces), { objectMode: false }));
      }

      const page = await readPage(store, { ...query, eventsMax: limit }, reading);
      return sendPage(reply, request.query, page, { reading, ndjson, isHead });
    },
  );

  api.get(
    '/events/:topic/:event_id',
    {
      config: { scope: 'read' },
      schema: EVENT_SCHEMA,
    },
    async (request, reply) => {
      const { topic, event_id: eventId } = request.params;
      requireTopic(request, topic);
      const json = await store.find(topic, eventId);
      if (json === undefined) {
        throw new ProblemError(
          'event_not_found',
          `topic ${JSON.stringify(topic)} has no event ${JSON.stringify(eventId)}`,
        );
      }
      return reply.type(JSON_TYPE).send(Buffer.from(json));
    },
  );
}

/** Sends a small page at once, and a large one at the pace of its reader. */
function sendPage(
  reply: FastifyReply,
  query: EventsQuery,
  { pieces, count, next }: Page,
  { reading, ndjson, isHead }: { reading: Reading; ndjson: boolean; isHead: boolean },
) {
  if (next !== null) reply.header('link', nextLink(query, next));
  if (!ndjson) {
    pieces.unshift(Buffer.from(`{"count":${count},"events":[`));
    pieces.push(Buffer.from(`],"next":${next}}`));
  }
  const length = pieces.reduce((bytes, piece) => bytes + piece.length, 0);
  if (isHead || length <= ONE_PIECE_BYTES) return reply.send(Buffer.concat(pieces));
  reply.header('content-length', length);
  return reply.send(Readable.from(noting(reading, pieces), { objectMode: false }));
}

function pageQueryOf(query: EventsQuery, ndjson: boolean): PageQuery {
  const order = query.order ?? 'asc';
  return {
    topic: query.topic,
    source: query.source,
    from: query.from === undefined ? undefined : parseTimestamp(query.from),
    to: query.to === undefined ? undefined : parseTimestamp(query.to),
    order,
    after: query.after ?? START[order],
    upTo: Number.MAX_SAFE_INTEGER,
    eventsMax: Number.MAX_SAFE_INTEGER,
    framing: ndjson ? 'lines' : 'array',
  };
}

/**
 * The whole answer, one piece at a time. The snapshot is an offset, not an open transaction: what is stored below it
 * never changes, so a reader that takes hours holds up nobody.
 */
async function allEvents(
  store: EventStore,
  query: PageQuery,
  ndjson: boolean,
  log: FastifyBaseLogger,
): Promise<AsyncGenerator<Uint8Array>> {
  const { lastOffset, count } = await store.snapshot(query);
  const ask = (after: number) => store.read({ ...query, after, upTo: lastOffset });
  // Read the first page before answering: a failure here still gets an error status, a later one only a cut.
  const first = count > 0 ? await ask(query.after) : null;
  return pieces();

  async function* pieces(): AsyncGenerator<Uint8Array> {
    if (!ndjson) yield Buffer.from(`{"count":${count},"events":[`);
    let left = count;
    let asked: Promise<EventPage> | null = first === null ? null : Promise.resolve(first);
    try {
      while (asked !== null) {
        const page: EventPage = await asked;
        releasedYoung(page.bytes.length);
        left -= page.count;
        // Read the next page while this one is being sent.
        asked = page.resumeAfter !== null && left > 0 ? ask(page.resumeAfter) : null;
        // It is awaited only when the reader has taken this page. If it fails before, that is not an unhandled rejection.
        asked?.catch(() => undefined);
        // An array has no comma after its last event.
        if (page.count > 0) yield left > 0 || ndjson ? page.bytes : page.bytes.subarray(0, -1);
      }
      // The count was sent first; an answer with fewer events must not look complete.
      if (left !== 0) throw new Error(`${count} events were announced, but ${count - left} were read`);
    } catch (error) {
      log.error({ err: error }, 'an answer was cut short: its events could not be read');
      throw error;
    } finally {
      // If the reader leaves, a page may still be on its way.
      await asked?.catch(() => undefined);
    }
    if (!ndjson) yield Buffer.from(']}');
  }
}

/** Pages up to this size are sent at once: the kernel takes them even if the reader does not. */
const ONE_PIECE_BYTES = 256 * 1024;

/** Passes the pieces on, and notes each time that the reader took one. */
async function* noting(
  reading: Reading,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    reading.moved();
    yield piece;
  }
}

interface Page {
  readonly pieces: Uint8Array[];
  readonly count: number;
  readonly next: number | null;
}

/**
 * One page of at most `eventsMax` events, complete in memory, without a comma after the last one. It has fewer events if
 * there is not enough room.
 */
async function readPage(store: EventStore, query: PageQuery, reading: Reading): Promise<Page> {
  const pieces: Uint8Array[] = [];
  let count = 0;
  let length = 0;
  let lastOffset = 0;
  let after: number | null = query.after;
  while (after !== null && count < query.eventsMax) {
    const page = await store.read({ ...query, after, eventsMax: query.eventsMax - count });
    if (count === 0) reading.need(page.bytes.length);
    else if (length + page.bytes.length > PAGE_BYTES_MAX || !reading.grow(page.bytes.length)) break;
    after = page.resumeAfter;
    if (page.count === 0) continue;
    pieces.push(page.bytes);
    count += page.count;
    length += page.bytes.length;
    lastOffset = page.lastOffset;
  }
  // Announce a next page only if it has at least one event.
  while (after !== null) {
    const page = await store.read({ ...query, after, eventsMax: 1 });
    if (page.count > 0) break;
    after = page.resumeAfter;
  }
  const last = pieces.at(-1);
  if (query.framing === 'array' && last !== undefined) pieces.splice(-1, 1, last.subarray(0, -1));
  return { pieces, count, next: after === null ? null : lastOffset };
}

/** RFC 8288: the address of the next page, for readers that do not parse the body. */
function nextLink(query: EventsQuery, next: number): string {
  const parameters = Object.entries({ ...query, after: next }).map(([name, value]) => [name, String(value)]);
  return `</events?${new URLSearchParams(parameters).toString()}>; rel="next"`;
}
