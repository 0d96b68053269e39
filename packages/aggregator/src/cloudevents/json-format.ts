import { type FieldError, LIMITS } from '@chronicleweaver/protocol';
import { commonTimeMs } from '../event/event-time.ts';
import {
  CLOSE_BRACKET,
  COMMA,
  JsonScanner,
  JsonSyntaxError,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  TooDeep,
  shortened,
} from '../event/json-scanner.ts';
import { isCore, nameFault, topicFault, valueFault } from './attributes.ts';
import { type CloudEvent, DATA_DEPTH_MAX } from './cloud-event.ts';

/** The outcome of reading CloudEvents. Nothing is kept unless all of them are good. */
export type ReadCloudEvents =
  | { kind: 'read'; events: CloudEvent[] }
  | { kind: 'not_json'; message: string }
  | { kind: 'too_many' }
  | { kind: 'invalid'; errors: FieldError[]; errorsFound: number };

interface Reading {
  /** Whether the body is an array of CloudEvents, and not one. */
  readonly isBatch: boolean;
  /** Whether their types are to be topics. */
  readonly isTopic: boolean;
}

/**
 * Reads CloudEvents in the JSON format (CloudEvents 1.0.2, JSON Event Format) in one pass and in place. The body must be valid
 * UTF-8. The call consumes it: the events' texts are views into it.
 */
export function readJsonFormat(body: Buffer, reading: Reading): ReadCloudEvents {
  return SCANNER.readBody(body, reading);
}

/**
 * In: bytes. Out: the CloudEvents in them, or everything that is wrong with these. Attributes are read from the kept text; data
 * are passed over, so every digit stays.
 */
class CloudEventScanner extends JsonScanner {
  #events: CloudEvent[] = [];
  #errors: FieldError[] = [];
  #errorsFound = 0;
  #isTopic = false;
  /** What is being read: an attribute, data, or null between them. */
  #field: string | null = null;
  /** Of the event that is being read; null while it has none. */
  #specversion: string | null = null;
  #id: string | null = null;
  #source: string | null = null;
  #type: string | null = null;
  #time: string | null = null;
  #hasData = false;
  #hasBase64 = false;

  constructor() {
    // The event itself is one deep.
    super(DATA_DEPTH_MAX + 1);
  }

