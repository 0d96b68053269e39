import { SeededRandom } from '../lab/random.ts';

/**
 * The bodies of a run. The same seed, publisher and batch number always give the same body, so a retry is the same
 * publish, and what is read back can be compared byte for byte.
 */
export class Batches {
  readonly eventsPerBatch: number;
  readonly #text: string;

  constructor(seed: number, batchBytes: number) {
    this.eventsPerBatch = Math.max(1, Math.round(batchBytes / EVENT_BYTES));
    const random = new SeededRandom(seed);
    // Hexadecimal digits compress to half: worse than logs, better than pictures.
    this.#text = Array.from({ length: TEXT_CHARS / 8 }, () =>
      random.whole(0, 0xffff_ffff).toString(16).padStart(8, '0'),
    ).join('');
  }

  body(publisher: number, batch: number): Buffer {
    const events = Array.from({ length: this.eventsPerBatch }, (_, i) => this.event(publisher, batch, i));
    return Buffer.from(`{"events":[${events.join()}]}`, 'latin1');
  }

  event(publisher: number, batch: number, index: number): string {
    const at = (publisher * 7919 + batch * 104_729 + index * 31) % (TEXT_CHARS - PAYLOAD_CHARS);
    const text = this.#text.slice(at, at + PAYLOAD_CHARS);
    return (
      `{"event_id":"${publisher}-${batch}-${index}","topic":"overload.${publisher % 10}","source":"publisher-${publisher}",` +
      `"payload":{"n":${index},"text":"${text}"},"timestamp":"2025-10-28T10:00:00Z"}`
    );
  }
}

/** The three numbers in an event's id, or null if the id looks different. */
export function eventNumbers(line: string): readonly [number, number, number] | null {
  const match = /^\{"event_id":"(\d+)-(\d+)-(\d+)"/.exec(line);
  return match === null ? null : [Number(match[1]), Number(match[2]), Number(match[3])];
}

const EVENT_BYTES = 1024;
const PAYLOAD_CHARS = 860;
const TEXT_CHARS = 1024 * 1024;
