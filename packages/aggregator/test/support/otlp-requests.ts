import * as fc from 'fast-check';

/** OTLP's messages in JSON, each field of which may be missing. */

const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('service.name', 'log.record.uid', '"\\\n', '\u2028', '\ufeff', '*.>'),
  },
);
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const uint32 = fc.nat({ max: 2 ** 31 - 1 });
const double = fc
  .double()
  .map((number) =>
    Number.isFinite(number) && !Object.is(number, -0)
      ? number
      : Object.is(number, -0)
        ? '-0'
        : String(number),
  );
const hex = fc.uint8Array({ maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const base64 = fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64'));

const { value, attributes } = fc.letrec<{ value: object; attributes: object[] }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({ stringValue: text }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ intValue: int64 }),
    fc.record({ doubleValue: double }),
    fc.record({ bytesValue: base64 }),
    fc.constant({}),
    fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { maxLength: 3 }) }) }),
    fc.record({ kvlistValue: fc.record({ values: tie('attributes') }) }),
  ),
  attributes: fc.array(fc.record({ key: text, value: tie('value') }, { requiredKeys: [] }), { maxLength: 3 }),
}));

const record = fc.record(
  {
    timeUnixNano: uint64,
    observedTimeUnixNano: uint64,
    severityNumber: fc.nat({ max: 30 }),
    severityText: text,
    eventName: text,
    body: value,
    attributes,
    droppedAttributesCount: uint32,
    flags: uint32,
    traceId: hex,
    spanId: hex,
  },
  { requiredKeys: [] },
);

const scope = fc.record(
  { name: text, version: text, attributes, droppedAttributesCount: uint32 },
  { requiredKeys: [] },
);
const scopeLogs = fc.record(
  { scope, logRecords: fc.array(record, { maxLength: 4 }), schemaUrl: text },
  { requiredKeys: [] },
);
const resourceLogs = fc.record(
  {
    resource: fc.record({ attributes, droppedAttributesCount: uint32 }, { requiredKeys: [] }),
    scopeLogs: fc.array(scopeLogs, { maxLength: 3 }),
    schemaUrl: text,
  },
  { requiredKeys: [] },
);

export const requests: fc.Arbitrary<{ resourceLogs?: unknown }> = fc.record(
  { resourceLogs: fc.array(resourceLogs, { maxLength: 3 }) },
  { requiredKeys: [] },
);
