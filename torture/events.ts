import { createEventText } from '../bench/load/event-text.ts';
import { SeededRandom } from '../lab/random.ts';

/** The number in front of an event's id, which says all there is to know of it. */
const NUMBER_IN_ID = /^(\d+)\./;

/** Shares of events with a payload of up to so many characters more, most of it beyond ASCII. */
const LONG = { share: 1 / 32, charsMax: 2_000 };
const VERY_LONG = { share: 1 / 1024, charsMax: 60_000 };

/**
 * The events of a run. Event `k` follows from the seed and `k` alone, so what must be stored is made again, to the
 * byte, and not kept.
 */
export class Events {
  readonly #base: (k: number) => string;
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#base = createEventText(seed);
    this.#random = new SeededRandom(seed);
  }

  /** The JSON of event `k`, without whitespace between tokens: as it must come back. */
  text(k: number): string {
    const base = this.#base(k);
    const text = `{"event_id":"${k}.${base.slice('{"event_id":"'.length)}`;
    const chars = this.#moreChars(k);
    if (chars === 0) return text;
    const end = text.lastIndexOf('},"timestamp"');
    return `${text.slice(0, end)},"more":"${more(k, chars)}"${text.slice(end)}`;
  }

  /** Another event under the id of event `k`: its source, its payload or its timestamp differs. */
  conflicting(k: number): string {
    const text = this.text(k);
    switch (k % 3) {
      case 0:
        return text.replace('"source":"', '"source":"not-');
      case 1:
        return text.replace('"payload":{', '"payload":{"more":0,').replace(',"more":"', ',"much_more":"');
      default:
        return text.replace(/"timestamp":"\d{4}/, '"timestamp":"1999');
    }
  }

  /** Event `k` as nobody may send it: one field too many. */
  invalid(k: number): string {
    return `${this.text(k).slice(0, -1)},"severity":"high"}`;
  }

  topic(k: number): string {
    return /"topic":"([^"]+)"/.exec(this.#base(k))![1]!;
  }

  #moreChars(k: number): number {
    const random = this.#random.fork(k);
    if (random.chance(VERY_LONG.share)) return random.whole(1, VERY_LONG.charsMax);
    if (random.chance(LONG.share)) return random.whole(1, LONG.charsMax);
    return 0;
  }
}

/** The number of the event with this id, or null where no event of a run has it. */
export function numberOf(eventId: string): number | null {
  const digits = NUMBER_IN_ID.exec(eventId)?.[1];
  return digits === undefined ? null : Number(digits);
}

function more(k: number, chars: number): string {
  return `${k} grüßt 😀 `
    .repeat(Math.ceil(chars / 8))
    .slice(0, chars)
    .replace(/[\ud800-\udbff]$/, '');
}
