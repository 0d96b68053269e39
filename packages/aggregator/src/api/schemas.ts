import { LIMITS, PROBLEMS, VERDICTS, eventSchema } from '@chronicleweaver/protocol';
import type { Static } from 'typebox';
import { Type } from '../json-schema.ts';

/** The schemas that check requests and describe answers; `/openapi.json` is generated from them. */

const topic = Type.String({ minLength: 1, maxLength: LIMITS.topicCharsMax });
const source = Type.String({ minLength: 1, maxLength: LIMITS.sourceCharsMax });
const time = (description: string) => Type.String({ format: 'iso-date-time', description });
const count = (description: string) => Type.Integer({ minimum: 0, description });
const offset = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Place in the log.',
});

/** Of resources that take no parameters. */
export const noQuery = Type.Object({}, { additionalProperties: false });

export const publishQuery = Type.Object(
  {
    results: Type.Optional(
      Type.Boolean({ default: false, description: 'Whether to return the verdict on each event.' }),
    ),
  },
  { additionalProperties: false },
);

/** What the event reader accepts (event/event-reader.ts): this describes it, the reader checks it. */
export const publishBody = Type.Union([
  Type.Object(
    { events: Type.Array(Type.Unsafe(eventSchema), { maxItems: LIMITS.batchEventsMax }) },
    { additionalProperties: false, title: 'Batch' },
  ),
  Type.Array(Type.Unsafe(eventSchema), { maxItems: LIMITS.batchEventsMax, title: 'Events' }),
  Type.Unsafe(eventSchema),
]);

const publishCounts = {
  events_count: count('Events of this publish: accepted + duplicates.'),
  accepted: count('Stored by this publish.'),
  duplicates: count('Dropped because they were already stored, including conflicts.'),
  conflicts: count('Dropped because their id was already stored with other content.'),
};

export const publishAnswer = Type.Object(
  {
    status: Type.Literal('success'),
    message: Type.String(),
    ...publishCounts,
    results: Type.Optional(
      Type.Array(
        Type.Object({
          event_id: Type.String(),
          topic: Type.String(),
          verdict: Type.Enum([...VERDICTS]),
          offset,
        }),
        { description: 'One per event, in order; a dropped event has the offset of the stored one.' },
      ),
    ),
  },
  { title: 'PublishAnswer' },
);

const epoch = Type.String({
  maxLength: 64,
  description:
    'The epoch in which the cursor was obtained: a cursor that no longer means the same events is refused.',
});

const expired = Type.Enum(['tell', 'refuse'], {
  default: 'tell',
  description:
    'Whether events beyond the cursor that have expired are passed over and counted, or the request is refused.',
});

const format = Type.Enum(['cloudevents'], {
  description: 'Events are given as CloudEvents, as with `Accept: application/cloudevents+json`.',
});

export const eventQuery = Type.Object({ format: Type.Optional(format) }, { additionalProperties: false });

export const eventsQuery = Type.Object(
  {
    topic: Type.Optional(topic),
    source: Type.Optional(source),
    from: Type.Optional(time('Earliest timestamp of the events, inclusive.')),
    to: Type.Optional(time('Latest timestamp of the events, exclusive.')),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'An offset: only events after it, in the requested order.',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: LIMITS.pageEventsMax,
        description: 'Events on a page; without it the answer is all events, streamed.',
      }),
    ),
    order: Type.Optional(
      Type.Enum(['asc', 'desc'], { default: 'asc', description: 'The order of offsets.' }),
    ),
    epoch: Type.Optional(epoch),
    expired: Type.Optional(expired),
    format: Type.Optional(format),
  },
  { additionalProperties: false },
);
export type EventsQuery = Static<typeof eventsQuery>;

export const streamQuery = Type.Object(
  {
    topic: Type.Optional(
      Type.Array(topic, {
        maxItems: LIMITS.groupTopicsMax,
        description:
          'May be repeated: events on any of these topics. A topic is words separated by dots; `*` is any one ' +
          'word, `>` as the last word is one or more remaining words.',
        examples: [['orders.*', 'payments.>']],
      }),
    ),
    after: Type.Optional(
      Type.String({
        default: 'latest',
        description:
          'An offset, to begin after it; `earliest`, for the whole log; or `latest`, for future events only.',
      }),
    ),
    lastEventId: Type.Optional(
      Type.String({
        description:
          'The same as the header `Last-Event-ID`, for readers that cannot set a header. The header overrides it; it overrides ' +
          '`after`. Ignored if empty.',
      }),
    ),
    epoch: Type.Optional(epoch),
    expired: Type.Optional(expired),
    format: Type.Optional(format),
  },
  { additionalProperties: false },
);

export type StreamQuery = Static<typeof streamQuery>;

export const streamHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'The id of the last event received; overrides `lastEventId` and `after`.' }),
  ),
});

export const topicParams = Type.Object({ topic });

export const eventParams = Type.Object({
  topic,
  event_id: Type.String({ minLength: 1, maxLength: LIMITS.eventIdCharsMax }),
});

const { $id: _id, title: _title, ...sentEvent } = eventSchema;

const storedEventSchema = {
  ...sentEvent,
  title: 'StoredEvent',
  required: [...sentEvent.required, 'offset', 'received_at'],
  properties: {
    ...sentEvent.properties,
    offset,
    received_at: { type: 'string', format: 'date-time', description: 'When it was committed, UTC.' },
  },
  examples: [{ ...sentEvent.examples[0], offset: 1, received_at: '2025-10-28T10:00:01.000Z' }],
} as const;