  readBody(body: Buffer, { isBatch, isTopic }: Reading): ReadCloudEvents {
    this.begin(body);
    this.#events = [];
    this.#errors = [];
    this.#errorsFound = 0;
    this.#isTopic = isTopic;
    try {
      if (this.peek() === -1) throw new JsonSyntaxError('the body is empty');
      if (!isBatch) this.#event();
      else if (!this.#batch()) return { kind: 'too_many' };
      if (this.peek() !== -1) throw this.unexpected('the end of the body');
    } catch (error) {
      if (error instanceof JsonSyntaxError) return { kind: 'not_json', message: error.message };
      if (!(error instanceof TooDeep)) throw error;
      this.#error(this.#field, `is nested more than ${DATA_DEPTH_MAX} deep`);
    }
    const [events, errors] = [this.#events, this.#errors];
    // Do not keep the body for ever.
    this.#events = [];
    this.bytes = NO_BYTES;
    return this.#errorsFound > 0
      ? { kind: 'invalid', errors, errorsFound: this.#errorsFound }
      : { kind: 'read', events };
  }

  /** False if there are too many. */
  #batch(): boolean {
    if (this.peek() !== OPEN_BRACKET) {
      const found = this.kindAhead();
      this.value(IN_EVENT);
      this.#errorAbout(null, null, `expected an array of CloudEvents, got ${found}`);
      return true;
    }
    this.skip(OPEN_BRACKET);
    if (this.peek() !== CLOSE_BRACKET) {
      for (;;) {
        if (this.#events.length === LIMITS.batchEventsMax) return false;
        this.#event();
        if (this.peek() !== COMMA) break;
        this.skip(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACKET) throw this.unexpected('"," or "]"');
    this.skip(CLOSE_BRACKET);
    return true;
  }

  #event(): void {
    this.#field = null;
    this.fault = null;
    this.#specversion = null;
    this.#id = null;
    this.#source = null;
    this.#type = null;
    this.#time = null;
    this.#hasData = false;
    this.#hasBase64 = false;
    const start = this.write;
    if (this.peek() === OPEN_BRACE) {
      this.object(1);
      this.#field = null;
      this.#checkWhole();
    } else {
      const found = this.kindAhead();
      this.value(IN_EVENT);
      this.#error(null, `expected a CloudEvent, got ${found}`);
    }
    this.#events.push({
      id: this.#id ?? '',
      source: this.#source ?? '',
      type: this.#type ?? '',
      time: this.#time,
      json: this.bytes.subarray(start, this.write),
    });
  }

  #checkWhole(): void {
    if (this.#specversion === null) this.#error('specversion', 'is missing');
    if (this.#id === null) this.#error('id', 'is missing');
    if (this.#source === null) this.#error('source', 'is missing');
    if (this.#type === null) this.#error('type', 'is missing');
    const fault = this.#isTopic && this.#type !== null ? topicFault(this.#type) : undefined;
    if (fault !== undefined) this.#error('type', fault);
    if (this.#hasData && this.#hasBase64) {
      this.#error('data_base64', 'stands beside data; send one of the two');
    }
  }

  protected override member(depth: number, nameStart: number, nameEnd: number): void {
    if (depth > 1) {
      this.value(depth);
      return;
    }
    const name = this.lastString(nameStart, nameEnd);
    this.#field = shortened(name);
    // It was noted by whoever read the name.
    if (this.fault !== null) this.#error(this.#field, 'appears twice');
    this.fault = null;
    if (name === 'data') {
      this.#hasData = this.peek() !== NULL;
      this.value(depth);
    } else {
      const nameIsBad = nameFault(name);
      if (nameIsBad !== undefined) this.#error(this.#field, nameIsBad);
      this.#attribute(name, this.#field);
    }
    if (this.fault !== null) this.#error(this.#field, this.fault);
    this.fault = null;
  }

  #attribute(name: string, field: string): void {
    const kind = this.kindAhead();
    const isText = this.peek() === QUOTE;
    const start = this.write + 1;
    this.value(IN_EVENT);
    // An attribute that is null is not there.
    if (kind === 'null') return;
    const isBase64 = name === 'data_base64';
    if (!isText) {
      const takes = isBase64 || isCore(name) ? 'a string' : 'a string, a boolean or a number';
      const isTaken = (kind === 'a boolean' || kind === 'a number') && !isBase64 && !isCore(name);
      if (!isTaken) this.#error(field, `expected ${takes}, got ${kind}`);
      // It is not missing as well.
      this.#note(name, '');
      return;
    }
    const end = this.write - 1;
    if (!isBase64 && !this.#isNoted(name) && this.#isPlain(start, end)) return;
    const text = this.lastString(start, end);
    if (isBase64) this.#hasBase64 = true;
    else this.#note(name, text);
    // Nearly all times have a form that is told from the bytes.
    if (name === 'time' && !this.escaped && !Number.isNaN(commonTimeMs(this.bytes, start, end))) return;
    const fault = isBase64 ? base64Fault(text) : valueFault(name, text);
    if (fault !== undefined) this.#error(field, fault);
  }

  /** Whether the value of the attribute is needed, and not only whether it is good. */
  #isNoted(name: string): boolean {
    return name === 'id' || name === 'source' || name === 'type' || name === 'time' || name === 'specversion';
  }

  /** Whether the string is good wherever any text is: not empty, and of printable ASCII without escapes. */
  #isPlain(start: number, end: number): boolean {
    if (this.escaped || start === end) return false;
    for (let at = start; at < end; at++) if (this.bytes[at]! > LAST_PRINTABLE) return false;
    return true;
  }

  #note(name: string, text: string): void {
    if (name === 'id') this.#id = text;
    else if (name === 'source') this.#source = text;
    else if (name === 'type') this.#type = text;
    else if (name === 'time') this.#time = text;
    else if (name === 'specversion') this.#specversion = text;
  }

  #error(field: string | null, message: string): void {
    this.#errorAbout(this.#events.length, field, message);
  }

  #errorAbout(index: number | null, field: string | null, message: string): void {
    this.#errorsFound += 1;
    if (this.#errors.length < LIMITS.problemErrorsMax) this.#errors.push({ index, field, message });
  }
}

function base64Fault(text: string): string | undefined {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
    ? undefined
    : 'expected base64 (RFC 4648, section 4)';
}

/** The depth around the value of an attribute: so deep that its members are not taken for attributes. */
const IN_EVENT = 1;

/** The last printable character of ASCII. Those below the first one are nowhere in a string. */
const LAST_PRINTABLE = 0x7e;

/** The first byte of `null`. */
const NULL = 0x6e;

const NO_BYTES = Buffer.alloc(0);

const SCANNER = new CloudEventScanner();
