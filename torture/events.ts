import { createEventText } from '../bench/load/event-text.ts';
import { SeededRandom } from '../lab/random.ts';
import { KEPT_TOPIC, fateOf } from './letting-go/topics.ts';

/** The number at the start of an event's id, from which the whole event can be made. */
const NUMBER_IN_ID = /^(\d+)\./;

/** The share of events with extra characters in their payload, mostly not ASCII, and how many at most. */
const LONG = { share: 1 / 32, charsMax: 2_000 };
const VERY_LONG = { share: 1 / 1024, charsMax: 60_000 };

/**
 * The events of a run. The same seed and `k` always give the same event, so what must be stored is made again, byte for
 * byte, instead of being kept.
 */
export class Events {
  /** Whether they are only on topics of which everything is kept: then a run sets no policies and deletes nothing. */
  readonly areKept: boolean;
  readonly #base: (k: number) => string;
  readonly #random: SeededRandom;

  constructor(seed: number, areKept = false) {
    this.areKept = areKept;
    const base = createEventText(seed);
    this.#base = areKept ? (k) => onKeptTopic(base(k)) : base;
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

  /** A different event under the id of event `k`, with another source, payload or timestamp. */
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

  /** Event `k` made invalid by one field too many. */
  invalid(k: number): string {
    return `${this.text(k).slice(0, -1)},"severity":"high"}`;
  }

  /** What no other event has. */
  key(k: number): string {
    return `event ${k}`;
  }

  id(k: number): string {
    return /"event_id":"([^"]+)"/.exec(this.text(k))![1]!;
  }

  /** The topic of the event with this key. */
  topicOf(key: string): string {
    return this.topic(Number(key.slice('event '.length)));
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

function onKeptTopic(text: string): string {
  return text.replace(/(?<="topic":")[^"]+/, (topic) => (fateOf(topic) === null ? topic : KEPT_TOPIC));
}

/** The number of the event with this id, or null if no event of a run has it. */
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
