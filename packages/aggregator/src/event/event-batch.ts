import { freeMemory } from '../released-memory.ts';

/**
 * The events of one publish on their way from the api to the store: parsed, checked, and flat, so that a batch crosses
 * to the writer's thread as three buffers and not as objects.
 *
 * `bytes` holds UTF-8: each event's JSON as it came, without the whitespace between tokens; a string that was written
 * with escapes stands a second time, decoded, behind the last event. `spans` says where things are: for event `i`, the
 * start and the end of part `p` are `spans[i * SPANS_PER_EVENT + p]` and the entry after it.
 */
export interface EventBatch {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly spans: Int32Array;
  /**
   * The events' own timestamps, whole milliseconds since 1970 as `Instant.epochMs` has them: a hint, which leaves times of
   * the same millisecond to the text.
   */
  readonly timesMs: Float64Array;
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

/** Memory that the batch holds, in bytes: what the queue counts. */
export function batchBytes(batch: EventBatch): number {
  return batch.bytes.byteLength + batch.spans.byteLength + batch.timesMs.byteLength;
}

/** Below this giving it back costs more than collecting it. */
const RELEASED_BYTES_MIN = 4096;

/**
 * A batch together with the right to its memory. There is one owner at a time, who lends `events` to others for the length
 * of a call or until a promise settles, and gives the memory back afterwards. An `EventBatch` is always lent.
 */
export class OwnedBatch implements Disposable {
  #events: EventBatch | null;

  constructor(events: EventBatch) {
    this.#events = events;
  }

  /** Throws once the memory was given back. */
  get events(): EventBatch {
    if (this.#events === null) throw new Error('the memory of this batch was given back');
    return this.#events;
  }

  /** Gives the memory back. */
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
