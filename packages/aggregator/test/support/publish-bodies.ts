import { LIMITS } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';

/** Text of a length near the limit, in characters of every width. */
function textNear(max: number): fc.Arbitrary<string> {
  const length = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 20 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, max - 1, max, max + 1) },
  );
  const chars = fc.constantFrom('x', 'é', '漢', '😀', '"', '\\', '\n', '\u2028');
  return fc
    .oneof(
      fc.tuple(chars, length).map(([char, length]) => char.repeat(length)),
      fc.string({ unit: 'binary', maxLength: 30 }),
    )
    .filter((text) => !text.includes('\0'));
}

const times = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
      .map((date) => date.toISOString()),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '2025-10-28',
      '2025-10-28 10:00',
      '2025-10-28t10:00:00,123456789z',
      '2016-12-31T23:59:60+0000',
      '0000-01-01',
      `2025-10-28T10:00:00.${'0'.repeat(44)}`,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      'now',
      '2025-02-30',
      '2025-10-28T24:00',
      '2025-10-28T10',
      '20251028',
      `2025-10-28T10:00:00.${'0'.repeat(45)}`,
      `2025-10-28T10:00:00.${'0'.repeat(500)}`,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.string({ unit: fc.constantFrom(...'0123456789-:TZ+. ,'.split('')), maxLength: 30 }),
  },
);

const values = fc.jsonValue({ maxDepth: 3 });
const payloads = fc
  .tuple(
    fc.dictionary(
      fc.oneof(fc.string({ maxLength: 5 }), fc.constantFrom('__proto__', 'constructor', 'Message')),
      values,
      { maxKeys: 4 },
    ),
    fc.record({ message: fc.string({ maxLength: 5 }), timestamp: times }, { requiredKeys: [] }),
  )
  .map(([any, known]): unknown => ({ ...any, ...known }));

/** An event's members as pairs, so that they can come in any order and have any name. */
const validMembers: fc.Arbitrary<[string, unknown][]> = fc
  .tuple(
    textNear(LIMITS.eventIdCharsMax),
    textNear(LIMITS.topicCharsMax),
    textNear(LIMITS.sourceCharsMax),
    payloads,
    times,
  )
  .map(([id, topic, source, payload, timestamp]) => [
    ['event_id', id],
    ['topic', topic],
    ['source', source],
    ['payload', payload],
    ['timestamp', timestamp],
  ]);

type Mutation = (members: [string, unknown][]) => [string, unknown][];
const fieldIndex = fc.nat({ max: 4 });
const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Mutation>((members) => members) },
  { weight: 2, arbitrary: fc.constant<Mutation>((members) => members.toReversed()) },
  {
    weight: 1,
    arbitrary: fieldIndex.map(
      (at): Mutation =>
        (members) =>
          members.toSpliced(at, 1),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fieldIndex, values).map(
      ([at, value]): Mutation =>
        (members) =>
          members.with(at, [members[at]![0], value]),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fieldIndex,
        fc.oneof(
          fc.string({ maxLength: 8 }),
          fc.constantFrom('__proto__', 'toString', 'Topic', 'offset', 'events', ''),
        ),
        values,
      )
      .map(
        ([at, name, value]): Mutation =>
          (members) =>
            members.toSpliced(at, 0, [name, value]),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom('message', 'timestamp'), values).map(
      ([name, value]): Mutation =>
        (members) =>
          members.with(3, ['payload', { [name]: value }]),
    ),
  },
);

const events: fc.Arbitrary<unknown> = fc.oneof(
  // Built from pairs, so that a member "__proto__" is like any other.
  {
    weight: 20,
    arbitrary: fc
      .tuple(validMembers, mutations)
      .map(([members, mutate]): unknown => Object.fromEntries(mutate(members))),
  },
  { weight: 1, arbitrary: values },
);

export const bodies: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: events },
  { weight: 4, arbitrary: fc.array(events, { maxLength: 3 }).map((events) => ({ events })) },
  { weight: 1, arbitrary: values },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.string({ maxLength: 5 }), values, fc.boolean()).map(([name, value, first]) =>
      Object.fromEntries(
        first
          ? [
              [name, value],
              ['events', []],
            ]
          : [
              ['events', []],
              [name, value],
            ],
      ),
    ),
  },
  { weight: 1, arbitrary: values.map((events) => ({ events })) },
);
