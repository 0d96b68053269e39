import { type Message, protobufOf } from '../lab/otlp-protobuf.ts';
import type { SeededRandom } from '../lab/random.ts';
import { brokenText, hostileValue } from './json-text.ts';
import { hostileText, plainText } from './values.ts';

/** A body for `POST /v1/logs`. */
export interface LogsBody {
  readonly bytes: Buffer;
  readonly type: string;
  /** The most records that can be read from it. */
  readonly recordsMax: number;
}

/** A request in either encoding, often with something wrong in it. */
export function logsBody(random: SeededRandom): LogsBody {
  const request = exportRequest(random);
  const type = random.chance(0.9) ? 'application/x-protobuf' : 'application/json';
  if (random.chance(0.5)) {
    const text = JSON.stringify(request);
    if (random.chance(0.6)) return { ...jsonBody(text), recordsMax: recordsIn(request) };
    // A value of another kind in some place, or text that is no JSON.
    const wrong = text.replace(/"(?:x|1)"/, () => hostileValue(random));
    return jsonBody(random.chance(0.5) ? wrong : brokenText(random, wrong));
  }
  const bytes = Buffer.from(protobufOf(request));
  if (random.chance(0.5)) return { bytes, type, recordsMax: recordsIn(request) };
  const broken = brokenMessage(random, bytes);
  return { bytes: broken, type, recordsMax: broken.length };
}

function jsonBody(text: string): LogsBody {
  const bytes = Buffer.from(text);
  return { bytes, type: 'application/json', recordsMax: bytes.length };
}

function recordsIn({ resourceLogs }: Message): number {
  return (resourceLogs as readonly { scopeLogs: readonly { logRecords: readonly unknown[] }[] }[]).flatMap(
    ({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords),
  ).length;
}

function exportRequest(random: SeededRandom): Message {
  return {
    resourceLogs: some(random, 2, () => ({
      resource: { attributes: attributes(random, 2), droppedAttributesCount: random.whole(0, 9) },
      scopeLogs: some(random, 2, () => ({
        scope: { name: text(random), version: '1', attributes: attributes(random, 1) },
        logRecords: some(random, 3, () => logRecord(random)),
        schemaUrl: text(random),
      })),
    })),
  };
}

function logRecord(random: SeededRandom): Message {
  return {
    timeUnixNano: random.of(['0', '1', '1544712660300000123', '18446744073709551615']),
    observedTimeUnixNano: random.of(['0', '1544712660300000123']),
    severityNumber: random.whole(0, 30),
    severityText: text(random),
    eventName: text(random),
    // Deeper than a payload may be, now and then.
    body: random.chance(0.02) ? nested(random.of([96, 97, 98, 1000] as const)) : anyValue(random, 4),
    attributes: attributes(random, 3),
    flags: random.whole(0, 3),
    traceId: random.of(['', '00'.repeat(16), '5b8efff798038103d269b633813fc60c', 'ff']),
    spanId: random.of(['', 'eee19b7ec3c1b174']),
  };
}

function attributes(random: SeededRandom, depth: number): Message[] {
  const keys = ['service.name', 'service.instance.id', 'log.record.uid', '__proto__', ''] as const;
  return some(random, 3, () => ({
    key: random.chance(0.5) ? random.of(keys) : text(random),
    value: anyValue(random, depth),
  }));
}

function anyValue(random: SeededRandom, depth: number): Message {
  switch (random.whole(0, depth > 0 ? 8 : 6)) {
    case 0:
      return { boolValue: true };
    case 1:
      return { intValue: random.of(['0', '-1', '9223372036854775807', '-9223372036854775808']) };
    case 2:
      return { doubleValue: random.of<number | string>([0.1, 1e300, 5e-324, 'NaN', '-Infinity']) };
    case 3:
      return { bytesValue: random.of(['', 'AP8=', 'AAAA']) };
    case 4:
      return {};
    case 5:
    case 6:
      return { stringValue: text(random) };
    case 7:
      return { arrayValue: { values: some(random, 3, () => anyValue(random, depth - 1)) } };
    default:
      return { kvlistValue: { values: attributes(random, depth - 1) } };
  }
}

function nested(depth: number): Message {
  let value: Message = { stringValue: 'x' };
  for (let level = 0; level < depth; level++) value = { arrayValue: { values: [value] } };
  return value;
}

function text(random: SeededRandom): string {
  if (random.chance(0.6)) return plainText(random);
  return random.chance(0.01) ? 'x'.repeat(1_100_000) : hostileText(random);
}

function some<T>(random: SeededRandom, max: number, make: () => T): T[] {
  return Array.from({ length: random.whole(0, max) }, make);
}

/** Changes bytes blindly: lengths that lie, numbers without an end, groups, unknown fields, messages cut short. */
function brokenMessage(random: SeededRandom, whole: Buffer): Buffer {
  let bytes = whole;
  for (let changes = random.whole(1, 3); changes > 0; changes--) {
    const at = random.whole(0, bytes.length);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    bytes = Buffer.concat(
      random.of<readonly Buffer[]>([
        [before],
        [before, after.subarray(random.whole(1, 4))],
        [before, Buffer.from([random.whole(0, 255)]), after.subarray(1)],
        [before, after.subarray(0, 20), after],
        [before, Buffer.from(random.of(WIRE_INSERTS), 'latin1'), after],
      ]),
    );
  }
  return bytes;
}

const WIRE_INSERTS = [
  '\0',
  '\x0a\0',
  '\x0a\xff\xff\xff\xff\x07',
  '\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01',
  '\xff'.repeat(11),
  '\x0b'.repeat(200),
  '\x0b'.repeat(20_000),
  '\x0b\x0c',
  '\x0c',
  '\x0e',
  '\xfa\xff\xff\xff\x0f\0',
  '\x2a\x02\x2a\0'.repeat(50),
  '\x12\0'.repeat(50_000),
] as const;
