import {
  type FieldError,
  LIMITS,
  TIMESTAMP_EXPECTED,
  eventSchema,
  parseTimestamp,
} from '@chronicleweaver/protocol';
import {
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  SPANS_PER_EVENT,
  TEXT,
  TIMESTAMP,
  TOPIC,
} from './event-batch.ts';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  JsonScanner,
  JsonSyntaxError,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  TooDeep,
  grown,
  shortened,
} from './json-scanner.ts';

/** What a publish body turned out to be. Nothing of a body that is not a batch is kept. */
export type ReadBody =
  | { kind: 'batch'; batch: EventBatch }
  | { kind: 'not_json'; message: string }
  | { kind: 'too_many'; message: string }
  | { kind: 'invalid'; errors: FieldError[]; errorsFound: number };

/**
 * Reads the body of a publish, `{"events":[…]}` or one bare event, in one pass and in place. The body must be valid
 * UTF-8 and is used up by the call: the batch keeps views into it.
 */
export function readEvents(body: Buffer): ReadBody {
  return READER.readBody(body);
}

/**
 * Reads `count` events that were read and stored before, one behind the other with nothing between. The bytes are used
 * up by the call. Throws where they are not such events: what is stored has gone through `readEvents`.
 */
export function readStoredEvents(texts: Buffer, count: number): EventBatch {
  return READER.readStored(texts, count);
}

/**
 * In: bytes. Out: a batch, or all that is wrong with it. The events' texts are kept one behind the other from byte 0
 * (the envelope is passed over); strings that had escapes are decoded into `#spill`, which ends up behind them. One
 * reader reads all bodies of a thread, one after the other: its arrays cost more than the body of a single event.
 */
class EventReader extends JsonScanner {
  #count = 0;
  #spans = new Int32Array(SPANS_PER_EVENT * 16);
  #timesMs: number[] = [];
  /** Which parts of the event being read were there, a bit each. */
  #present = 0;
  #spill: Buffer[] = [];
  #spillBytes = 0;
  #errors: FieldError[] = [];
  #errorsFound = 0;

  constructor() {
    super(LIMITS.payloadDepthMax);
  }

