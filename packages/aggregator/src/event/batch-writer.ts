import { LIMITS } from '@chronicleweaver/protocol';
import { freeMemory, ownBuffer } from '../released-memory.ts';
import {
  EMPTY_BATCH,
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  SPANS_PER_EVENT,
  TEXT,
  TIMESTAMP,
  TOPIC,
} from './event-batch.ts';
import { grown } from './open-names.ts';

/** A name of an event, as text and as JSON. */
export class WrittenName {
  readonly text: string;
  readonly json: string;
  /** Bytes of the JSON. */
  readonly length: number;

  /** @param text valid for its field (EVT-2 to EVT-4) */
  constructor(text: string) {
    this.text = text;
    this.json = JSON.stringify(text);
    this.length = Buffer.byteLength(this.json);
  }

  get isEscaped(): boolean {
    return this.json.length !== this.text.length + 2;
  }
}

/** An event whose parts are known, and valid. */
export interface WrittenEvent {
  readonly id: WrittenName;
  readonly topic: WrittenName;
  readonly source: WrittenName;
  /** JSON without whitespace between tokens. */
  readonly payload: string;
  /** Of ASCII characters that need no escapes. */
  readonly timestamp: string;
  /** Whole milliseconds since 1970. */
  readonly timeMs: number;
}

/** All events together exceed the bound. */
export class TooManyBytes extends Error {}

/**
 * Makes a batch of events that are written here, not read. The result is what the event reader would make of their texts
 * (test/event/batch-writer.test.ts).
 */
export class BatchWriter {
  readonly #bytesMax: number;
  #bytes: Buffer<ArrayBuffer> = Buffer.alloc(0);
  #length = 0;
  #count = 0;
  #spans = new Int32Array(SPANS_PER_EVENT * 16);
  readonly #timesMs: number[] = [];
  /** Of events that exceed EVT-9. */
  #refusedBytes = 0;
  /** Names that were written with escapes: where each belongs in the spans, and its text. */
  readonly #escaped: { readonly at: number; readonly text: string }[] = [];

  /** @param bytesMax the most bytes of all texts together */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Adds nothing and returns false if the event exceeds EVT-9. Throws TooManyBytes, after which the writer is of no use: also once
   * those that exceed it have as many bytes together, since making them takes as long as if they had been added.
   */
  add({ id, topic, source, payload, timestamp, timeMs }: WrittenEvent): boolean {
    // JSON never has fewer bytes than characters.
    if (payload.length > LIMITS.eventBytesMax) return this.#refuse(payload.length);
    const text = `{"event_id":${id.json},"topic":${topic.json},"source":${source.json},"payload":${payload},"timestamp":"${timestamp}"}`;
    const start = this.#length;
    const end = start + this.#write(text);
    if (end - start > LIMITS.eventBytesMax) return this.#refuse(end - start);
    this.#bound(end);
    this.#length = end;
    const at = this.#count * SPANS_PER_EVENT;
    if (at === this.#spans.length) this.#spans = grown(this.#spans);
    const spans = this.#spans;
    spans[at + TEXT] = start;
    spans[at + TEXT + 1] = end;
    let place = this.#name(at + EVENT_ID, id, start + '{"event_id":'.length);
    place = this.#name(at + TOPIC, topic, place + ',"topic":'.length);
    place = this.#name(at + SOURCE, source, place + ',"source":'.length);
    spans[at + TIMESTAMP + 1] = end - '"}'.length;
    spans[at + TIMESTAMP] = spans[at + TIMESTAMP + 1]! - timestamp.length;
    spans[at + PAYLOAD] = place + ',"payload":'.length;
    spans[at + PAYLOAD + 1] = spans[at + TIMESTAMP]! - ',"timestamp":"'.length;
    this.#timesMs.push(timeMs);
    this.#count += 1;
    return true;
  }

  /** The batch, whose memory the caller owns from here on. */
  batch(): EventBatch {
    if (this.#count === 0) return EMPTY_BATCH;
    for (const { at, text } of this.#escaped) {
      this.#spans[at] = this.#length;
      this.#length += this.#write(text);
      this.#spans[at + 1] = this.#length;
    }
    this.#escaped.length = 0;
    return {
      count: this.#count,
      bytes: this.#bytes.subarray(0, this.#length),
      spans: this.#spans.slice(0, this.#count * SPANS_PER_EVENT),
      timesMs: Float64Array.from(this.#timesMs),
    };
  }

  #refuse(bytes: number): false {
    this.#refusedBytes += bytes;
    this.#bound(this.#refusedBytes);
    return false;
  }

  #bound(bytes: number): void {
    if (bytes <= this.#bytesMax) return;
    freeMemory(this.#bytes);
    throw new TooManyBytes();
  }

  /** Notes where a name is whose JSON begins at `start`; returns where that ends. */
  #name(at: number, name: WrittenName, start: number): number {
    const end = start + name.length;
    if (name.isEscaped) {
      this.#escaped.push({ at, text: name.text });
    } else {
      this.#spans[at] = start + 1;
      this.#spans[at + 1] = end - 1;
    }
    return end;
  }

  /** Writes the text behind what is there; returns its bytes. */
  #write(text: string): number {
    // A UTF-16 unit takes up to three bytes of UTF-8.
    const needed = this.#length + 3 * text.length;
    if (needed > this.#bytes.length) {
      const larger = ownBuffer(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      freeMemory(this.#bytes);
      this.#bytes = larger;
    }
    return this.#bytes.write(text, this.#length);
  }
}
