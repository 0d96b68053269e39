import { compileTopicPatterns } from '@chronicleweaver/protocol';
import type { Commit, Commits } from '../commits/commits.ts';
import type { EventStore, PlacedPage } from '../store/event-store.ts';
import type { FreshEvents } from '../store/group-store.ts';

/** Above this many bytes nothing more is read ahead. A page is at most 256 KiB, or one event. */
const AHEAD_BYTES_MAX = 1024 * 1024;

export interface FreshEvent {
  readonly offset: number;
  /** The event's JSON as `GET /events` gives it, UTF-8. */
  readonly json: Uint8Array;
}

/** What is offered to a take: events, and the same in the form that the store takes. */
export interface Offer {
  readonly events: readonly FreshEvent[];
  readonly fresh: FreshEvents;
}

/**
 * The next events of one group, read before anybody asks for them. In: pages from the store, news of commits, and the
 * position after each take. Out: offers for the next take.
 *
 * Invariant: all events of the group above `position` and up to `scannedTo` are in memory, in order. All of this is a
 * hint: if another process has moved the position, the store ignores the offer, and the events in memory are dropped.
 */
export class ReadAhead {
  readonly #store: EventStore;
  readonly #commits: Commits;
  readonly #topics: readonly string[];
  readonly #isMeant: (topic: string) => boolean;
  /** The store's position, as the last step reported it. */
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

  /** Whether there are commits that have not been examined. */
  get isBehind(): boolean {
    return this.#scannedTo < this.#commits.lastOffset;
  }

  /** Nothing above this position and up to here belongs to the group; the position itself if another one is known here. */
  lookedTo(position: number): number {
    if (position !== this.#position) return position;
    return this.#events[0] === undefined ? this.#scannedTo : this.#events[0].offset - 1;
  }

  /** The read under way, if any. */
  get reading(): Promise<void> | null {
    return this.#reading;
  }

  /** Notes a commit. Returns whether it may hold events of the group. */
  committed({ after, lastOffset, events }: Commit): boolean {
    if (events === null || events.topics.values().some(this.#isMeant)) return true;
    // Nothing in this commit is for the group, so there is no need to read it. But anything below it that has not
    // been examined yet must not be skipped with it.
    if (this.#scannedTo === after) this.#scannedTo = lastOffset;
    return false;
  }

  /** Starts a read if fewer events are in memory than two takes of `wanted` events need. */
  read(wanted: number, failed: (error: Error) => void): void {
    const isEnough = this.#events.length >= 2 * wanted || this.#bytes >= AHEAD_BYTES_MAX;
    if (this.#reading !== null || isEnough || !this.isBehind) return;
    this.#reading = this.#readPage(wanted)
      .catch((error: unknown) => failed(error as Error))
      .finally(() => (this.#reading = null));
  }

  /** The next events, at most `eventsMax`. */
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

  /** Notes the store's new position for the group; everything offered up to there was leased. */
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

  /** Starts over from another place, or from the current position. */
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
    // If the place has changed meanwhile, this page does not continue what is in memory.
    if (this.#scannedTo !== after) return;
    this.#scannedTo = page.resumeAfter ?? upTo;
    for (const event of eventsOf(page as PlacedPage)) {
      this.#events.push(event);
      this.#bytes += event.json.length;
    }
  }
}

/** The events of a page, each a view of its JSON without the comma that follows. */
export function* eventsOf({ bytes, ends, offsets }: PlacedPage): Generator<FreshEvent> {
  let start = 0;
  for (const [i, offset] of offsets.entries()) {
    const end = ends[i]!;
    yield { offset, json: bytes.subarray(start, end - 1) };
    start = end;
  }
}
