import { Type } from '../../json-schema.ts';
import { PROBLEMS } from '@chronicleweaver/protocol';

/** What OTLP's messages look like, for the OpenAPI document. The readers in otlp/ check them. */

const bytes = { schema: { type: 'string', contentMediaType: 'application/x-protobuf' } };

const number64 = (description: string) =>
  Type.Union([Type.String(), Type.Integer()], {
    description: `${description} A number, or a string of digits.`,
  });

const value = Type.Object(
  {
    stringValue: Type.Optional(Type.String()),
    boolValue: Type.Optional(Type.Boolean()),
    intValue: Type.Optional(number64('Whole.')),
    doubleValue: Type.Optional(Type.Number()),
    arrayValue: Type.Optional(Type.Unsafe({ type: 'object', description: '`{"values":[…]}`, values.' })),
    kvlistValue: Type.Optional(Type.Unsafe({ type: 'object', description: '`{"values":[…]}`, attributes.' })),
    bytesValue: Type.Optional(Type.String({ description: 'Base64.' })),
  },
  { description: 'AnyValue: one of these.' },
);
const attributes = Type.Optional(Type.Array(Type.Object({ key: Type.String(), value })));
const schemaUrl = Type.Optional(Type.String());

const logRecord = Type.Object({
  timeUnixNano: Type.Optional(number64('Nanoseconds since 1970.')),
  observedTimeUnixNano: Type.Optional(number64('Counts if the record has no other time.')),
  severityNumber: Type.Optional(Type.Integer({ minimum: 0, maximum: 24 })),
  severityText: Type.Optional(Type.String()),
  eventName: Type.Optional(Type.String()),
  body: Type.Optional(value),
  attributes,
  traceId: Type.Optional(Type.String({ description: '32 hexadecimal digits.' })),
  spanId: Type.Optional(Type.String({ description: '16 hexadecimal digits.' })),
  flags: Type.Optional(Type.Integer({ minimum: 0 })),
});

const scopeLogs = Type.Object({
  scope: Type.Optional(
    Type.Object({ name: Type.Optional(Type.String()), version: Type.Optional(Type.String()), attributes }),
  ),
  logRecords: Type.Optional(Type.Array(logRecord)),
  schemaUrl,
});

const resourceLogs = Type.Object({
  resource: Type.Optional(Type.Object({ attributes })),
  scopeLogs: Type.Optional(Type.Array(scopeLogs)),
  schemaUrl,
});

export const logsBody = {
  content: {
    'application/json': {
      schema: Type.Object(
        { resourceLogs: Type.Optional(Type.Array(resourceLogs)) },
        {
          title: 'ExportLogsServiceRequest',
          description: 'OTLP, JSON encoding. Members that are not described are passed over.',
        },
      ),
    },
    'application/x-protobuf': bytes,
  },
};

const exportAnswer = Type.Object(
  {
    partialSuccess: Type.Optional(
      Type.Object(
        {
          rejectedLogRecords: Type.String({ description: 'How many records were refused; digits.' }),
          errorMessage: Type.String(),
        },
        { description: 'Left out if all is well. Without rejected records it is a warning.' },
      ),
    ),
  },
  { title: 'ExportLogsServiceResponse' },
);

const status = Type.Object(
  {
    code: Type.Integer({ description: 'A google.rpc.Code.' }),
    message: Type.String({ description: "A problem's code, a colon, and what happened." }),
    details: Type.Optional(Type.Array(Type.Unsafe({ type: 'object' }))),
  },
  { title: 'Status', description: 'google.rpc.Status' },
);

const REFUSALS = [400, 401, 403, 413, 415, 422, 429, 503];

export const logsResponses = {
  200: {
    description: 'Stored',
    content: { 'application/json': { schema: exportAnswer }, 'application/x-protobuf': bytes },
  },
  ...Object.fromEntries(
    REFUSALS.map((status_) => {
      const titles = Object.values(PROBLEMS).filter((known) => known.status === status_);
      const description = titles.map(({ title }) => title).join('; or: ');
      return [
        status_,
        { description, content: { 'application/json': { schema: status }, 'application/x-protobuf': bytes } },
      ];
    }),
  ),
};
