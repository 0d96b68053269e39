import { LIMITS } from '@chronicleweaver/protocol';
import type { Static, TSchema } from 'typebox';
import { Type } from '../../json-schema.ts';
import { REPEATS_KEPT_MAX } from '../../store/repeat-store.ts';
import { storedEvent } from '../schemas.ts';

/** The schemas of requests about duplicates and of their answers; `/openapi.json` is generated from them. */

const closed = { additionalProperties: false } as const;
const count = (description: string) => Type.Integer({ minimum: 0, description });
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = (description: string) => Type.String({ format: 'date-time', description });

const topic = Type.Optional(
  Type.Array(Type.String({ minLength: 1, maxLength: LIMITS.topicCharsMax }), {
    maxItems: LIMITS.groupTopicsMax,
    description:
      'May be repeated: topics that match any of these patterns. `*` is any one word, `>` as the last word is one or ' +
      'more remaining words.',
  }),
);
const source = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: LIMITS.sourceCharsMax,
    description: 'Only repeats from this source.',
  }),
);
const limit = (most: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: most, default: Math.min(100, most), description }));

export const agesQuery = Type.Object({ topic, source }, closed);

const counts = {
  duplicates: count('Events whose id was known already, conflicts included.'),
  conflicts: count('Of these, events with other content than the stored one.'),
};
const countedSince = time('Since when the service has counted, UTC.');

export const agesAnswer = Type.Object(
  {
    counted_since: countedSince,
    ...counts,
    ages: Type.Array(
      Type.Object({
        up_to: nullable(
          Type.String({ description: 'The bound of these ages, inclusive; null for all that are older.' }),
        ),
        ...counts,
        let_through: count(
          'Duplicates that a broker would have stored again if it remembered ids for `up_to`.',
        ),
      }),
      { description: 'By how long after the first one the duplicate came, the youngest first.' },
    ),
  },
  { title: 'AgesAnswer' },
);
export type AgesAnswer = Static<typeof agesAnswer>;

export const topQuery = Type.Object(
  {
    by: Type.Optional(
      Type.Enum(['topic', 'source'], { default: 'topic', description: 'Whose duplicates are told.' }),
    ),
    period: Type.Optional(
      Type.Enum(['hour', 'day', 'all'], {
        default: 'all',
        description: 'The last hour or day, in whole periods of ten minutes; or all time.',
      }),
    ),
    topic,
    limit: limit(1000, 'Names in the answer.'),
  },
  closed,
);

export const topAnswer = Type.Object(
  {
    since: time('From when on the duplicates are counted, UTC.'),
    top: Type.Array(Type.Object({ name: Type.String(), ...counts }), {
      description: 'Most duplicates first.',
    }),
    unnamed: Type.Object(counts, {
      description: 'By source: duplicates of sources that are counted together, because there are too many.',
    }),
  },
  { title: 'TopAnswer' },
);

const key = nullable(Type.String({ description: 'The name of the key it was published with.' }));

export const historyAnswer = Type.Object(
  {
    topic: Type.String(),
    event_id: Type.String(),
    offset: Type.Integer({ minimum: 1 }),
    received_at: time('When the event was committed, UTC.'),
    source: nullable(Type.String({ description: "The event's source; null once its text is not kept." })),
    counted_since: countedSince,
    ...counts,
    repeats: Type.Array(
      Type.Object({
        received_at: time('When the repeat was judged, UTC.'),
        verdict: Type.Enum(['duplicate', 'conflict']),
        source: Type.String(),
        key,
      }),
      { description: `The last ${REPEATS_KEPT_MAX}, the newest first.` },
    ),
  },
  { title: 'HistoryAnswer' },
);
export type HistoryAnswer = Static<typeof historyAnswer>;

export const conflictsQuery = Type.Object(
  {
    topic,
    source,
    before: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: '`next` of the page before: only older conflicts.',
      }),
    ),
    limit: limit(1000, 'Conflicts on a page; fewer if their texts are long.'),
  },
  closed,
);

export const conflictsAnswer = Type.Object(
  {
    count: count('Conflicts on this page.'),
    conflicts: Type.Array(
      Type.Object({
        number: Type.Integer({
          minimum: 1,
          description: 'Counts all conflicts, in the order of their commits.',
        }),
        received_at: time('When it was judged, UTC.'),
        topic: Type.String(),
        event_id: Type.String(),
        source: Type.String({ description: 'Of the event that lost.' }),
        key,
        offset: Type.Integer({ minimum: 1, description: 'Of the stored event.' }),
        event: nullable(
          Type.Unsafe({
            ...storedEvent,
            title: 'LostEvent',
            required: ['event_id', 'topic', 'source', 'payload', 'timestamp'],
            description: 'As it was sent; null if its text is not kept.',
          }),
        ),
      }),
      { description: 'The newest first.' },
    ),
    next: nullable(
      Type.Integer({ minimum: 1, description: 'The `before` of the next page, null on the last.' }),
    ),
  },
  { title: 'ConflictsAnswer' },
);
