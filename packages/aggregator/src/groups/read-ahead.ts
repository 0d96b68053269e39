import { compileTopicPatterns } from '@chronicleweaver/protocol';
import type { Commit, Commits } from '../commits/commits.ts';
import type { EventStore, PlacedPage } from '../store/event-store.ts';
import type { FreshEvents } from '../store/group-store.ts';
import type { Expiry } from '../store/retention-store.ts';

/** Above this many bytes nothing more is read ahead. A page is at most 256 KiB, or one event. */
const AHEAD_BYTES_MAX = 1024 * 1024;

export interface FreshEvent {
  readonly offset: number;
  /** The event's JSON as `GET /events` gives it, UTF-8. */
  readonly json: Uint8Array;
}

interface ReadEvent extends FreshEvent {
  /** How many of the group's events have expired between the one before it and this one. */
  readonly expiredBefore: number;
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
 * Invariant: all kept events of the group above `position` and up to `scannedTo` are in memory, in order, each with the number of
 * expired ones before it; `expiredBehind` counts those behind the last. All of this is a hint: if another process has moved the position, the store ignores the offer, and the events in memory are dropped.
 */
export class ReadAhead {
  readonly #store: EventStore;
  readonly #commits: Commits;
  readonly #topics: readonly string[];
  readonly #isMeant: (topic: string) => boolean;
  /** The store's position, as the last step reported it. */
  #position: number;
  #scannedTo: number;
  #events: ReadEvent[] = [];
  #expiredBehind = 0;
  #bytes = 0;
  #reading: Promise<void> | null = null;
  /** What has expired since the read under way began. */
  #expiries: Expiry[] = [];

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

  /** Whether there is something for the next take: events to lease, or expired ones to count. */
  get hasNews(): boolean {
    return this.#events.length > 0 || this.#expiredBehind > 0;
  }

  /** Whether there are commits that have not been examined. */
  get isBehind(): boolean {
    return this.#scannedTo < this.#commits.lastOffset;
  }

  /**
   * No kept event above this position and up to \`upTo\` belongs to the group, but \`expired\` ones do that no take has counted yet.
   * Nothing is known of any other position than the current one.
   */
  looked(position: number): { readonly upTo: number; readonly expired: number } {
    if (position !== this.#position) return { upTo: position, expired: 0 };
    const [first] = this.#events;
    return first === undefined
      ? { upTo: this.#scannedTo, expired: this.#expiredBehind }
      : { upTo: first.offset - 1, expired: first.expiredBefore };
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
    const expiredBefore = Int32Array.from(events, (event) => event.expiredBefore);
    return {
      events,
      fresh: {
        after: this.#position,
        upTo: isAll ? this.#scannedTo : events.at(-1)!.offset,
        offsets: Float64Array.from(events, ({ offset }) => offset),
        bytes: Int32Array.from(events, ({ json }) => json.length),
        expiredBefore,
        expired: expiredBefore.reduce((sum, count) => sum + count, isAll ? this.#expiredBehind : 0),
      },
    };
  }

  /** Notes the store's new position for the group; everything offered up to there was leased. */
  movedTo(position: number): void {
    if (position < this.#position || position > this.#scannedTo) {
      this.restart(position);
      return;
    }
    const count = this.#events.findIndex(({ offset }) => offset > position);
    const passed = count === -1 ? this.#events.length : count;
    const isAtEnd = position === this.#scannedTo;
    const isAtEvent = position === (this.#events[passed - 1]?.offset ?? this.#position);
    const expired = this.#events[passed]?.expiredBefore ?? this.#expiredBehind;
    // Within a stretch that has expired events: how many of them lie above the position is not known.
    if (!isAtEnd && !isAtEvent && expired > 0) {
      this.restart(position);
      return;
    }
    this.#position = position;
    for (const { json } of this.#events.splice(0, passed)) this.#bytes -= json.length;
    if (isAtEnd) this.#expiredBehind = 0;
  }

  /** Some events have expired: texts that were read before are not offered. */
  expired(expiry: Expiry): void {
    if (this.#reading !== null) this.#expiries.push(expiry);
    if (this.#events.some(({ offset }) => isWithin(offset, expiry))) this.restart();
  }

  /** Starts over from another place, or from the current position. */
  restart(position = this.#position): void {
    this.#position = position;
    this.#scannedTo = position;
    this.#events = [];
    this.#expiredBehind = 0;
    this.#bytes = 0;
  }

  async #readPage(eventsMax: number): Promise<void> {
    const after = this.#scannedTo;
    const upTo = this.#commits.lastOffset;
    this.#expiries = [];
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
    const { expired, expiredBefore, offsets } = page as PlacedPage;
    if (this.#expiries.some((expiry) => offsets.some((offset) => isWithin(offset, expiry)))) return;
    this.#scannedTo = page.resumeAfter ?? upTo;
    let carried = this.#expiredBehind;
    this.#expiredBehind += expired;
    for (const [i, event] of [...eventsOf(page as PlacedPage)].entries()) {
      const before = carried + expiredBefore[i]!;
      this.#events.push({ ...event, expiredBefore: before });
      this.#bytes += event.json.length;
      this.#expiredBehind -= before;
      carried = 0;
    }
  }
}

export function isWithin(offset: number, { from, upTo }: Expiry): boolean {
  return offset >= from && offset <= upTo;
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
