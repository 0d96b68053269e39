import { LIMITS } from '@chronicleweaver/protocol';
import type { Static, TSchema } from 'typebox';
import { Type } from '../../json-schema.ts';
import { KINDS, SOURCE_NAME } from '../../sources/source.ts';

/** The schemas of requests about sources and of their answers; `/openapi.json` is generated from them. */

const closed = { additionalProperties: false } as const;
const text = (charsMax: number, description: string) =>
  Type.String({ minLength: 1, maxLength: charsMax, description });
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const sourceParams = Type.Object({
  name: Type.String({
    pattern: SOURCE_NAME.source,
    description: '1 to 128 letters, digits and ._-, not beginning with a dot or a hyphen.',
  }),
});

/** Somebody who names more means all. */
const DIGEST_FIELDS_MAX = 32;

/** Longer ones are nobody's. */
const SECRET_CHARS_MAX = 1024;
const secret = Type.String({ minLength: 1, maxLength: SECRET_CHARS_MAX });
const place = (description: string) => Type.Optional(text(256, description));

const signature = Type.Object(
  {
    header: text(128, 'The header in which it is.'),
    algorithm: Type.Optional(
      Type.Enum(['sha1', 'sha256', 'sha512'], { description: 'Of the HMAC; `sha256` if absent.' }),
    ),
    encoding: Type.Optional(Type.Enum(['hex', 'base64'], { description: '`hex` if absent.' })),
    prefix: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'What stands before it, such as `sha256=`; nothing if absent.',
      }),
    ),
  },
  { ...closed, description: 'Of kind generic: how a body is signed; as GitHub does if absent.' },
);

export const sourceBody = Type.Object(
  {
    kind: Type.Enum([...KINDS], { description: 'Who sends.' }),
    topic: text(
      LIMITS.topicCharsMax,
      'Of the events; names in braces stand for parts of a delivery, such as `github.{type}`.',
    ),
    source: Type.Optional(
      text(LIMITS.sourceCharsMax, 'The `source` of the events; the name of the source if absent.'),
    ),
    secrets: Type.Optional(
      Type.Array(secret, {
        minItems: 1,
        maxItems: LIMITS.sourceSecretsMax,
        description: 'A delivery is taken if it is signed with any of them. They are never told again.',
      }),
    ),
    secret: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: SECRET_CHARS_MAX,
        description: 'Short for `secrets` with only this one.',
      }),
    ),
    max_age: Type.Optional(
      Type.String({ description: 'How old a signature may be that tells its time, such as `5m`.' }),
    ),
    id: place(
      'Where the id of an event is: the name of a header, a JSON pointer such as `/id`, or `digest`. Of kind collector: a JSON ' +
        'pointer, names of fields in braces, such as `{host}/{number}`, or `digest`.',
    ),
    timestamp: place(
      'Where the time of an event is: the name of a header, or a JSON pointer. Of kind collector: a field.',
    ),
    digest: Type.Optional(
      Type.Array(text(256, 'A field.'), {
        minItems: 1,
        maxItems: DIGEST_FIELDS_MAX,
        description:
          'Of kind collector: the fields that tell records without an id apart; all of the record if absent.',
      }),
    ),
    records: place("Of kind collector: the member of a body's objects that holds the records."),
    signature: Type.Optional(signature),
  },
  { ...closed, title: 'SourceDefinition' },
);
export type SourceBody = Static<typeof sourceBody>;

export const sourceAnswer = Type.Object(
  {
    name: Type.String(),
    kind: Type.Enum([...KINDS]),
    address: Type.String({ description: 'Where it sends to, on this service.' }),
    topic: Type.String(),
    source: Type.String(),
    secrets: Type.Integer({ minimum: 0, description: 'How many; without any, deliveries need a key.' }),
    max_age: nullable(Type.String({ description: 'How old a signature may be.' })),
    id: Type.Optional(Type.String()),
    timestamp: Type.Optional(Type.String()),
    digest: Type.Optional(Type.Array(Type.String())),
    records: Type.Optional(Type.String()),
    signature: Type.Optional(signature),
  },
  { title: 'Source' },
);
export type SourceAnswer = Static<typeof sourceAnswer>;

export const sourcesAnswer = Type.Object(
  { count: Type.Integer({ minimum: 0, description: 'Sources.' }), sources: Type.Array(sourceAnswer) },
  { title: 'SourcesAnswer' },
);

const anything = { schema: Type.Unsafe({ description: 'What the kind of the source says.' }) };

/** Checked by the kind, and before that by nobody. */
export const deliveryBody = { content: { '*/*': anything } };
