import { Readable } from 'node:stream';
import { parseTimestamp } from '@chronicleweaver/protocol';
import type { FastifyReply } from 'fastify';
import { Type } from '../../json-schema.ts';
import { type EventStore, type PageQuery, START } from '../../store/event-store.ts';
import { requireTopic, visiblePatterns } from '../request/access.ts';
import { EPOCH_HEADER, currentEpoch, requireCursorOf } from '../epochs.ts';
import { ProblemError } from '../request/problems.ts';
import type { AnswersUnderWay } from './answers-under-way.ts';
import { EXPIRED_HEADER } from './cursor-expired.ts';
import { type Form, formFor } from './forms.ts';
import { type Page, readPage } from './page.ts';
import type { ReadRoom, Reading } from './read-room.ts';
import { WHOLE_ANSWER_BYTES, neededFrom, snapshotOf, wholeAnswer } from './whole-answer.ts';
import {
  type EventsQuery,
  eventParams,
  eventQuery,
  eventsAnswer,
  eventsQuery,
  problems,
  storedEvent,
} from '../schemas.ts';
import type { Api } from '../api.ts';
import { cloudEventOf } from '../../cloudevents/out.ts';
import { cloudEvent, cloudEventBatch } from '../cloudevents/schemas.ts';
import { CLOUDEVENT_TYPE, asksForCloudEvents } from '../cloudevents/ask.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

interface Parts {
  readonly store: EventStore;
  readonly room: ReadRoom;
  readonly underWay: AnswersUnderWay;
}

const EVENTS_SCHEMA = {
  summary: 'Read events in order',
  description:
    'All matching events, streamed from one snapshot; with `limit` one page of them. ' +
    'With `Accept: application/x-ndjson` one event per line; with `application/cloudevents-batch+json` CloudEvents. ' +
    'Events that have expired are passed over; `expired` and the header `Chronicle-Expired` say how many.',
  tags: ['events'],
  querystring: eventsQuery,
  response: {
    200: {
      description: 'Events',
      content: {
        'application/json': { schema: Type.Unsafe<Readable | Uint8Array>(eventsAnswer) },
        'application/cloudevents-batch+json': { schema: Type.Unsafe<Readable | Uint8Array>(cloudEventBatch) },
      },
    },
    ...problems(400, 409, 410, 422, 500, 503),
  },
};

const EVENT_SCHEMA = {
  summary: 'Was this event processed?',
  description: 'With `Accept: application/cloudevents+json` the event is given as a CloudEvent.',
  tags: ['events'],
  params: eventParams,
  querystring: eventQuery,
  response: {
    200: {
      description: 'The stored event',
      content: {
        'application/json': { schema: Type.Unsafe<Uint8Array>(storedEvent) },
        'application/cloudevents+json': { schema: Type.Unsafe<Uint8Array>(cloudEvent) },
      },
    },
    ...problems(400, 404, 410, 422, 500),
  },
};

/** `GET /events` and `GET /events/{topic}/{event_id}`. Stored text is passed on unchanged, never parsed. */
export async function eventsRoutes(api: Api, { store, room, underWay }: Parts): Promise<void> {
  api.get(
    '/events',
    {
      config: { scope: 'read' },
      schema: EVENTS_SCHEMA,
    },
    async (request, reply) => {
      const form = formFor(request);
      if (request.query.topic !== undefined) requireTopic(request, request.query.topic);
      const query = { ...pageQueryOf(request.query, form), topicPatterns: visiblePatterns(request) };
      const { limit, epoch, after } = request.query;
      requireCursorOf(store.epochs, epoch, after);
      reply.header(EPOCH_HEADER, currentEpoch(store.epochs));
      reply.type(form.type);
      const isHead = request.method === 'HEAD';
      const reading = room.open(reply.raw);
      if (limit === undefined) {
        if (isHead) {
          // Its answer has no body, so no events need to be read.
          tellExpired(reply, (await snapshotOf(store, query)).expired);
          return reply.send(Readable.from([]));
        }
        reading.need(form.rooms * WHOLE_ANSWER_BYTES);
        const holding = underWay.begin(neededFrom(query));
        reply.raw.once('close', () => holding.end());
        await underWay.earlierSteps();
        const { expired, pieces } = await wholeAnswer(store, query, form, holding, request.log);
        tellExpired(reply, expired);
        return reply.send(Readable.from(noting(reading, pieces), { objectMode: false }));
      }

      const page = await readPage(store, { ...query, eventsMax: limit }, form, reading);
      return sendPage(reply, request.query, page, { reading, form, isHead });
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
      if (typeof json === 'object') {
        const { offset, receivedMs } = json;
        const receivedAt = new Date(receivedMs).toISOString();
        throw new ProblemError(
          'event_expired',
          `event ${JSON.stringify(eventId)} of topic ${JSON.stringify(topic)} was processed at offset ${offset} at ` +
            `${receivedAt}, and is not kept`,
          undefined,
          { offset, received_at: receivedAt },
        );
      }
      if (json === undefined) {
        throw new ProblemError(
          'event_not_found',
          `topic ${JSON.stringify(topic)} has no event ${JSON.stringify(eventId)}`,
        );
      }
      if (asksForCloudEvents(request)) {
        return reply.type(CLOUDEVENT_TYPE).send(cloudEventOf(Buffer.from(json)));
      }
      return reply.type(JSON_TYPE).send(Buffer.from(json));
    },
  );
}

function tellExpired(reply: FastifyReply, expired: number): void {
  if (expired > 0) reply.header(EXPIRED_HEADER, expired);
}

/** Sends a small page at once, and a large one at the pace of its reader. */
function sendPage(
  reply: FastifyReply,
  query: EventsQuery,
  { pieces, count, expired, next }: Page,
  { reading, form, isHead }: { reading: Reading; form: Form; isHead: boolean },
) {
  tellExpired(reply, expired);
  if (next !== null) reply.header('link', nextLink(query, next));
  const head = form.head(count, expired);
  const tail = form.tail(next);
  const whole = [...(head === null ? [] : [head]), ...pieces, ...(tail === null ? [] : [tail])];
  const length = whole.reduce((bytes, piece) => bytes + piece.length, 0);
  if (isHead || length <= ONE_PIECE_BYTES) return reply.send(Buffer.concat(whole));
  reply.header('content-length', length);
  return reply.send(Readable.from(noting(reading, whole), { objectMode: false }));
}

function pageQueryOf(query: EventsQuery, { framing }: Form): PageQuery {
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
    framing,
    gaps: query.expired === 'refuse' ? 'apart' : undefined,
  };
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

/** RFC 8288: the address of the next page, for readers that do not parse the body. */
function nextLink(query: EventsQuery, next: number): string {
  const parameters = Object.entries({ ...query, after: next }).map(([name, value]) => [name, String(value)]);
  return `</events?${new URLSearchParams(parameters).toString()}>; rel="next"`;
}
