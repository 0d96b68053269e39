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

/** One reader reads all bodies of a thread, one after the other: its arrays cost more than the body of a single event. */
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

  readStored(texts: Buffer, count: number): EventBatch {
    this.begin(texts);
    while (this.count < count) this.event();
    if (this.peek() !== -1 || this.errorsFound > 0) throw new Error('stored text is not what was stored');
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
    } else if (this.peek() === -1) {
      throw new JsonSyntaxError('the body is empty');
    } else {
      const found = this.kindAhead();
      this.passOver(null, null);
      this.errorAbout(null, null, `expected {"events":[…]} or one event, got ${found}`);
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
      this.errorAbout(null, shortened(name), name === 'events' ? 'stands twice' : 'unknown field');
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
    super(`a publish takes at most ${LIMITS.batchEventsMax} events; send the rest in another`);
  }
}

const READER = new EventReader();
