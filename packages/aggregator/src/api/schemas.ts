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
  Type.Unsafe(eventSchema),
]);

export const publishAnswer = Type.Object(
  {
    status: Type.Literal('success'),
    message: Type.String(),
    events_count: count('Events of this publish: accepted + duplicates.'),
    accepted: count('Stored by this publish.'),
    duplicates: count('Dropped because they were already stored, including conflicts.'),
    conflicts: count('Dropped because their id was already stored with other content.'),
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
  },
  { additionalProperties: false },
);

export type StreamQuery = Static<typeof streamQuery>;

export const streamHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'The id of the last event received; overrides `lastEventId` and `after`.' }),
  ),
});

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
    events: Type.Array(storedEvent),
    next: Type.Optional(
      Type.Union([offset, Type.Null()], {
        description: 'Only with `limit`: the `after` of the next page, null on the last.',
      }),
    ),
  },
  { title: 'EventsAnswer' },
);

export const topicsAnswer = Type.Object(
  {
    count: count('Topics.'),
    topics: Type.Array(
      Type.Object({ topic: Type.String(), events: count('Stored events.'), last_offset: offset }),
    ),
  },
  { title: 'TopicsAnswer' },
);

/** A number that covers all topics; left out of answers to a key with topics of its own. */
const whole = (description: string) => Type.Optional(count(`${description} Not for a key with topics.`));

export const statsAnswer = Type.Object(
  {
    received: whole('Events in all answered publishes: unique_processed + duplicated_dropped.'),
    unique_processed: count('Events stored.'),
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
    version: Type.String(),
    epoch: Type.String({ description: 'Changes when the log is restored from a copy.' }),
  },
  {
    title: 'StatsAnswer',
    description: 'A key with topics gets only the numbers of those topics.',
  },
);

export const messageAnswer = Type.Object({ message: Type.String() }, { title: 'Message' });

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
        }),
      ),
    ),
    done: Type.Optional(count('For a request about leases: how many held, and were done.')),
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