  protected override begin(bytes: Buffer): void {
    super.begin(bytes);
    this.#count = 0;
    this.#timesMs = [];
    this.#spill = [];
    this.#spillBytes = 0;
    this.#errors = [];
    this.#errorsFound = 0;
    // What a large batch needed is not held for ever.
    if (this.#spans.length > SPANS_KEPT_MAX) this.#spans = new Int32Array(SPANS_PER_EVENT * 16);
  }

  readBody(body: Buffer): ReadBody {
    this.begin(body);
    try {
      this.#body();
    } catch (error) {
      if (error instanceof JsonSyntaxError) return { kind: 'not_json', message: error.message };
      if (error instanceof TooManyEvents) return { kind: 'too_many', message: error.message };
      if (!(error instanceof TooDeep)) throw error;
      const { index, field } = error instanceof TooDeepAt ? error : { index: this.#count, field: 'payload' };
      this.#errorAbout(index, field, `is nested more than ${LIMITS.payloadDepthMax} deep`);
    }
    if (this.#errorsFound > 0) {
      return { kind: 'invalid', errors: this.#errors, errorsFound: this.#errorsFound };
    }
    return { kind: 'batch', batch: this.#batch() };
  }

  readStored(texts: Buffer, count: number): EventBatch {
    this.begin(texts);
    while (this.#count < count) this.#event();
    if (this.peek() !== -1 || this.#errorsFound > 0) throw new Error('stored text is not what was stored');
    return this.#batch();
  }

  #body(): void {
    if (this.peek() === OPEN_BRACE) {
      const start = this.read;
      if (this.#opensEnvelope()) {
        this.#envelope();
      } else {
        this.read = start;
        this.write = 0;
        this.#event();
      }
    } else if (this.peek() === -1) {
      throw new JsonSyntaxError('the body is empty');
    } else {
      const found = this.#kindAhead();
      this.#passOver(null, null);
      this.#errorAbout(null, null, `expected {"events":[…]} or one event, got ${found}`);
    }
    if (this.peek() !== -1) throw this.unexpected('the end of the body');
  }

  /** Whether the object ahead begins with the name `events`; reads on to behind that name, and may be undone. */
  #opensEnvelope(): boolean {
    this.skip(OPEN_BRACE);
    if (this.peek() !== QUOTE) return false;
    // Written back where it stands: a name read on trial must not move.
    this.write = this.read;
    const start = this.write + 1;
    this.string();
    return this.decoded(start, this.write - 1) === 'events';
  }

  #envelope(): void {
    this.write = 0;
    this.skip(COLON);
    if (this.peek() === OPEN_BRACKET) {
      this.#events();
    } else {
      const found = this.#kindAhead();
      this.#passOver(null, 'events');
      this.#errorAbout(null, 'events', `expected an array of events, got ${found}`);
    }
    while (this.peek() === COMMA) {
      this.skip(COMMA);
      if (this.peek() !== QUOTE) throw this.unexpected('a name in double quotes');
      const start = this.write;
      this.string();
      const name = this.decoded(start + 1, this.write - 1);
      this.skip(COLON);
      this.#passOver(null, shortened(name));
      this.write = start;
      this.#errorAbout(null, shortened(name), name === 'events' ? 'stands twice' : 'unknown field');
    }
    if (this.peek() !== CLOSE_BRACE) throw this.unexpected('"," or "}"');
    this.skip(CLOSE_BRACE);
  }

  #events(): void {
    this.skip(OPEN_BRACKET);
    if (this.peek() !== CLOSE_BRACKET) {
      for (;;) {
        if (this.#count === LIMITS.batchEventsMax) throw new TooManyEvents();
        this.#event();
        if (this.peek() !== COMMA) break;
        this.skip(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACKET) throw this.unexpected('"," or "]"');
    this.skip(CLOSE_BRACKET);
  }

  #event(): void {
    if (this.peek() !== OPEN_BRACE) {
      const found = this.#kindAhead();
      const start = this.write;
      this.#passOver(this.#count, null);
      this.write = start;
      this.#error(null, `expected an event, got ${found}`);
      this.#count += 1;
      return;
    }
    const at = this.#count * SPANS_PER_EVENT;
    if (at === this.#spans.length) this.#spans = grown(this.#spans);
    this.#present = 0;
    this.#timesMs.push(0);
    const start = this.write;
    this.keep(OPEN_BRACE);
    if (this.peek() !== CLOSE_BRACE) {
      for (;;) {
        if (this.peek() !== QUOTE) throw this.unexpected('a name in double quotes');
        const nameStart = this.write + 1;
        this.string();
        const name = this.#fieldNamed(nameStart, this.write - 1);
        this.keep(COLON);
        this.#field(at, name);
        if (this.peek() !== COMMA) break;
        this.keep(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACE) throw this.unexpected('"," or "}"');
    this.keep(CLOSE_BRACE);

    if (this.#present !== ALL_PRESENT) {
      for (const [name, field] of FIELDS)
        if ((this.#present & field.bit) === 0) this.#error(name, 'is missing');
    }
    const length = this.write - start;
    if (length > LIMITS.eventBytesMax) {
      this.#error(null, `is ${length} bytes long, at most ${LIMITS.eventBytesMax} are taken`);
    }
    this.#spans[at + TEXT] = start;
    this.#spans[at + TEXT + 1] = this.write;
    this.#count += 1;
  }

  /** The name, decoded where it has escapes. The five that we know differ in length and need no new string. */
  #fieldNamed(start: number, end: number): string {
    const field = this.escaped ? undefined : FIELD_OF_LENGTH[end - start];
    return field !== undefined && this.#isText(start, end, field.nameBytes)
      ? field.name
      : this.decoded(start, end);
  }

  #isText(start: number, end: number, text: Buffer): boolean {
    if (end - start !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.bytes[start + i] !== text[i]) return false;
    return true;
  }

  #field(at: number, name: string): void {
    const field = FIELDS.get(name);
    this.fault = null;
    if (field === undefined) {
      this.#passOver(this.#count, shortened(name));
      this.#error(shortened(name), 'unknown field');
      return;
    }
    if ((this.#present & field.bit) !== 0) this.#error(name, 'stands twice');
    this.#present |= field.bit;
    if (field.part === PAYLOAD) this.#payload(at);
    else this.#stringField(at, field);
    if (this.fault !== null) this.#error(name, this.fault);
  }

  #payload(at: number): void {
    if (this.peek() !== OPEN_BRACE) {
      const found = this.#kindAhead();
      this.#passOver(this.#count, 'payload');
      this.#error('payload', `expected an object, got ${found}`);
      return;
    }
    this.#spans[at + PAYLOAD] = this.write;
    this.object(1);
    this.#spans[at + PAYLOAD + 1] = this.write;
  }

  /** Checks the two members of a payload that have a meaning. */
  protected override member(depth: number, nameStart: number, nameEnd: number): void {
    if (depth > 1) {
      this.value(depth);
      return;
    }
    const escaped = this.escaped;
    const name = escaped ? this.decoded(nameStart, nameEnd) : null;
    const isMessage = name === null ? this.#isText(nameStart, nameEnd, MESSAGE) : name === 'message';
    const isTimestamp =
      name === null ? this.#isText(nameStart, nameEnd, TIMESTAMP_NAME) : name === 'timestamp';
    if (!isMessage && !isTimestamp) {
      this.value(depth);
      return;
    }
    const field = isMessage ? 'payload.message' : 'payload.timestamp';
    if (this.peek() !== QUOTE) {
      const found = this.#kindAhead();
      this.value(depth);
      this.#error(field, `expected a string, got ${found}`);
      return;
    }
    const start = this.write + 1;
    this.string();
    if (isTimestamp && this.#timeMs(start, this.write - 1) === undefined) {
      this.#error(field, `expected ${TIMESTAMP_EXPECTED}, got ${this.#excerpt(start, this.write - 1)}`);
    }
  }

  #stringField(at: number, field: Field): void {
    if (this.peek() !== QUOTE) {
      const found = this.#kindAhead();
      this.#passOver(this.#count, field.name);
      this.#error(field.name, `expected a string, got ${found}`);
      return;
    }
    const start = this.write + 1;
    this.string();
    const end = this.write - 1;
    const chars = this.#markPart(at + field.part, start, end, field.name, field.charsMax);
    if (chars < field.charsMin || chars > field.charsMax) {
      this.#error(field.name, `expected ${field.charsMin} to ${field.charsMax} characters, got ${chars}`);
    } else if (field.part === TIMESTAMP) {
      const timeMs = this.#timeMs(start, end);
      if (timeMs === undefined) {
        this.#error(field.name, `expected ${TIMESTAMP_EXPECTED}, got ${this.#excerpt(start, end)}`);
      } else {
        this.#timesMs[this.#count] = timeMs;
      }
    }
  }

  /** Notes where the decoded string lies and returns its length in code points, or in bytes where neither is too many. */
  #markPart(at: number, start: number, end: number, name: string, charsMax: number): number {
    if (!this.escaped) {
      this.#spans[at] = start;
      this.#spans[at + 1] = end;
      let chars = end - start;
      if (chars <= charsMax) return chars;
      // A byte that does not continue a character begins one.
      for (let i = start; i < end; i++) if ((this.bytes[i]! & 0xc0) === 0x80) chars -= 1;
      return chars;
    }
    const text = this.decoded(start, end);
    if (text.includes('\0')) this.#error(name, 'holds a NUL character, which no name may hold');
    const decoded = Buffer.from(text);
    this.#spans[at] = SPILL_START + this.#spillBytes;
    this.#spill.push(decoded);
    this.#spillBytes += decoded.length;
    this.#spans[at + 1] = SPILL_START + this.#spillBytes;
    let chars = 0;
    for (const _ of text) chars += 1;
    return chars;
  }

  #timeMs(start: number, end: number): number | undefined {
    if (end - start > LIMITS.timestampCharsMax * 6) return undefined;
    const commonMs = this.escaped ? NaN : commonTimeMs(this.bytes, start, end);
    if (!Number.isNaN(commonMs)) return commonMs;
    return parseTimestamp(
      this.escaped ? this.decoded(start, end) : this.bytes.toString('latin1', start, end),
    );
  }

  /** Reads a value that stands where it may not. */
  #passOver(index: number | null, field: string | null): void {
    try {
      this.value(IN_EVENT);
    } catch (error) {
      throw error instanceof TooDeep ? new TooDeepAt(index, field) : error;
    }
  }

  #excerpt(start: number, end: number): string {
    return JSON.stringify(shortened(this.decoded(start, end)));
  }

  #kindAhead(): string {
    const byte = this.peek();
    if (byte === QUOTE) return 'a string';
    if (byte === OPEN_BRACE) return 'an object';
    if (byte === OPEN_BRACKET) return 'an array';
    if (byte === 0x6e) return 'null';
    return byte === 0x74 || byte === 0x66 ? 'a boolean' : 'a number';
  }

  #error(field: string | null, message: string): void {
    this.#errorAbout(this.#count, field, message);
  }

