import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { LIMITS } from '@chronicleweaver/protocol';
import {
  type LogRecord,
  type LogRequest,
  type ResourceLogs,
  type ScopeLogs,
  TooManyRecords,
  UnreadableRequest,
  emptyRecord,
  emptyResource,
  emptyScope,
} from './log-request.ts';
import {
  NOTHING,
  VALUE_DEPTH_MAX,
  bytesText,
  doubleText,
  integerText,
  listText,
  mapText,
  stringText,
} from './values.ts';

/**
 * Reads a request in protobuf's binary encoding; yields after each record, so that others can have a turn in between. Throws
 * an UnreadableRequest or TooManyRecords.
 *
 * A library reads the wire; this file knows the messages, so that no record takes the form of an object that only serves
 * to become text. As protobuf demands, fields come in any order, unknown ones are passed over, and of a field that is
 * sent twice the last counts.
 */
export function* readProtobufRequest(body: Buffer): Generator<undefined, LogRequest> {
  try {
    return yield* new ProtobufRequestReader(body).request();
  } catch (error) {
    if (error instanceof UnreadableRequest || error instanceof TooManyRecords) throw error;
    // Whatever the library threw, the bytes are at fault: it touches nothing else.
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnreadableRequest(`the body is not an ExportLogsServiceRequest in protobuf: ${reason}`);
  }
}

/** A field as it begins on the wire: its number and how its value is written. */
const varint = (field: number): number => (field << 3) | WireType.Varint;
const fixed64 = (field: number): number => (field << 3) | WireType.Bit64;
const fixed32 = (field: number): number => (field << 3) | WireType.Bit32;
const sized = (field: number): number => (field << 3) | WireType.LengthDelimited;

class ProtobufRequestReader {
  readonly #wire: BinaryReader;
  #records = 0;

  constructor(body: Buffer) {
    this.#wire = new BinaryReader(body);
  }

  *request(): Generator<undefined, LogRequest> {
    const resources: ResourceLogs[] = [];
    const end = this.#wire.len;
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) yield* this.#resourceLogs(resources);
      else this.#passOver(tag);
    }
    return { resources, records: this.#records };
  }

  *#resourceLogs(into: ResourceLogs[]): Generator<undefined, void> {
    const found = emptyResource();
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) this.#resource(found);
      else if (tag === sized(2)) yield* this.#scopeLogs(found.scopes);
      else if (tag === sized(3)) found.schemaUrl = this.#wire.string();
      else this.#passOver(tag);
    }
    if (found.scopes.length > 0) into.push(found);
  }

  #resource(found: ResourceLogs): void {
    const attributes = new Map<string, string>();
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) this.#keyValue(attributes, 0);
      else if (tag === varint(2)) found.droppedAttributes = this.#wire.uint32();
      else this.#passOver(tag);
    }
    found.attributes = attributes;
  }

  *#scopeLogs(into: ScopeLogs[]): Generator<undefined, void> {
    const found = emptyScope();
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) this.#scope(found);
      else if (tag === sized(2)) {
        found.records.push(this.#logRecord());
        yield;
      } else if (tag === sized(3)) found.schemaUrl = this.#wire.string();
      else this.#passOver(tag);
    }
    if (found.records.length > 0) into.push(found);
  }

  #scope(found: ScopeLogs): void {
    const attributes = new Map<string, string>();
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) found.name = this.#wire.string();
      else if (tag === sized(2)) found.version = this.#wire.string();
      else if (tag === sized(3)) this.#keyValue(attributes, 0);
      else if (tag === varint(4)) found.droppedAttributes = this.#wire.uint32();
      else this.#passOver(tag);
    }
    found.attributes = attributes;
  }

  #logRecord(): LogRecord {
    if ((this.#records += 1) > LIMITS.batchEventsMax) throw new TooManyRecords();
    const found = emptyRecord();
    const attributes = new Map<string, string>();
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === fixed64(1)) found.timeNs = this.#fixed64();
      else if (tag === fixed64(11)) found.observedNs = this.#fixed64();
      else if (tag === varint(2)) found.severityNumber = this.#wire.int32();
      else if (tag === sized(3)) found.severityText = this.#wire.string();
      else if (tag === sized(12)) found.eventName = this.#wire.string();
      else if (tag === sized(5)) found.body = this.#anyValue(0);
      else if (tag === sized(6)) this.#keyValue(attributes, 0);
      else if (tag === varint(7)) found.droppedAttributes = this.#wire.uint32();
      else if (tag === fixed32(8)) found.flags = this.#wire.fixed32();
      else if (tag === sized(9)) found.traceId = this.#hex();
      else if (tag === sized(10)) found.spanId = this.#hex();
      else this.#passOver(tag);
    }
    found.attributes = attributes;
    return found;
  }

  /** @param depth of the lists and maps around it */
  #keyValue(into: Map<string, string>, depth: number): void {
    let key = '';
    let value = NOTHING;
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) key = this.#wire.string();
      else if (tag === sized(2)) value = this.#anyValue(depth);
      else this.#passOver(tag);
    }
    into.set(key, value);
  }

  #anyValue(depth: number): string {
    const wire = this.#wire;
    let text = NOTHING;
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) text = stringText(wire.string());
      else if (tag === varint(2)) text = wire.bool() ? 'true' : 'false';
      else if (tag === varint(3)) text = integerText(wire.int64());
      else if (tag === fixed64(4)) text = doubleText(wire.double());
      else if (tag === sized(5)) text = this.#arrayValue(depth + 1);
      else if (tag === sized(6)) text = this.#kvlistValue(depth + 1);
      else if (tag === sized(7)) text = bytesText(wire.bytes());
      else this.#passOver(tag);
    }
    return text;
  }

  #arrayValue(depth: number): string {
    requireDepth(depth);
    const values: string[] = [];
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) values.push(this.#anyValue(depth));
      else this.#passOver(tag);
    }
    return listText(values);
  }

  #kvlistValue(depth: number): string {
    requireDepth(depth);
    const values = new Map<string, string>();
    const end = this.#end();
    for (let tag = this.#tag(end); tag !== END; tag = this.#tag(end)) {
      if (tag === sized(1)) this.#keyValue(values, depth);
      else this.#passOver(tag);
    }
    return mapText(values);
  }

  /** Where the message ends whose length comes next. */
  #end(): number {
    const length = this.#wire.uint32();
    const end = this.#wire.pos + length;
    if (end > this.#wire.len) throw new RangeError(TRUNCATED);
    return end;
  }

  /** The next field of the message that ends there, or END. */
  #tag(end: number): number {
    const { pos } = this.#wire;
    if (pos >= end) {
      if (pos > end) throw new RangeError(TRUNCATED);
      return END;
    }
    const [field, type] = this.#wire.tag();
    // The largest field number takes 29 bits, so that the result may be negative, but is never END.
    return (field << 3) | type;
  }

  #passOver(tag: number): void {
    this.#wire.skip(tag & 7, tag >>> 3);
  }

  #fixed64(): bigint {
    return BigInt(this.#wire.fixed64());
  }

  /** Of an id; one of zeros alone means none. */
  #hex(): string {
    const bytes = this.#wire.bytes();
    return bytes.every((byte) => byte === 0) ? '' : (bytes as Buffer).toString('hex');
  }
}

/** In place of a field, at the end of a message: no field has the number 0. */
const END = 0;

const TRUNCATED = 'a field is longer than the message around it';

function requireDepth(depth: number): void {
  if (depth > VALUE_DEPTH_MAX)
    throw new UnreadableRequest(`a value is nested more than ${VALUE_DEPTH_MAX} deep`);
}
