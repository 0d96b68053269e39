import type { Writable } from 'node:stream';
import { hasWildcard, topicPatternFault } from '@chronicleweaver/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type EventStore, START, type TopicFilter } from '../../store/event-store.ts';
import type { Commits } from '../../commits/commits.ts';
import type { Followers } from '../../followers/followers.ts';
import { requireTopic, visiblePatterns } from '../request/access.ts';
import { EPOCH_HEADER, currentEpoch, requireCursorOf } from '../epochs.ts';
import { ProblemError } from '../request/problems.ts';
import { type StreamQuery, problems, streamHeaders, streamQuery } from '../schemas.ts';
import type { Api } from '../api.ts';

/**
 * When a reader that was cut off comes back, milliseconds: drawn for each from a range, so that a restart is not followed
 * by all of them in one moment.
 */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 2000;

const HEADERS = {
  'content-type': 'text/event-stream',
  // What a proxy repacks or holds back comes late.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  // The end of the stream is that of the connection: nothing stands around the events, and all who follow can be given
  // the same bytes.
  connection: 'close',
};

interface Parts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly followers: Followers;
}

/** `GET /events/stream`: the log as Server-Sent Events (WHATWG HTML, 9.2), from a cursor on, without an end. */
export async function streamRoutes(api: Api, { store, commits, followers }: Parts): Promise<void> {
  const epochNow = currentEpoch(store.epochs);
  api.get(
    '/events/stream',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Follow events live',
        description:
          'Server-Sent Events without a name, for `onmessage`: `id` is the offset, `data` the event as `GET /events` gives it. ' +
          'First all events behind the cursor, then each as it is committed: none missing, none twice.',
        tags: ['events'],
        querystring: streamQuery,
        headers: streamHeaders,
        response: {
          200: {
            description: 'Events, without an end',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          ...problems(409, 422, 500, 503),
        },
      },
    },
    async (request, reply) => {
      const { topic, epoch } = request.query;
      const filter = filterOf(request, topic);
      const cursor = cursorOf(request.query, request.headers['last-event-id']);
      if (cursor !== 'latest') requireCursorOf(store.epochs, epoch, cursor);
      const start = await startOf(cursor);
      await followers.probe(filter, start);
      if (request.method === 'HEAD') return reply.headers({ ...HEADERS, [EPOCH_HEADER]: epochNow }).send('');
      followers.follow(filter, start, () => open(reply, start, epochNow));
    },
  );

  /** The offset that the cursor means. Behind the last one nothing can be told: it may be of another log. */
  async function startOf(cursor: number | 'latest'): Promise<number> {
    if (cursor !== 'latest' && cursor <= commits.lastOffset) return cursor;
    // The store may be ahead of what is known here, and only it knows what was answered before.
    const { lastOffset } = await store.snapshot({ order: 'asc', after: START.asc });
    if (cursor === 'latest') return lastOffset;
    if (cursor <= lastOffset) return cursor;
    throw new ProblemError(
      'cursor_beyond_end',
      `the cursor is ${cursor} and the log ends at ${lastOffset}: it is from another log, or this one was restored ` +
        'from a copy; read again from an offset that is there, or from after=earliest',
    );
  }
}

/** Who asks for the same topics in another order follows the same channel. */
function filterOf(request: FastifyRequest, topics: readonly string[] | undefined): TopicFilter {
  const visible = visiblePatterns(request) ?? [];
  if (topics === undefined) return { topicPatterns: visible };
  const errors = topics.flatMap((topic) => {
    const fault = topicPatternFault(topic);
    return fault === undefined
      ? []
      : [{ index: null, field: 'topic', message: `${JSON.stringify(topic)}: ${fault}` }];
  });
  if (errors.length > 0) {
    throw new ProblemError(
      'invalid_parameter',
      errors.map(({ message }) => `topic ${message}`).join('; '),
      errors,
    );
  }
  // Of a pattern the part that may be seen is followed; a topic that may not would be waited for in vain.
  for (const topic of topics) if (!hasWildcard(topic)) requireTopic(request, topic);
  return { topicPatterns: [[...new Set(topics)].toSorted(), ...visible] };
}

/**
 * The id that a reader got last is where it was cut off, so it wins over where it began. Readers that cannot set a header
 * send it as a parameter; a reader that has got none yet may send an empty one.
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

const ID_EXPECTED = 'takes the id of an event, which is its offset';

function offsetOf(field: string, text: string, expected: string): number {
  const offset = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(offset)) return offset;
  const message = `${expected}, not ${JSON.stringify(text)}`;
  throw new ProblemError('invalid_parameter', `${field}: ${message}`, [{ index: null, field, message }]);
}

/** Sends the head, when to come back, and from where: who is cut off before the first event misses none. */
function open(reply: FastifyReply, start: number, epoch: string): Writable {
  reply.hijack();
  const response = reply.raw;
  response.removeHeader('transfer-encoding');
  // What hooks have set, such as whose pages may read it.
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(200, { ...HEADERS, [EPOCH_HEADER]: epoch });
  const retryMs = RETRY_MS_MIN + Math.floor(Math.random() * (RETRY_MS_MAX - RETRY_MS_MIN));
  response.write(`retry: ${retryMs}\nid: ${start}\n\n`);
  return response;
}
