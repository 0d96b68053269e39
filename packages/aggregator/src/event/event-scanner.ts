import { type FieldError, LIMITS, TIMESTAMP_EXPECTED, parseTimestamp } from '@chronicleweaver/protocol';
import { type EventBatch, PAYLOAD, SPANS_PER_EVENT, TEXT, TIMESTAMP } from './event-batch.ts';
import { ALL_PRESENT, FIELDS, FIELD_OF_LENGTH, type Field } from './event-fields.ts';
import { commonTimeMs } from './event-time.ts';
import {
  CLOSE_BRACE,
  COLON,
  COMMA,
  JsonScanner,
  OPEN_BRACE,
  QUOTE,
  TooDeep,
  shortened,
} from './json-scanner.ts';
import { grown } from './open-names.ts';

/**
 * In: bytes. Out: the events of a batch, or everything that is wrong with them. The events' texts are kept one after the
 * other from byte 0. Strings with escapes are decoded into `#spill`, which is appended after the texts. The reader
 * (event-reader.ts) handles whatever surrounds the events.
 */
export class EventScanner extends JsonScanner {
  protected count = 0;
  #spans = new Int32Array(SPANS_PER_EVENT * 16);
  #timesMs: number[] = [];
  /** The fields seen so far in the current event, one bit each. */
  #present = 0;
  #spill: Buffer[] = [];
  #spillBytes = 0;
  protected errors: FieldError[] = [];
  protected errorsFound = 0;

  constructor() {
    super(LIMITS.payloadDepthMax);
  }

  protected override begin(bytes: Buffer): void {
    super.begin(bytes);
    this.count = 0;
    this.#timesMs = [];
    this.#spill = [];
    this.#spillBytes = 0;
    this.errors = [];
    this.errorsFound = 0;
    // Do not keep the memory of a large batch for ever.
    if (this.#spans.length > SPANS_KEPT_MAX) this.#spans = new Int32Array(SPANS_PER_EVENT * 16);
  }

  protected event(): void {
    if (this.peek() !== OPEN_BRACE) {
      const found = this.kindAhead();
      const start = this.write;
      this.passOver(this.count, null);
      this.write = start;
      this.#error(null, `expected an event, got ${found}`);
      this.count += 1;
      return;
    }
    const at = this.count * SPANS_PER_EVENT;
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
      this.#error(null, `is ${length} bytes long; the limit is ${LIMITS.eventBytesMax}`);
    }
    this.#spans[at + TEXT] = start;
    this.#spans[at + TEXT + 1] = this.write;
    this.count += 1;
  }

  /** The name, decoded if it has escapes. The five known names differ in length and need no new string. */
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
      this.passOver(this.count, shortened(name));
      this.#error(shortened(name), 'unknown field');
      return;
    }
    if ((this.#present & field.bit) !== 0) this.#error(name, 'appears twice');
    this.#present |= field.bit;
    if (field.part === PAYLOAD) this.#payload(at);
    else this.#stringField(at, field);
    if (this.fault !== null) this.#error(name, this.fault);
  }

  #payload(at: number): void {
    if (this.peek() !== OPEN_BRACE) {
      const found = this.kindAhead();
      this.passOver(this.count, 'payload');
      this.#error('payload', `expected an object, got ${found}`);
      return;
    }
    this.#spans[at + PAYLOAD] = this.write;
    this.object(1);
    this.#spans[at + PAYLOAD + 1] = this.write;
  }

  /** Checks the two members of a payload that the schema defines. */
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
      const found = this.kindAhead();
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
      const found = this.kindAhead();
      this.passOver(this.count, field.name);
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
        this.#timesMs[this.count] = timeMs;
      }
    }
  }

  /** Records where the decoded string is. Returns its length in code points, or in bytes if that is within the limit. */
  #markPart(at: number, start: number, end: number, name: string, charsMax: number): number {
    if (!this.escaped) {
      this.#spans[at] = start;
      this.#spans[at + 1] = end;
      let chars = end - start;
      if (chars <= charsMax) return chars;
      // Every byte that is not a continuation byte begins a character.
      for (let i = start; i < end; i++) if ((this.bytes[i]! & 0xc0) === 0x80) chars -= 1;
      return chars;
    }
    const text = this.decoded(start, end);
    if (text.includes('\0')) this.#error(name, 'contains a NUL character, which names must not contain');
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
    const instant = parseTimestamp(
      this.escaped ? this.decoded(start, end) : this.bytes.toString('latin1', start, end),
    );
    return instant?.epochMs;
  }

  /** Reads and ignores a value that does not belong here. */
  protected passOver(index: number | null, field: string | null): void {
    try {
      this.value(IN_EVENT);
    } catch (error) {
      throw error instanceof TooDeep ? new TooDeepAt(index, field) : error;
    }
  }

  #excerpt(start: number, end: number): string {
    return JSON.stringify(shortened(this.decoded(start, end)));
  }

  #error(field: string | null, message: string): void {
    this.errorAbout(this.count, field, message);
  }

  /** Forgets the events from the one with this index on, which began at `start`. Their errors stay. */
  protected dropEventsFrom(index: number, start: number): void {
    this.count = index;
    this.write = start;
    this.#timesMs.length = index;
  }

  protected errorAbout(index: number | null, field: string | null, message: string): void {
    this.errorsFound += 1;
    if (this.errors.length < LIMITS.problemErrorsMax) this.errors.push({ index, field, message });
  }

  protected batch(): EventBatch {
    const texts = this.bytes.subarray(0, this.write);
    const spans = this.#spans.slice(0, this.count * SPANS_PER_EVENT);
    if (this.#spillBytes > 0) {
      const shift = this.write - SPILL_START;
      for (let i = 0; i < spans.length; i++) if (spans[i]! >= SPILL_START) spans[i]! += shift;
    }
    return {
      count: this.count,
      bytes: this.#spillBytes > 0 ? Buffer.concat([texts, ...this.#spill]) : texts,
      spans,
      timesMs: Float64Array.from(this.#timesMs),
    };
  }
}

/** A value other than a payload is nested too deep. */
export class TooDeepAt extends TooDeep {
  readonly index: number | null;
  readonly field: string | null;

  constructor(index: number | null, field: string | null) {
    super();
    this.index = index;
    this.field = field;
  }
}

/** The depth around a value that is not a payload: so deep that `member` does not check its members as a payload's. */
const IN_EVENT = 1;

/** Spans of decoded strings count from here until the end of the texts is known. Bodies are far smaller. */
const SPILL_START = 2 ** 30;

/** In entries: those of 4096 events. */
const SPANS_KEPT_MAX = SPANS_PER_EVENT * 4096;

const MESSAGE = Buffer.from('message');
const TIMESTAMP_NAME = Buffer.from('timestamp');
