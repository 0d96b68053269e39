import { freeMemory } from '../released-memory.ts';

/**
 * The events of one publish on their way from the api to the store: parsed, checked and flat, so that a batch crosses
 * to the writer's thread as three buffers and not as objects.
 *
 * `bytes` holds UTF-8: each event's JSON as it was sent, without the whitespace between tokens, followed by decoded
 * copies of the strings that were written with escapes. `spans` locates the parts: for event `i`, the start and the end
 * of part `p` are `spans[i * SPANS_PER_EVENT + p]` and the entry after it.
 */
export interface EventBatch {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly spans: Int32Array;
  /**
   * The events' own timestamps in whole milliseconds since 1970, like `Instant.epochMs`. Only a hint: to order times
   * within the same millisecond, read the text.
   */
  readonly timesMs: Float64Array;
  /** The name of the key that published them; undefined without keys. */
  readonly publisher?: string | undefined;
}

/** The parts of an event in `spans`; each is followed by its end. Names are decoded, TEXT and PAYLOAD are JSON. */
export const TEXT = 0;
export const EVENT_ID = 2;
export const TOPIC = 4;
export const SOURCE = 6;
export const TIMESTAMP = 8;
export const PAYLOAD = 10;
export const SPANS_PER_EVENT = 12;

type Part = typeof TEXT | typeof EVENT_ID | typeof TOPIC | typeof SOURCE | typeof TIMESTAMP | typeof PAYLOAD;

export const EMPTY_BATCH: EventBatch = {
  count: 0,
  bytes: new Uint8Array(0),
  spans: new Int32Array(0),
  timesMs: new Float64Array(0),
};

/** The memory that the batch occupies, in bytes. The queue's bound counts it. */
export function batchBytes(batch: EventBatch): number {
  return batch.bytes.byteLength + batch.spans.byteLength + batch.timesMs.byteLength;
}

/** Smaller batches cost less to garbage-collect than to release. */
const RELEASED_BYTES_MIN = 4096;

/**
 * A batch and the ownership of its memory. There is one owner at a time, which lends `events` to others for the duration
 * of a call or until a promise settles, and releases the memory afterwards. A plain `EventBatch` is always on loan.
 */
export class OwnedBatch implements Disposable {
  #events: EventBatch | null;

  constructor(events: EventBatch) {
    this.#events = events;
  }

  /** Throws after the memory was released. */
  get events(): EventBatch {
    if (this.#events === null) throw new Error('the memory of this batch was already released');
    return this.#events;
  }

  /** Releases the memory. */
  [Symbol.dispose](): void {
    if (this.#events === null) return;
    const { bytes, spans, timesMs } = this.#events;
    this.#events = null;
    if (bytes.length < RELEASED_BYTES_MIN) return;
    for (const memory of [bytes, spans, timesMs]) freeMemory(memory);
  }
}

/** One part of event `index` as a string. */
export function partText(batch: EventBatch, index: number, part: Part): string {
  const at = index * SPANS_PER_EVENT + part;
  const { buffer, byteOffset, byteLength } = batch.bytes;
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8', batch.spans[at], batch.spans[at + 1]);
}
