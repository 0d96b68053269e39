import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** A message of OTLP in its JSON encoding. Values that are not like that are left out. */
export type Message = Readonly<Record<string, unknown>>;

/** How a field is written: its number, and its type or the message that it holds. */
type Field = readonly [
  number: number,
  type: 'string' | 'hex' | 'base64' | 'bool' | 'int64' | 'uint32' | 'double' | 'fixed64' | 'fixed32' | Shape,
];
interface Shape {
  readonly [name: string]: Field;
}

const anyValue: Record<string, Field> = {
  stringValue: [1, 'string'],
  boolValue: [2, 'bool'],
  intValue: [3, 'int64'],
  doubleValue: [4, 'double'],
  bytesValue: [7, 'base64'],
};
const keyValue: Shape = { key: [1, 'string'], value: [2, anyValue] };
anyValue['arrayValue'] = [5, { values: [1, anyValue] }];
anyValue['kvlistValue'] = [6, { values: [1, keyValue] }];

const logRecord: Shape = {
  timeUnixNano: [1, 'fixed64'],
  severityNumber: [2, 'uint32'],
  severityText: [3, 'string'],
  body: [5, anyValue],
  attributes: [6, keyValue],
  droppedAttributesCount: [7, 'uint32'],
  flags: [8, 'fixed32'],
  traceId: [9, 'hex'],
  spanId: [10, 'hex'],
  observedTimeUnixNano: [11, 'fixed64'],
  eventName: [12, 'string'],
};
const scope: Shape = {
  name: [1, 'string'],
  version: [2, 'string'],
  attributes: [3, keyValue],
  droppedAttributesCount: [4, 'uint32'],
};
const scopeLogs: Shape = { scope: [1, scope], logRecords: [2, logRecord], schemaUrl: [3, 'string'] };
const resource: Shape = { attributes: [1, keyValue], droppedAttributesCount: [2, 'uint32'] };
const resourceLogs: Shape = { resource: [1, resource], scopeLogs: [2, scopeLogs], schemaUrl: [3, 'string'] };

/** An ExportLogsServiceRequest that was written in JSON, in protobuf (opentelemetry-proto, v1). */
export function protobufOf(request: Message): Uint8Array {
  const writer = new BinaryWriter();
  write(writer, { resourceLogs: [1, resourceLogs] }, request);
  return writer.finish();
}

function write(writer: BinaryWriter, shape: Shape, message: Message): void {
  for (const [name, field] of Object.entries(shape)) {
    const value = message[name];
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) writeField(writer, field, one);
  }
}

function writeField(writer: BinaryWriter, [number, type]: Field, value: unknown): void {
  const begin = (wire: WireType): BinaryWriter => writer.tag(number, wire);
  if (typeof type === 'object') {
    begin(WireType.LengthDelimited).fork();
    write(writer, type, value as Message);
    writer.join();
    return;
  }
  switch (type) {
    case 'string':
      return void begin(WireType.LengthDelimited).string(value as string);
    case 'hex':
    case 'base64':
      return void begin(WireType.LengthDelimited).bytes(Buffer.from(value as string, type));
    case 'bool':
      return void begin(WireType.Varint).bool(value as boolean);
    case 'int64':
      return void begin(WireType.Varint).int64(String(value));
    case 'uint32':
      return void begin(WireType.Varint).uint32(Number(value));
    case 'double':
      return void begin(WireType.Bit64).double(Number(value));
    case 'fixed64':
      return void begin(WireType.Bit64).fixed64(String(value));
    case 'fixed32':
      return void begin(WireType.Bit32).fixed32(Number(value));
  }
}
