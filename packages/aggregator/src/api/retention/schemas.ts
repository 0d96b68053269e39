import { LIMITS } from '@chronicleweaver/protocol';
import type { Static, TSchema } from 'typebox';
import { Type } from '../../json-schema.ts';

/** The schemas of requests about retention and of their answers; `/openapi.json` is generated from them. */

const closed = { additionalProperties: false } as const;
const count = (description: string) => Type.Integer({ minimum: 0, description });
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = (description: string) => Type.String({ format: 'date-time', description });

export const policyParams = Type.Object({
  name: Type.String({
    pattern: `^[A-Za-z0-9_][A-Za-z0-9._-]{0,${LIMITS.groupNameCharsMax - 1}}$`,
    description: `1 to ${LIMITS.groupNameCharsMax} letters, digits and ._-, not beginning with a dot or a hyphen.`,
  }),
});

export const putQuery = Type.Object(
  {
    dry_run: Type.Optional(
      Type.Boolean({ default: false, description: 'Store nothing; tell what would go now.' }),
    ),
  },
  closed,
);

const duration = (description: string) =>
  Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], description }));

export const policyBody = Type.Object(
  {
    topics: Type.Array(Type.String(), {
      minItems: 1,
      maxItems: LIMITS.groupTopicsMax,
      description:
        'Patterns: `*` matches one dot-separated word, `>` as the last word matches all remaining ones.',
    }),
    keep: Type.Optional(
      Type.Enum(['events', 'ids'], {
        description:
          '`events` (if absent): within the bounds. `ids`: texts are never stored, publishes are judged as always.',
      }),
    ),
    max_age: duration('How long an event is kept after its commit, such as `90d`, `12h` or `P30D`.'),
    max_bytes: Type.Optional(
      Type.Unsafe<number | string | null>({
        type: ['integer', 'string', 'null'],
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description:
          'Of the events of all these topics together, uncompressed: a number, `10GB` or `512MiB`.',
      }),
    ),
    max_events: Type.Optional(
      Type.Unsafe<number | null>({
        type: ['integer', 'null'],
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Of all these topics together.',
      }),
    ),
    ids: Type.Optional(
      Type.String({
        description:
          '`forever` (if absent), or how long after its commit the id of an event is known at least.',
      }),
    ),
    past_groups: Type.Optional(
      Type.Boolean({ description: 'Whether events go that a group has not finished; false if absent.' }),
    ),
    held_max: duration('How long a group may hold an event that is due; as long as it takes if absent.'),
  },
  { ...closed, title: 'PolicyDefinition' },
);
export type PolicyBody = Static<typeof policyBody>;

const policyMembers = {
  name: Type.String(),
  topics: Type.Array(Type.String()),
  keep: Type.Enum(['events', 'ids']),
  max_age: nullable(Type.String()),
  max_bytes: nullable(Type.Integer()),
  max_events: nullable(Type.Integer()),
  ids: Type.String(),
  past_groups: Type.Boolean(),
  held_max: nullable(Type.String()),
};

export const policyAnswer = Type.Object(policyMembers, { title: 'Policy' });
export type PolicyAnswer = Static<typeof policyAnswer>;

export const policiesAnswer = Type.Object(
  { count: count('Policies.'), policies: Type.Array(policyAnswer) },
  { title: 'PoliciesAnswer' },
);

const holds = Type.Array(
  Type.Object({
    group: Type.String(),
    since: time('When the first of these events was due.'),
    events: count('Events that are due and that the group has not finished.'),
  }),
  { description: 'Groups that hold up events that are due.' },
);

export const previewAnswer = Type.Object(
  {
    events: count('Events that go now.'),
    bytes: count('Of their texts, uncompressed.'),
    up_to: nullable(Type.Integer({ description: 'The offset of the last one.' })),
    oldest_kept: nullable(
      Type.Object(
        { offset: Type.Integer(), received_at: time('When it was committed, UTC.') },
        { description: 'The oldest event that stays; null if none does.' },
      ),
    ),
    held_by: holds,
  },
  { title: 'PreviewAnswer' },
);
export type PreviewAnswer = Static<typeof previewAnswer>;

export const policyStateAnswer = Type.Object(
  {
    ...policyMembers,
    exceptions: Type.Array(Type.String(), {
      description: 'The policies whose narrower patterns take some of these topics out of this one.',
    }),
    kept: Type.Object({ events: count('Events on these topics.'), bytes: count('Of them, uncompressed.') }),
    expired: count('Events of these topics that are not kept.'),
    due: Type.Object(
      { events: count('Kept events beyond the bounds.'), bytes: count('Of them, uncompressed.') },
      { description: 'They go within a minute unless a group holds them.' },
    ),
    held_by: holds,
    last_run: nullable(
      Type.Object(
        {
          at: time('When it ended.'),
          events: count('That expired.'),
          bytes: count('Of them, uncompressed.'),
          ids: count('That were forgotten.'),
        },
        {
          description: 'The last time this instance let go of something; null if it has not since its start.',
        },
      ),
    ),
  },
  { title: 'PolicyState' },
);
export type PolicyStateAnswer = Static<typeof policyStateAnswer>;

export const truncateQuery = Type.Object(
  {
    before: Type.String({
      maxLength: LIMITS.timestampCharsMax,
      description:
        'An offset or a time: the topic is let go of up to there, without the event at that place.',
    }),
  },
  closed,
);

export const truncatedAnswer = Type.Object(
  {
    topic: Type.String(),
    events: count('Events that expired.'),
    bytes: count('Of their texts, uncompressed.'),
    first_offset: nullable(Type.Integer({ description: 'Of the first event of the topic that is kept.' })),
  },
  { title: 'TruncatedAnswer' },
);

export const forgetQuery = Type.Object(
  {
    forget: Type.Optional(Type.Boolean({ default: false, description: 'Whether to forget the id as well.' })),
  },
  closed,
);

export const erasedAnswer = Type.Object(
  {
    topic: Type.String(),
    event_id: Type.String(),
    offset: Type.Integer({ description: 'Where the event was.' }),
    received_at: time('When it was committed, UTC.'),
    was_kept: Type.Boolean({ description: 'False if it had expired before, or was never kept.' }),
    forgotten: Type.Boolean(),
  },
  { title: 'ErasedAnswer' },
);