export const storedEvent = Type.Unsafe(storedEventSchema);

/** A stored event with additional members; `example` gives a value for each. */
export function storedEventWith(
  title: string,
  properties: Readonly<Record<string, object>>,
  example: Readonly<Record<string, unknown>>,
) {
  return Type.Unsafe({
    ...storedEventSchema,
    title,
    required: [...storedEventSchema.required, ...Object.keys(properties)],
    properties: { ...storedEventSchema.properties, ...properties },
    examples: [{ ...storedEventSchema.examples[0], ...example }],
  });
}

export const eventsAnswer = Type.Object(
  {
    count: count('Events in this answer.'),
    expired: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Expired events that were passed over, up to `next` or the end; left out if there are none.',
      }),
    ),
    events: Type.Array(storedEvent),
    next: Type.Optional(
      Type.Union([offset, Type.Null()], {
        description: 'Only with `limit`: the `after` of the next page, null on the last.',
      }),
    ),
  },
  { title: 'EventsAnswer' },
);

const firstOffset = Type.Union([offset, Type.Null()], {
  description: 'Of the first event that is kept; null if none is.',
});

export const topicsAnswer = Type.Object(
  {
    count: count('Topics.'),
    topics: Type.Array(
      Type.Object({
        topic: Type.String(),
        events: count('Events that are kept.'),
        expired: count('Events that are not kept, whether they expired or their texts were never stored.'),
        first_offset: firstOffset,
        last_offset: offset,
        bytes: count('Of the events that are kept, uncompressed.'),
      }),
    ),
  },
  { title: 'TopicsAnswer' },
);

/** A number that covers all topics; left out of answers to a key with topics of its own. */
const whole = (description: string) => Type.Optional(count(`${description} Not for a key with topics.`));

export const statsAnswer = Type.Object(
  {
    received: whole('Events in all answered publishes: unique_processed + duplicated_dropped.'),
    unique_processed: count('Events stored: stored + expired.'),
    stored: count('Of these, events that are kept.'),
    expired: count('Of these, events that are not kept: only their ids are.'),
    first_offset: firstOffset,
    duplicated_dropped: whole('Events dropped, including conflicts.'),
    topics: Type.Array(Type.String(), { description: 'All topics ever seen, sorted.' }),
    uptime: count('Seconds since the start of the process.'),
    conflicts: whole('Events dropped whose content differed from the stored event.'),
    last_offset: count('The highest offset assigned so far.'),
    stored_bytes: whole('Size of the database on disk.'),
    queued_events: whole('Events waiting for their commit.'),
    queued_bytes: whole('Bytes of memory that these hold.'),
    commits: whole('Commits since the start of the process.'),
    followers: whole('Open live streams.'),
    store: Type.Optional(Type.String({ description: 'sqlite, postgres or memory.' })),
    database: Type.Optional(
      Type.String({ description: 'The path of the file, or server and database without a password.' }),
    ),
    store_version: Type.Optional(
      Type.String({ description: 'The version of SQLite, or of the PostgreSQL server.' }),
    ),
    version: Type.String(),
    epoch: Type.String({ description: 'Changes when the log is restored from a copy.' }),
  },
  {
    title: 'StatsAnswer',
    description: 'A key with topics gets only the numbers of those topics.',
  },
);

export const messageAnswer = Type.Object({ message: Type.String() }, { title: 'Message' });

const metricsText = { schema: Type.String() };

export const metricsAnswer = {
  description: 'The page of metrics',
  content: { 'text/plain': metricsText, 'application/openmetrics-text': metricsText },
};

export const readyAnswer = Type.Object(
  { message: Type.String(), store: Type.String({ description: 'sqlite, postgres or memory.' }) },
  { title: 'ReadyAnswer' },
);

const problem = Type.Object(
  {
    type: Type.String(),
    status: Type.Integer(),
    title: Type.String(),
    detail: Type.String({ description: 'What happened this time, and what to do.' }),
    code: Type.Enum(Object.keys(PROBLEMS)),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          index: Type.Union([Type.Integer(), Type.Null()], {
            description: 'The place in the batch or list, from 0.',
          }),
          field: Type.Union([Type.String(), Type.Null()]),
          message: Type.String(),
          code: Type.Optional(Type.Enum(Object.keys(PROBLEMS))),
          line: Type.Optional(Type.Integer({ description: 'In a body of lines, the line, from 1.' })),
        }),
      ),
    ),
    done: Type.Optional(count('For a request about leases: how many held, and were done.')),
    offset: Type.Optional(offset),
    expired: Type.Optional(count('Expired events that the answer would pass over.')),
    next: Type.Optional(count('The cursor to go on from, behind what is gone.')),
    kept: Type.Optional(
      count('Kept events before `next`, which pages would bring first; left out if there are none.'),
    ),
    received_at: Type.Optional(
      Type.String({ format: 'date-time', description: 'When an event that has expired was committed, UTC.' }),
    ),
    published: Type.Optional(
      Type.Object(publishCounts, { description: 'For a body of lines: what became of the events before.' }),
    ),
  },
  { title: 'Problem', description: 'RFC 9457' },
);

/** The refusals of a resource, for the OpenAPI document. */
export function problems(...statuses: number[]) {
  return Object.fromEntries(
    statuses.map((status) => {
      const titles = Object.values(PROBLEMS).filter((known) => known.status === status);
      const description = titles.map(({ title }) => title).join('; or: ');
      return [status, { description, content: { 'application/problem+json': { schema: problem } } }];
    }),
  );
}