  #errorAbout(index: number | null, field: string | null, message: string): void {
    this.#errorsFound += 1;
    if (this.#errors.length < LIMITS.problemErrorsMax) this.#errors.push({ index, field, message });
  }

  #batch(): EventBatch {
    const texts = this.bytes.subarray(0, this.write);
    const spans = this.#spans.slice(0, this.#count * SPANS_PER_EVENT);
    if (this.#spillBytes > 0) {
      const shift = this.write - SPILL_START;
      for (let i = 0; i < spans.length; i++) if (spans[i]! >= SPILL_START) spans[i]! += shift;
    }
    return {
      count: this.#count,
      bytes: this.#spillBytes > 0 ? Buffer.concat([texts, ...this.#spill]) : texts,
      spans,
      timesMs: Float64Array.from(this.#timesMs),
    };
  }
}

/**
 * The time in the form that nearly all events have, `2025-10-28T10:00:00Z` with no, three or six decimals, or NaN for
 * any other form, which parseTimestamp is for: read off the bytes it takes a tenth of the regular expression's time.
 */
function commonTimeMs(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length !== 20 && length !== 24 && length !== 27) return NaN;
  if (
    bytes[start + 4] !== 0x2d ||
    bytes[start + 7] !== 0x2d ||
    bytes[start + 10] !== 0x54 ||
    bytes[start + 13] !== 0x3a ||
    bytes[start + 16] !== 0x3a ||
    bytes[end - 1] !== 0x5a ||
    (length > 20 && bytes[start + 19] !== 0x2e)
  ) {
    return NaN;
  }
  const year = digits(bytes, start, 4);
  const month = digits(bytes, start + 5, 2);
  const day = digits(bytes, start + 8, 2);
  const hour = digits(bytes, start + 11, 2);
  const minute = digits(bytes, start + 14, 2);
  const second = digits(bytes, start + 17, 2);
  const millis = length === 20 ? 0 : digits(bytes, start + 20, 3);
  const micros = length === 27 ? digits(bytes, start + 23, 3) : 0;
  // The last days of a month, leap seconds and early years are left to the slow way, which knows calendars.
  const isPlain =
    month >= 1 && month <= 12 && day >= 1 && day <= 28 && hour <= 23 && minute <= 59 && second <= 59;
  if (!isPlain || !(year >= 1900) || Number.isNaN(millis) || Number.isNaN(micros)) return NaN;
  return (
    monthStartMs(year, month) + ((day - 1) * 86_400 + hour * 3600 + minute * 60 + second) * 1000 + millis
  );
}

