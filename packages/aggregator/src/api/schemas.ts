import { LIMITS, PROBLEMS, VERDICTS, eventSchema } from '@chronicleweaver/protocol';
import type { Static } from 'typebox';
import { Type } from '../json-schema.ts';

/** The schemas that check requests and shape answers; `/openapi.json` is made from them. */

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
      Type.Boolean({ default: false, description: 'Whether to tell the verdict of each event.' }),
    ),
  },
  { additionalProperties: false },
);

/** What the event reader takes (api/event-reader.ts): this describes it, the reader checks it. */
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
    accepted: count('Stored now.'),
    duplicates: count('Stored before, so dropped; conflicts are among them.'),
    conflicts: count('Stored before under the same id with other content, so dropped.'),
    results: Type.Optional(
      Type.Array(
        Type.Object({
          event_id: Type.String(),
          topic: Type.String(),
          verdict: Type.Enum([...VERDICTS]),
          offset,
        }),
        { description: 'One per event, in order; a dropped event has the offset of the one that was kept.' },
      ),
    ),
  },
  { title: 'PublishAnswer' },
);

const epoch = Type.String({
  maxLength: 64,
  description: 'The epoch in which the cursor was got: a cursor that means other events by now is refused.',
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
        description: 'An offset: only what comes behind it, in the order asked for.',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: LIMITS.pageEventsMax,
        description: 'Events of a page; without it the answer is all events, streamed.',
      }),
    ),
    order: Type.Optional(Type.Enum(['asc', 'desc'], { default: 'asc', description: 'Of the offsets.' })),
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
          'May stand several times: events of any of these topics. A topic is words between dots; `*` is any one ' +
          'word, `>` as the last word is one or more of what is left.',
        examples: [['orders.*', 'payments.>']],
      }),
    ),
    after: Type.Optional(
      Type.String({
        default: 'latest',
        description:
          'An offset, to begin behind it; `earliest`, the whole log; or `latest`, what is to come.',
      }),
    ),
    lastEventId: Type.Optional(
      Type.String({
        description:
          'The same as the header `Last-Event-ID`, which wins over it, for readers that cannot set a header. Wins over ' +
          '`after`; empty, it is ignored.',
      }),
    ),
    epoch: Type.Optional(epoch),
  },
  { additionalProperties: false },
);

export type StreamQuery = Static<typeof streamQuery>;

export const streamHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'The id of the last event received; wins over `lastEventId` and `after`.' }),
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

/** A stored event with further members; `example` gives a value for each. */
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
        description: 'With limit only: the `after` of the next page, null on the last.',
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

/** A number about all topics at once; the answer to a key with topics of its own has none of these. */
const whole = (description: string) => Type.Optional(count(`${description} Not for a key with topics.`));

export const statsAnswer = Type.Object(
  {
    received: whole('Events of all answered publishes: unique_processed + duplicated_dropped.'),
    unique_processed: count('Events stored.'),
    duplicated_dropped: whole('Events dropped, conflicts among them.'),
    topics: Type.Array(Type.String(), { description: 'All topics ever seen, sorted.' }),
    uptime: count('Seconds since the start of the process.'),
    conflicts: whole('Events dropped whose content differed from that of the stored one.'),
    last_offset: count('The highest offset given so far.'),
    stored_bytes: whole('Size of the database on disk.'),
    queued_events: whole('Events that wait for their commit.'),
    queued_bytes: whole('Memory that they hold.'),
    commits: whole('Commits since the start of the process.'),
    followers: whole('Live streams that are open.'),
    version: Type.String(),
    epoch: Type.String({ description: 'Another one after a restore from a copy.' }),
  },
  {
    title: 'StatsAnswer',
    description: 'To a key with topics only what is true of those topics alone.',
  },
);

export const messageAnswer = Type.Object({ message: Type.String() }, { title: 'Message' });

const problem = Type.Object(
  {
    type: Type.String(),
    status: Type.Integer(),
    title: Type.String(),
    detail: Type.String({ description: 'What happened this time and what to do.' }),
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
    done: Type.Optional(count('Of a request about leases: how many were good, for which it was done.')),
  },
  { title: 'Problem', description: 'RFC 9457' },
);

/** The answers that a resource gives when it refuses, for the OpenAPI document. */
export function problems(...statuses: number[]) {
  return Object.fromEntries(
    statuses.map((status) => {
      const titles = Object.values(PROBLEMS).filter((known) => known.status === status);
      const description = titles.map(({ title }) => title).join('; or: ');
      return [status, { description, content: { 'application/problem+json': { schema: problem } } }];
    }),
  );
}
