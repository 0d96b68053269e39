import { LIMITS } from '@chronicleweaver/protocol';
import type { Static, TSchema } from 'typebox';
import { Type } from '../../json-schema.ts';
import { AUDIT_ACTIONS, type AuditAction } from '../../store/audit-store.ts';

/** The schemas of requests about the audit trail and of their answers; `/openapi.json` is generated from them. */

const closed = { additionalProperties: false } as const;
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = (description: string) => Type.String({ format: 'date-time', description });
const action = Type.Enum([...AUDIT_ACTIONS]);

const from = Type.Optional(
  Type.String({ format: 'iso-date-time', description: 'Earliest time of the entries, inclusive.' }),
);
const to = Type.Optional(
  Type.String({ format: 'iso-date-time', description: 'Latest time of the entries, exclusive.' }),
);

export const auditQuery = Type.Object(
  {
    action: Type.Optional(
      Type.Array(action, {
        maxItems: AUDIT_ACTIONS.length,
        description: 'May be repeated: entries of any of these actions.',
      }),
    ),
    topic: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: LIMITS.topicCharsMax }), {
        maxItems: LIMITS.groupTopicsMax,
        description:
          'May be repeated: entries about topics that match any of these patterns. `*` is any one word, `>` as the last word ' +
          'is one or more remaining words.',
      }),
    ),
    event_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: LIMITS.eventIdCharsMax,
        description: 'Entries about one event, on the one `topic` that is given beside it.',
      }),
    ),
    from,
    to,
    before: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: '`next` of the page before: entries behind it.',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'Entries on a page at most.' }),
    ),
  },
  closed,
);

export const summaryQuery = Type.Object(
  {
    from,
    to,
    by: Type.Optional(
      Type.Enum(['hour', 'day'], {
        description:
          'Counts by hours or days, too (UTC): without `from` those of the last day, or of the last 30.',
      }),
    ),
  },
  closed,
);

const entry = Type.Object({
  number: Type.Integer({ minimum: 1, description: 'Another one for each entry, with gaps.' }),
  at: time('When it happened, UTC.'),
  action,
  topic: nullable(Type.String()),
  event_id: nullable(
    Type.String({ description: 'Null if the entry is about no single event, or its text is not kept.' }),
  ),
  offset: nullable(Type.Integer({ minimum: 1, description: 'Of the event that it is about.' })),
  key: nullable(
    Type.String({ description: 'The name of the key that did it; or that was added, changed or revoked.' }),
  ),
  group: Type.Optional(Type.String({ description: 'The group to which it was delivered.' })),
  delivery: Type.Optional(Type.Integer({ minimum: 1, description: 'The how manieth delivery it was.' })),
  code: Type.Optional(Type.String({ description: 'Why it was refused.' })),
  count: Type.Optional(
    Type.Integer({ minimum: 1, description: 'How many it stands for: refusals alike are told together.' }),
  ),
  events: Type.Optional(Type.Integer({ minimum: 0, description: 'Events that a truncation let go of.' })),
  forgotten: Type.Optional(Type.Boolean({ description: 'Whether the id was forgotten with the text.' })),
  source: Type.Optional(Type.String({ description: 'The source that was set or deleted.' })),
  policy: Type.Optional(Type.String({ description: 'The policy that was set or deleted.' })),
  changed: Type.Optional(Type.Array(Type.String(), { description: 'What was changed of the key.' })),
  version: Type.Optional(Type.String({ description: 'Of the service that started.' })),
});

export const auditAnswer = Type.Object(
  {
    count: Type.Integer({ minimum: 0, description: 'Entries on this page.' }),
    entries: Type.Array(entry, { description: 'The newest first.' }),
    next: nullable(
      Type.Integer({
        minimum: 0,
        description:
          'The `before` of the next page, null on the last. A page may have few entries, or none, and a next one.',
      }),
    ),
  },
  { title: 'AuditAnswer' },
);
export type AuditEntryAnswer = Static<typeof entry>;

const counts = Type.Object(
  Object.fromEntries(AUDIT_ACTIONS.map((one) => [one, Type.Integer({ minimum: 0 })])) as Record<
    AuditAction,
    ReturnType<typeof Type.Integer>
  >,
  { description: 'How many entries there are of each action; refusals as many as there were.' },
);

export const summaryAnswer = Type.Object(
  {
    from: nullable(time('Earliest time, inclusive; null: from the oldest entry on.')),
    to: nullable(time('Latest time, exclusive; null: up to now.')),
    counts,
    periods: Type.Optional(
      Type.Array(Type.Object({ at: time('When it begins.'), counts }), {
        description: 'Ascending; those without entries are left out.',
      }),
    ),
  },
  { title: 'AuditSummaryAnswer' },
);
export type SummaryAnswer = Static<typeof summaryAnswer>;