/** The number that these digits are, NaN where one is none. */
function digits(bytes: Uint8Array, start: number, count: number): number {
  let number = 0;
  for (let i = start; i < start + count; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return NaN;
    number = number * 10 + digit;
  }
  return number;
}

let lastMonth = 0;
let lastMonthStartMs = 0;

/** When a month began; neighbours mostly share theirs. */
function monthStartMs(year: number, month: number): number {
  const both = year * 12 + month;
  if (both !== lastMonth) {
    lastMonth = both;
    lastMonthStartMs = Date.UTC(year, month - 1);
  }
  return lastMonthStartMs;
}

class TooManyEvents extends Error {
  constructor() {
    super(`a publish takes at most ${LIMITS.batchEventsMax} events; send the rest in another`);
  }
}

/** What is nested too deep is not a payload. */
class TooDeepAt extends TooDeep {
  readonly index: number | null;
  readonly field: string | null;

  constructor(index: number | null, field: string | null) {
    super();
    this.index = index;
    this.field = field;
  }
}

/** The depth of an event's fields: an object below it is not a payload, whose members have depth 1. */
const IN_EVENT = 1;

/** Spans of decoded strings begin here until it is known where the texts end. Bodies are far smaller. */
const SPILL_START = 2 ** 30;

interface Field {
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly part: typeof EVENT_ID | typeof TOPIC | typeof SOURCE | typeof TIMESTAMP | typeof PAYLOAD;
  readonly bit: number;
  readonly charsMin: number;
  readonly charsMax: number;
}

const PARTS = {
  event_id: EVENT_ID,
  topic: TOPIC,
  source: SOURCE,
  payload: PAYLOAD,
  timestamp: TIMESTAMP,
} as const;

const FIELD_LIST: readonly Field[] = eventSchema.required.map((name, i) => {
  const schema = eventSchema.properties[name];
  return {
    name,
    nameBytes: Buffer.from(name),
    part: PARTS[name],
    bit: 1 << i,
    charsMin: 'minLength' in schema ? schema.minLength : 0,
    charsMax: 'maxLength' in schema ? schema.maxLength : Infinity,
  };
});

/** By the length of the name. */
const FIELD_OF_LENGTH: readonly (Field | undefined)[] = Array.from({ length: 16 }, (_, length) =>
  FIELD_LIST.find((field) => field.nameBytes.length === length),
);

/** Entries: of 4096 events. */
const SPANS_KEPT_MAX = SPANS_PER_EVENT * 4096;

const FIELDS = new Map(FIELD_LIST.map((field) => [field.name, field]));
const ALL_PRESENT = (1 << FIELD_LIST.length) - 1;
const MESSAGE = Buffer.from('message');
const TIMESTAMP_NAME = Buffer.from('timestamp');

const READER = new EventReader();
