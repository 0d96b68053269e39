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
} from '../event-batch.ts';
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
  return new EventReader(body).readBody();
}

/**
 * In: bytes. Out: a batch, or all that is wrong with it. The events' texts are kept one behind the other from byte 0
 * (the envelope is passed over); strings that had escapes are decoded into `#spill`, which ends up behind them.
 */
class EventReader extends JsonScanner {
  #count = 0;
  #spans = new Int32Array(SPANS_PER_EVENT * 16);
  #timesMs: number[] = [];
  /** Which parts of the event being read were there, a bit each. */
  #present = 0;
  readonly #spill: Buffer[] = [];
  #spillBytes = 0;
  #errors: FieldError[] = [];
  #errorsFound = 0;

  constructor(body: Buffer) {
    super(LIMITS.payloadDepthMax);
    this.begin(body);
  }

  readBody(): ReadBody {
    try {
      this.#body();
    } catch (error) {
      if (error instanceof JsonSyntaxError) return { kind: 'not_json', message: error.message };
      if (error instanceof TooManyEvents) return { kind: 'too_many', message: error.message };
      if (!(error instanceof TooDeep)) throw error;
      this.#error('payload', `is nested more than ${LIMITS.payloadDepthMax} deep`);
    }
    if (this.#errorsFound > 0) {
      return { kind: 'invalid', errors: this.#errors, errorsFound: this.#errorsFound };
    }
    return { kind: 'batch', batch: this.#batch() };
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
      this.value(IN_EVENT);
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
      this.value(IN_EVENT);
      this.#errorAbout(null, 'events', `expected an array of events, got ${found}`);
    }
    while (this.peek() === COMMA) {
      this.skip(COMMA);
      if (this.peek() !== QUOTE) throw this.unexpected('a name in double quotes');
      const start = this.write;
      this.string();
      const name = this.decoded(start + 1, this.write - 1);
      this.skip(COLON);
      this.value(IN_EVENT);
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
      this.value(IN_EVENT);
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

  /** The name, decoded where it has escapes. The five that we know are found by their bytes, without a new string. */
  #fieldNamed(start: number, end: number): string {
    if (!this.escaped) {
      for (const field of FIELD_LIST) if (this.#isText(start, end, field.nameBytes)) return field.name;
    }
    return this.decoded(start, end);
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
      this.value(IN_EVENT);
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
      this.value(IN_EVENT);
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
      this.value(IN_EVENT);
      this.#error(field.name, `expected a string, got ${found}`);
      return;
    }
    const start = this.write + 1;
    this.string();
    const end = this.write - 1;
    const chars = this.#markPart(at + field.part, start, end, field.name);
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

  /** Notes where the decoded string lies and returns its length in code points. */
  #markPart(at: number, start: number, end: number, name: string): number {
    if (!this.escaped) {
      this.#spans[at] = start;
      this.#spans[at + 1] = end;
      // A byte that does not continue a character begins one.
      let chars = end - start;
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
    return parseTimestamp(
      this.escaped ? this.decoded(start, end) : this.bytes.toString('latin1', start, end),
    );
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

class TooManyEvents extends Error {
  constructor() {
    super(`a publish takes at most ${LIMITS.batchEventsMax} events; send the rest in another`);
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

const FIELDS = new Map(FIELD_LIST.map((field) => [field.name, field]));
const ALL_PRESENT = (1 << FIELD_LIST.length) - 1;
const MESSAGE = Buffer.from('message');
const TIMESTAMP_NAME = Buffer.from('timestamp');
