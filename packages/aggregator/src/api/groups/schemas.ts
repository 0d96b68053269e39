import { LIMITS } from '@chronicleweaver/protocol';
import type { Static, TSchema } from 'typebox';
import { Type } from '../../json-schema.ts';
import { storedEventWith } from '../schemas.ts';

/** The schemas of requests about groups and of their answers; `/openapi.json` is generated from them. */

const count = (description: string) => Type.Integer({ minimum: 0, description });
const closed = { additionalProperties: false } as const;
const offset = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Place in the log.',
});

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const groupParams = Type.Object({
  name: Type.String({
    pattern: `^[A-Za-z0-9_][A-Za-z0-9._-]{0,${LIMITS.groupNameCharsMax - 1}}$`,
    description: `1 to ${LIMITS.groupNameCharsMax} letters, digits and ._-, not beginning with a dot or a hyphen.`,
  }),
});

const topics = Type.Array(Type.String(), {
  minItems: 1,
  maxItems: LIMITS.groupTopicsMax,
  description:
    'Patterns: `*` matches one dot-separated word, `>` as the last word matches all remaining ones.',
});
const start = Type.Unsafe<string | number>({
  type: ['string', 'integer'],
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description:
    '`earliest`, `latest`, the offset of the first event, or a time: the first event committed then or later.',
});
const leaseMs = (description: string) =>
  Type.Integer({ minimum: LIMITS.leaseMsMin, maximum: LIMITS.leaseMsMax, description });

export const definitionBody = Type.Object(
  {
    topics,
    start: Type.Optional(start),
    lease_ms: Type.Optional(leaseMs('How long a worker has for an event; 30000 if absent.')),
    max_deliveries: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: LIMITS.deliveriesMax,
        description: 'Deliveries after which an event is dead; 5 if absent.',
      }),
    ),
    push: Type.Optional(
      Type.Object(
        {
          url: Type.String({
            description: 'Where each event is sent, in order; http or https.',
          }),
          secrets: Type.Optional(
            Type.Array(Type.String(), {
              minItems: 1,
              maxItems: LIMITS.pushSecretsMax,
              description:
                'Each signs what is sent: `whsec_` and the base64 of 24 to 64 random bytes. They are never returned.',
            }),
          ),
          format: Type.Optional(
            Type.Enum(['cloudevents'], {
              description: 'Each event is sent as a CloudEvent, in structured mode.',
            }),
          ),
          secret: Type.Optional(Type.String({ description: 'Short for `secrets` with only this one.' })),
        },
        { ...closed, description: 'Sends events as Standard Webhooks says; without it workers pull them.' },
      ),
    ),
  },
  { ...closed, title: 'GroupDefinition' },
);
export type DefinitionBody = Static<typeof definitionBody>;

export const groupAnswer = Type.Object(
  {
    name: Type.String(),
    topics: Type.Array(Type.String()),
    start,
    lease_ms: Type.Integer(),
    max_deliveries: Type.Integer(),
    created_at: Type.String({ format: 'date-time' }),
    cursor: count('All events of the group up to this offset are acknowledged, dead or expired.'),
    lag: count('Events that are yet to be acknowledged: kept ones, and those that a worker has.'),
    in_flight: count('Of these: currently leased to a worker.'),
    returned: count('Of these: given back, or with a lease that ran out; they will be delivered again.'),
    dead: count('Events that were delivered as often as allowed.'),
    deliveries: count('Total since the group was created.'),
    redeliveries: count("Of these: not their event's first."),
    acknowledged: count('Events acknowledged since the group was created.'),
    expired: count('Events whose text was gone before the group had finished them, since it was created.'),
    push: Type.Optional(
      Type.Object(
        {
          url: Type.String(),
          secrets: Type.Integer({ minimum: 1, description: 'How many secrets sign each message.' }),
          format: Type.Optional(Type.Enum(['cloudevents'])),
          state: Type.Enum(['active', 'failing', 'paused'], {
            description: 'Failing: the last attempt failed. Paused: nothing is sent before it is resumed.',
          }),
          paused_by: nullable(
            Type.Enum(['failures', 'request'], {
              description: 'Failures: all attempts of a day have failed, or the target is gone.',
            }),
          ),
          failing_since: nullable(Type.String({ format: 'date-time' })),
          last_failure: nullable(Type.String()),
        },
        { description: 'Only for a group that pushes its events.' },
      ),
    ),
  },
  { title: 'Group' },
);

export type GroupAnswer = Static<typeof groupAnswer>;

export const groupsAnswer = Type.Object(
  { count: count('Groups.'), subscriptions: Type.Array(groupAnswer) },
  { title: 'GroupsAnswer' },
);

