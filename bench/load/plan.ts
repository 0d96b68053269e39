import { SeededRandom } from '../../lab/random.ts';

/** A part of what is sent, in the order in which it is sent. */
export interface Segment {
  /** The event at each place. */
  readonly events: Uint32Array;
  /** How many of them were never sent before. All others are duplicates. */
  readonly fresh: number;
}

const DUPLICATE_SHARE = 0.2;

/** Half of the duplicates repeat one of this many newest events, the other half any event. */
const RECENT_EVENTS = 10_000;

/**
 * Which event is sent when; it depends only on the seed. Publishers run side by side, so a duplicate may overtake its
 * original: which of the two is accepted may then vary, but not how many are accepted.
 */
export class Plan {
  readonly #random: SeededRandom;
  #keys = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** Distinct events planned so far: their numbers run from 0 to below this. */
  get keys(): number {
    return this.#keys;
  }

  /** The next `count` events. */
  next(count: number): Segment {
    const keysBefore = this.#keys;
    const events = new Uint32Array(count);
    for (let place = 0; place < count; place++) events[place] = this.#draw();
    return { events, fresh: this.#keys - keysBefore };
  }

  /** The next events, until there are this many keys. */
  untilKeys(keys: number): Segment {
    const keysBefore = this.#keys;
    const events: number[] = [];
    while (this.#keys < keys) events.push(this.#draw());
    return { events: Uint32Array.from(events), fresh: this.#keys - keysBefore };
  }

  #draw(): number {
    if (this.#keys === 0 || !this.#random.chance(DUPLICATE_SHARE)) return this.#keys++;
    const span = this.#random.chance(0.5) ? Math.min(RECENT_EVENTS, this.#keys) : this.#keys;
    return this.#keys - 1 - Math.floor(this.#random.between(0, span));
  }
}

/** About how many new keys this many planned events bring. */
export function expectedKeys(events: number): number {
  return Math.round(events * (1 - DUPLICATE_SHARE));
}
