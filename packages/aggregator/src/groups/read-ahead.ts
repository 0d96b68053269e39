import { compileTopicPatterns } from '@chronicleweaver/protocol';
import type { Commit, Commits } from '../commits/commits.ts';
import type { EventStore, PlacedPage } from '../store/event-store.ts';
import type { FreshEvents } from '../store/group-store.ts';

/** Above so many bytes nothing more is read ahead. A page that is read is at most 256 KiB, or one event. */
const AHEAD_BYTES_MAX = 1024 * 1024;

export interface FreshEvent {
  readonly offset: number;
  /** The event's JSON as `GET /events` gives it, UTF-8. */
  readonly json: Uint8Array;
}

/** What is offered to a take: events, and the same as the store wants to know them. */
export interface Offer {
  readonly events: readonly FreshEvent[];
  readonly fresh: FreshEvents;
}

/**
 * The next events of one group, read before they are asked for. In: pages from the store, word of commits, and the
 * position that each take leaves. Out: offers for the next take.
 *
 * Invariant: all events of the group above `position` and up to `scannedTo` are at hand, in order. All of it is a hint:
 * where another process has moved the position, the store passes over the offer, and what is at hand is put aside.
 */
export class ReadAhead {
  readonly #store: EventStore;
  readonly #commits: Commits;
  readonly #topics: readonly string[];
  readonly #isMeant: (topic: string) => boolean;
  /** The store's, as the last step told it. */
  #position: number;
  #scannedTo: number;
  #events: FreshEvent[] = [];
  #bytes = 0;
  #reading: Promise<void> | null = null;

  constructor(store: EventStore, commits: Commits, topics: readonly string[], position: number) {
    this.#store = store;
    this.#commits = commits;
    this.#topics = topics;
    this.#isMeant = compileTopicPatterns(topics);
    this.#position = position;
    this.#scannedTo = position;
  }

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  /** Whether there are commits that were not looked at. */
  get isBehind(): boolean {
    return this.#scannedTo < this.#commits.lastOffset;
  }

  /** Above the position and up to here nothing belongs to the group, as far as was looked. */
  get lookedTo(): number {
    return this.#events[0] === undefined ? this.#scannedTo : this.#events[0].offset - 1;
  }

  /** The page that is being read, if any. */
  get reading(): Promise<void> | null {
    return this.#reading;
  }

  /** Takes note of a commit. Says whether there may be events of the group in it. */
  committed({ after, lastOffset, events }: Commit): boolean {
    if (events === null || events.topics.values().some(this.#isMeant)) return true;
    // None of it is for this group, which need not be read to know that. But what lies below and was not looked at yet must
    // not be passed over with it.
    if (this.#scannedTo === after) this.#scannedTo = lastOffset;
    return false;
  }

  /** Begins to read where fewer events are at hand than two takes of that many want. */
  read(wanted: number, failed: (error: Error) => void): void {
    const isEnough = this.#events.length >= 2 * wanted || this.#bytes >= AHEAD_BYTES_MAX;
    if (this.#reading !== null || isEnough || !this.isBehind) return;
    this.#reading = this.#readPage(wanted)
      .catch((error: unknown) => failed(error as Error))
      .finally(() => (this.#reading = null));
  }

  /** The next events, at most so many. */
  offer(eventsMax: number): Offer {
    const events = this.#events.slice(0, eventsMax);
    const isAll = events.length === this.#events.length;
    return {
      events,
      fresh: {
        after: this.#position,
        upTo: isAll ? this.#scannedTo : events.at(-1)!.offset,
        offsets: Float64Array.from(events, ({ offset }) => offset),
        bytes: Int32Array.from(events, ({ json }) => json.length),
      },
    };
  }

  /** The group's position as the store has it now; whatever was offered up to there was leased. */
  movedTo(position: number): void {
    if (position < this.#position || position > this.#scannedTo) {
      this.restart(position);
      return;
    }
    this.#position = position;
    const count = this.#events.findIndex(({ offset }) => offset > position);
    const passed = this.#events.splice(0, count === -1 ? this.#events.length : count);
    for (const { json } of passed) this.#bytes -= json.length;
  }

  /** Reads on from another place, or anew from this one. */
  restart(position = this.#position): void {
    this.#position = position;
    this.#scannedTo = position;
    this.#events = [];
    this.#bytes = 0;
  }

  async #readPage(eventsMax: number): Promise<void> {
    const after = this.#scannedTo;
    const upTo = this.#commits.lastOffset;
    const page = await this.#store.read({
      topicPatterns: [this.#topics],
      order: 'asc',
      after,
      upTo,
      eventsMax,
      framing: 'array',
      placed: true,
    });
    // Where the place changed meanwhile, what was read does not follow upon what is at hand.
    if (this.#scannedTo !== after) return;
    this.#scannedTo = page.resumeAfter ?? upTo;
    for (const event of eventsOf(page as PlacedPage)) {
      this.#events.push(event);
      this.#bytes += event.json.length;
    }
  }
}

/** The events of a page, each a view of its JSON without the comma behind it. */
export function* eventsOf({ bytes, ends, offsets }: PlacedPage): Generator<FreshEvent> {
  let start = 0;
  for (const [i, offset] of offsets.entries()) {
    const end = ends[i]!;
    yield { offset, json: bytes.subarray(start, end - 1) };
    start = end;
  }
}
