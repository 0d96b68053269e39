import { type FieldError, LIMITS } from '@chronicleweaver/protocol';
import type { EventBatch } from './event-batch.ts';
import { EventScanner, TooDeepAt } from './event-scanner.ts';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  JsonSyntaxError,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  TooDeep,
  shortened,
} from './json-scanner.ts';

/** The outcome of reading a publish body. Nothing is kept of a body that is not a batch. */
export type ReadBody =
  | { kind: 'batch'; batch: EventBatch }
  | { kind: 'not_json'; message: string }
  | { kind: 'too_many'; message: string }
  | { kind: 'invalid'; errors: FieldError[]; errorsFound: number };

/** Events of some lines up to the first bad one, and what is wrong with that. */
export interface ReadLines {
  readonly batch: EventBatch;
  /** Of each event its line, from 1. */
  readonly lineOf: readonly number[];
  /** Lines read, including empty ones and the bad one. */
  readonly lines: number;
  readonly fault: LineFault | null;
}

interface LineFault {
  readonly kind: 'not_json' | 'invalid';
  /** At least one. `index` is the event's place among those of these lines, from 0. */
  readonly errors: readonly FieldError[];
}

/**
 * Reads the body of a publish, `{"events":[…]}`, an array of events or one bare event, in one pass and in place. The body must be valid
 * UTF-8. The call consumes it: the batch keeps views into it.
 */
export function readEvents(body: Buffer): ReadBody {
  return READER.readBody(body);
}

/**
 * Reads events, one a line; lines of nothing but whitespace are passed over. As `readEvents`, it consumes the bytes, which must
 * be valid UTF-8.
 */
export function readEventLines(lines: Buffer): ReadLines {
  return READER.readLines(lines);
}

/**
 * Reads `count` stored events, which follow each other with nothing in between. The call consumes the bytes. Throws if
 * they are anything else, since only events that passed `readEvents` are ever stored.
 */
export function readStoredEvents(texts: Buffer, count: number): EventBatch {
  return READER.readStored(texts, count);
}

/** A thread reads all its bodies with one reader, because its arrays cost more than the body of a single event. */
class EventReader extends EventScanner {
  readBody(body: Buffer): ReadBody {
    this.begin(body);
    try {
      this.#body();
    } catch (error) {
      if (error instanceof JsonSyntaxError) return { kind: 'not_json', message: error.message };
      if (error instanceof TooManyEvents) return { kind: 'too_many', message: error.message };
      if (!(error instanceof TooDeep)) throw error;
      const { index, field } = error instanceof TooDeepAt ? error : { index: this.count, field: 'payload' };
      this.errorAbout(index, field, `is nested more than ${LIMITS.payloadDepthMax} deep`);
    }
    if (this.errorsFound > 0) {
      return { kind: 'invalid', errors: this.errors, errorsFound: this.errorsFound };
    }
    return { kind: 'batch', batch: this.batch() };
  }

  readLines(lines: Buffer): ReadLines {
    this.begin(lines);
    const lineOf: number[] = [];
    let read = 0;
    for (let start = this.read; start < lines.length;) {
      const feed = lines.indexOf(LINE_FEED, start);
      const end = feed === -1 ? lines.length : feed;
      // What follows the line is not there for the scanner, so that no event reaches into the next line.
      this.bytes = lines.subarray(0, end);
      this.read = start;
      this.origin = start;
      start = end + 1;
      read += 1;
      const fault = this.#line();
      if (fault !== null) return { batch: this.batch(), lineOf, lines: read, fault };
      if (this.count > lineOf.length) lineOf.push(read);
    }
    return { batch: this.batch(), lineOf, lines: read, fault: null };
  }

  /** Reads the event of one line. If it is bad, nothing of it stays. */
  #line(): LineFault | null {
    if (this.peek() === -1) return null;
    const start = this.write;
    const index = this.count;
    const kind = this.#faultOf(index);
    if (kind === null) return null;
    this.dropEventsFrom(index, start);
    return { kind, errors: this.errors };
  }

  #faultOf(index: number): LineFault['kind'] | null {
    try {
      this.event();
      if (this.peek() !== -1) throw this.unexpected('the end of the line');
    } catch (error) {
      if (error instanceof JsonSyntaxError) {
        this.errorAbout(index, null, error.message);
        return 'not_json';
      }
      if (!(error instanceof TooDeep)) throw error;
      const field = error instanceof TooDeepAt ? error.field : 'payload';
      this.errorAbout(index, field, `is nested more than ${LIMITS.payloadDepthMax} deep`);
    }
    return this.errorsFound > 0 ? 'invalid' : null;
  }

  readStored(texts: Buffer, count: number): EventBatch {
    this.begin(texts);
    while (this.count < count) this.event();
    if (this.peek() !== -1 || this.errorsFound > 0) throw new Error('the stored text is not valid events');
    return this.batch();
  }

  #body(): void {
    if (this.peek() === OPEN_BRACE) {
      const start = this.read;
      if (this.#opensEnvelope()) {
        this.#envelope();
      } else {
        this.read = start;
        this.write = 0;
        this.event();
      }
    } else if (this.peek() === OPEN_BRACKET) {
      this.#events();
    } else if (this.peek() === -1) {
      throw new JsonSyntaxError('the body is empty');
    } else {
      const found = this.kindAhead();
      this.passOver(null, null);
      this.errorAbout(null, null, `expected {"events":[…]}, an array of events or one event, got ${found}`);
    }
    if (this.peek() !== -1) throw this.unexpected('the end of the body');
  }

  /** Whether the next object begins with the name `events`. Reads past that name; the caller may rewind. */
  #opensEnvelope(): boolean {
    this.skip(OPEN_BRACE);
    if (this.peek() !== QUOTE) return false;
    // Write the name where it already is, so that the caller can still rewind.
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
      const found = this.kindAhead();
      this.passOver(null, 'events');
      this.errorAbout(null, 'events', `expected an array of events, got ${found}`);
    }
    while (this.peek() === COMMA) {
      this.skip(COMMA);
      if (this.peek() !== QUOTE) throw this.unexpected('a name in double quotes');
      const start = this.write;
      this.string();
      const name = this.decoded(start + 1, this.write - 1);
      this.skip(COLON);
      this.passOver(null, shortened(name));
      this.write = start;
      this.errorAbout(null, shortened(name), name === 'events' ? 'appears twice' : 'unknown field');
    }
    if (this.peek() !== CLOSE_BRACE) throw this.unexpected('"," or "}"');
    this.skip(CLOSE_BRACE);
  }

  #events(): void {
    this.skip(OPEN_BRACKET);
    if (this.peek() !== CLOSE_BRACKET) {
      for (;;) {
        if (this.count === LIMITS.batchEventsMax) throw new TooManyEvents();
        this.event();
        if (this.peek() !== COMMA) break;
        this.skip(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACKET) throw this.unexpected('"," or "]"');
    this.skip(CLOSE_BRACKET);
  }
}

class TooManyEvents extends Error {
  constructor() {
    super(`a publish takes at most ${LIMITS.batchEventsMax} events; send the rest in another one`);
  }
}

const LINE_FEED = 0x0a;

const READER = new EventReader();