export const pullBody = Type.Object(
  {
    max: Type.Integer({
      minimum: 1,
      maximum: LIMITS.pullEventsMax,
      default: 100,
      description: 'At most this many events.',
    }),
    wait_ms: Type.Integer({
      minimum: 0,
      maximum: LIMITS.pullWaitMsMax,
      default: 0,
      description: 'How long to wait for the first event.',
    }),
  },
  { ...closed, title: 'Pull' },
);

export const pullAnswer = Type.Object(
  {
    count: count('Events in this answer.'),
    events: Type.Array(
      storedEventWith(
        'DeliveredEvent',
        {
          delivery: {
            type: 'integer',
            minimum: 1,
            description: 'How often the event was delivered, including this time.',
          },
          lease_id: { type: 'string', description: 'Identifies the lease; opaque.' },
        },
        { delivery: 1, lease_id: '1.1.l9Zc2pZ0q7cTzr1V' },
      ),
    ),
  },
  { title: 'PullAnswer' },
);

const leaseIds = Type.Array(Type.String(), {
  minItems: 1,
  maxItems: LIMITS.leaseIdsMax,
  description: 'As returned by pulls.',
});

export const acknowledgeBody = Type.Object({ lease_ids: leaseIds }, { ...closed, title: 'Acknowledgement' });
export const giveBackBody = Type.Object(
  {
    lease_ids: leaseIds,
    delay_ms: Type.Integer({
      minimum: 0,
      maximum: LIMITS.delayMsMax,
      default: 0,
      description: 'How long until they may be delivered again.',
    }),
  },
  { ...closed, title: 'GivingBack' },
);
export const extendBody = Type.Object(
  {
    lease_ids: leaseIds,
    lease_ms: Type.Optional(leaseMs("From now on; the group's own if absent.")),
  },
  { ...closed, title: 'Extension' },
);
export const doneAnswer = Type.Object(
  { done: count('The number of leases: all were done.') },
  { title: 'LeasesAnswer' },
);

export const deadQuery = Type.Object(
  {
    after: Type.Optional(
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Only offsets above this.' }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: LIMITS.deadEventsMax,
        description: 'Events on a page; 100 if absent.',
      }),
    ),
  },
  closed,
);

const deadMembers = {
  deliveries: { type: 'integer', minimum: 1 },
  dead_at: { type: 'string', format: 'date-time' },
  reason: { enum: ['lease_expired', 'given_back'], description: 'How its last lease ended.' },
} as const;
const deadExample = { deliveries: 5, dead_at: '2025-10-28T10:15:00.000Z', reason: 'lease_expired' };

const expiredDeadEvent = Type.Unsafe({
  title: 'ExpiredDeadEvent',
  description: 'A dead event whose text is gone.',
  type: 'object',
  additionalProperties: false,
  required: ['offset', 'expired', ...Object.keys(deadMembers)],
  properties: { offset, expired: { const: true }, ...deadMembers },
  examples: [{ offset: 1, expired: true, ...deadExample }],
});

export const deadAnswer = Type.Object(
  {
    count: count('Events in this answer.'),
    events: Type.Array(
      Type.Union([storedEventWith('DeadEvent', deadMembers, deadExample), expiredDeadEvent]),
    ),
    cursor: count("The group's cursor at the time of this list."),
    next: Type.Union([offset, Type.Null()], {
      description: 'The `after` of the next page, null on the last.',
    }),
  },
  { title: 'DeadAnswer' },
);

export const replayBody = Type.Object(
  {
    offsets: Type.Optional(
      Type.Array(offset, { minItems: 1, maxItems: LIMITS.deadEventsMax, description: 'All if absent.' }),
    ),
  },
  { ...closed, title: 'Replay' },
);
export const replayAnswer = Type.Object(
  {
    replayed: count('Events that will be delivered again; at most 10000 at a time, lowest offsets first.'),
    dead: count('Events that are still dead.'),
  },
  { title: 'ReplayAnswer' },
);

export const emptyBody = Type.Object({}, { ...closed, title: 'Nothing' });

export const seekBody = Type.Object(
  {
    offset: Type.Optional(
      Type.Unsafe<string | number>({
        type: ['string', 'integer'],
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: '`earliest`, `latest`, or the offset of the first event to deliver.',
      }),
    ),
    time: Type.Optional(
      Type.String({ description: 'ISO 8601: the first event committed then or later is delivered next.' }),
    ),
  },
  { ...closed, title: 'Seek', minProperties: 1, maxProperties: 1 },
);
export const seekAnswer = Type.Object(
  { cursor: count('Only events above it are delivered from now on.') },
  { title: 'SeekAnswer' },
);
