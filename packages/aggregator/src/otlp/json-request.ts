import { LIMITS } from '@chronicleweaver/protocol';
import { JsonSyntaxError, TooDeep } from '../event/json-scanner.ts';
import { JsonFields } from './json-fields.ts';
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
  type Attributes,
  NOTHING,
  NO_ATTRIBUTES,
  VALUE_DEPTH_MAX,
  bytesText,
  doubleText,
  integerText,
  listText,
  mapText,
  stringText,
} from './values.ts';

/**
 * Reads an export in OTLP's JSON encoding, which must be valid UTF-8; yields after each record, so that others can have a
 * turn in between. The call consumes the body. Throws an UnreadableRequest, a JsonSyntaxError or TooManyRecords.
 */
export function readJsonRequest(body: Buffer): Generator<undefined, LogRequest> {
  return new JsonRequestReader().request(body);
}

/** How deep unknown fields, and all else, may nest. A value at its deepest takes three objects and arrays for each level. */
const DEPTH_MAX = 4 * LIMITS.payloadDepthMax;

class JsonRequestReader extends JsonFields {
  #records = 0;

  constructor() {
    super(DEPTH_MAX);
  }

  *request(body: Buffer): Generator<undefined, LogRequest> {
    this.begin(body);
    const resources: ResourceLogs[] = [];
    try {
      if (this.peek() === -1) throw new JsonSyntaxError('the body is empty; a request without records is {}');
      for (let name = this.open(); name !== null; name = this.next()) {
        if (name !== 'resourceLogs') this.passOver();
        else yield* this.listInTurns(() => this.#resourceLogs(resources));
      }
      if (this.peek() !== -1) throw this.unexpected('the end of the body');
    } catch (error) {
      if (!(error instanceof TooDeep)) throw error;
      throw new UnreadableRequest(`is nested more than ${VALUE_DEPTH_MAX} deep`, this.place());
    }
    return { resources, records: this.#records };
  }

  *#resourceLogs(into: ResourceLogs[]): Generator<undefined, void> {
    const found = emptyResource();
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'resource') this.#resource(found);
      else if (name === 'scopeLogs') yield* this.listInTurns(() => this.#scopeLogs(found.scopes));
      else if (name === 'schemaUrl') found.schemaUrl = this.text();
      else this.passOver();
    }
    if (found.scopes.length > 0) into.push(found);
  }

  #resource(found: ResourceLogs): void {
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'attributes') found.attributes = this.#attributes(0);
      else if (name === 'droppedAttributesCount') found.droppedAttributes = this.uint32();
      else this.passOver();
    }
  }

  *#scopeLogs(into: ScopeLogs[]): Generator<undefined, void> {
    const found = emptyScope();
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'scope') this.#scope(found);
      else if (name === 'logRecords') yield* this.listInTurns(() => this.#logRecord(found.records));
      else if (name === 'schemaUrl') found.schemaUrl = this.text();
      else this.passOver();
    }
    if (found.records.length > 0) into.push(found);
  }

  #scope(found: ScopeLogs): void {
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'name') found.name = this.text();
      else if (name === 'version') found.version = this.text();
      else if (name === 'attributes') found.attributes = this.#attributes(0);
      else if (name === 'droppedAttributesCount') found.droppedAttributes = this.uint32();
      else this.passOver();
    }
  }

  *#logRecord(into: LogRecord[]): Generator<undefined, void> {
    if ((this.#records += 1) > LIMITS.batchEventsMax) throw new TooManyRecords();
    const found = emptyRecord();
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'timeUnixNano') found.timeNs = this.uint64();
      else if (name === 'observedTimeUnixNano') found.observedNs = this.uint64();
      else if (name === 'severityNumber') found.severityNumber = this.int32();
      else if (name === 'severityText') found.severityText = this.text();
      else if (name === 'eventName') found.eventName = this.text();
      else if (name === 'body') found.body = this.#anyValue(0);
      else if (name === 'attributes') found.attributes = this.#attributes(0);
      else if (name === 'droppedAttributesCount') found.droppedAttributes = this.uint32();
      else if (name === 'flags') found.flags = this.uint32();
      else if (name === 'traceId') found.traceId = this.hex();
      else if (name === 'spanId') found.spanId = this.hex();
      else this.passOver();
    }
    into.push(found);
    yield;
  }

  /** @param depth of the lists and maps around these */
  #attributes(depth: number): Attributes {
    const found = new Map<string, string>();
    this.list(() => {
      let key = '';
      let value = NOTHING;
      for (let name = this.open(); name !== null; name = this.next()) {
        if (name === 'key') key = this.text();
        else if (name === 'value') value = this.#anyValue(depth);
        else this.passOver();
      }
      found.set(key, value);
    });
    return found;
  }

  /** Of several values the last one counts. */
  #anyValue(depth: number): string {
    let text = NOTHING;
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'stringValue') text = stringText(this.text());
      else if (name === 'boolValue') text = this.bool();
      else if (name === 'intValue') text = integerText(this.integer('a whole number'));
      else if (name === 'doubleValue') text = doubleText(this.double());
      else if (name === 'bytesValue') text = bytesText(this.base64());
      else if (name === 'arrayValue') text = this.#arrayValue(depth + 1);
      else if (name === 'kvlistValue') text = this.#kvlistValue(depth + 1);
      else this.passOver();
    }
    return text;
  }

  #arrayValue(depth: number): string {
    if (depth > VALUE_DEPTH_MAX) throw new TooDeep();
    const values: string[] = [];
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'values') this.list(() => values.push(this.#anyValue(depth)));
      else this.passOver();
    }
    return listText(values);
  }

  #kvlistValue(depth: number): string {
    if (depth > VALUE_DEPTH_MAX) throw new TooDeep();
    let values = NO_ATTRIBUTES;
    for (let name = this.open(); name !== null; name = this.next()) {
      if (name === 'values') values = this.#attributes(depth);
      else this.passOver();
    }
    return mapText(values);
  }
}
