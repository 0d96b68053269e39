import type { Writable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { type EventStore, START } from '../../store/event-store.ts';
import type { Commits } from '../../commits/commits.ts';
import type { Followers } from '../../followers/followers.ts';
import { cloudEventsOfFrames } from '../../cloudevents/framed.ts';
import { asksForCloudEvents } from '../cloudevents/ask.ts';
import { EPOCH_HEADER, currentEpoch, requireCursorOf } from '../epochs.ts';
import { ProblemError } from '../request/problems.ts';
import { topicFilterIn } from '../request/topic-patterns.ts';
import { requireKept } from './cursor-expired.ts';
import { type StreamQuery, problems, streamHeaders, streamQuery } from '../schemas.ts';
import type { Api } from '../api.ts';

/**
 * How long a reader that was cut off waits before it reconnects, milliseconds. Drawn at random for each, so that not all
 * readers reconnect at the same moment after a restart.
 */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 2000;

const HEADERS = {
  'content-type': 'text/event-stream',
  // A proxy that compresses or buffers the stream would delay events.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  // The stream ends with its connection. So it needs no chunk framing, and all followers can be sent the same bytes.
  connection: 'close',
};

interface Parts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly followers: Followers;
}

/** `GET /events/stream`: the log as Server-Sent Events (WHATWG HTML, 9.2), from a cursor on, without end. */
export async function streamRoutes(api: Api, { store, commits, followers }: Parts): Promise<void> {
  api.get(
    '/events/stream',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Follow events live',
        description:
          'Server-Sent Events without a name, for `onmessage`: `id` is the offset, `data` the event as in `GET /events`. ' +
          'First all events after the cursor, then each new one as it is committed: none missing, none twice. ' +
          'With `format=cloudevents` the data are CloudEvents. ' +
          'Where events have expired comes one named `gap`, whose `data` says how many and between which offsets.',
        tags: ['events'],
        querystring: streamQuery,
        headers: streamHeaders,
        response: {
          200: {
            description: 'Events, without end',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          ...problems(409, 410, 422, 500, 503),
        },
      },
    },
    async (request, reply) => {
      const { topic, epoch, expired } = request.query;
      const isStrict = expired === 'refuse';
      const filter = topicFilterIn(request, topic);
      const cursor = cursorOf(request.query, request.headers['last-event-id']);
      let epochs;
      let start;
      do {
        epochs = store.epochs;
        if (cursor !== 'latest') requireCursorOf(epochs, epoch, cursor);
        start = await startOf(cursor);
        if (isStrict && start > 0) await requireKept(store, { ...filter, order: 'asc', after: start });
        await followers.probe(filter, start);
        // Where an epoch has begun meanwhile, the cursor may mean other events.
      } while (epochs !== store.epochs);
      const epochNow = currentEpoch(epochs);
      if (request.method === 'HEAD') return reply.headers({ ...HEADERS, [EPOCH_HEADER]: epochNow }).send('');
      const options = { isStrict, ...(asksForCloudEvents(request) && { written: cloudEventsOnce }) };
      followers.follow(filter, start, () => open(reply, start, epochNow), options);
    },
  );

  /** The offset that the cursor stands for. One beyond the end is refused: it may belong to another log. */
  async function startOf(cursor: number | 'latest'): Promise<number> {
    if (cursor !== 'latest' && cursor <= commits.lastOffset) return cursor;
    // The store may be ahead of this process's commits, and publishes may already have been answered with its offsets.
    const { lastOffset } = await store.snapshot({ order: 'asc', after: START.asc });
    if (cursor === 'latest') return lastOffset;
    if (cursor <= lastOffset) return cursor;
    throw new ProblemError(
      'cursor_beyond_end',
      `the cursor is ${cursor}, but the log ends at ${lastOffset}: it belongs to another log, or this one was restored ` +
        'from a copy; read again from an offset that exists, or with after=earliest',
    );
  }
}

/**
 * The last id that a reader received tells where it was cut off, so it wins over `after`, where it began. Readers that
 * cannot set headers send it as a parameter. A reader that has received nothing yet may send an empty one.
 */
function cursorOf(
  { after = 'latest', lastEventId }: StreamQuery,
  header: string | undefined,
): number | 'latest' {
  if (header) return offsetOf('Last-Event-ID', header, ID_EXPECTED);
  if (lastEventId) return offsetOf('lastEventId', lastEventId, ID_EXPECTED);
  if (after === 'latest') return after;
  if (after === 'earliest') return 0;
  return offsetOf('after', after, 'takes an offset, earliest or latest');
}

const ID_EXPECTED = "takes an event's id, which is its offset";

function offsetOf(field: string, text: string, expected: string): number {
  const offset = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(offset)) return offset;
  const message = `${expected}, not ${JSON.stringify(text)}`;
  throw new ProblemError('invalid_parameter', `${field}: ${message}`, [{ index: null, field, message }]);
}

/** The CloudEvents of framed events, made once for all followers of the same ones. */
function cloudEventsOnce(frames: Uint8Array): Uint8Array {
  let made = madeOf.get(frames);
  if (made === undefined) madeOf.set(frames, (made = cloudEventsOfFrames(frames)));
  return made;
}

const madeOf = new WeakMap<Uint8Array, Uint8Array>();

/** Sends the head, the time to reconnect, and the cursor, so that a reader cut off before the first event misses none. */
function open(reply: FastifyReply, start: number, epoch: string): Writable {
  reply.hijack();
  const response = reply.raw;
  response.removeHeader('transfer-encoding');
  // Include the headers that hooks have set, such as those for CORS.
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(200, { ...HEADERS, [EPOCH_HEADER]: epoch });
  const retryMs = RETRY_MS_MIN + Math.floor(Math.random() * (RETRY_MS_MAX - RETRY_MS_MIN));
  response.write(`retry: ${retryMs}\nid: ${start}\n\n`);
  return response;
}
