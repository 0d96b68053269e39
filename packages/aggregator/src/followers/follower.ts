import type { Writable } from 'node:stream';
import type { TopicFilter } from '../store/event-store.ts';

/** All followers of the same topics. Events are selected once and written to all of them. */
export interface Channel {
  readonly key: string;
  readonly filter: TopicFilter;
  readonly isMeant: (topic: string) => boolean;
  /** The window has this channel's events from here on; earlier ones may have had no followers. */
  readonly since: number;
  /** Its followers that are given events as they come. */
  readonly live: Set<Follower>;
  /** Followers in any state. */
  followers: number;
}

/** Makes of whole framed events what a reader is given. */
export type Written = (events: Uint8Array) => Uint8Array;

export interface FollowOptions {
  /** Whether it ends rather than pass over a gap behind its first event. */
  readonly isStrict?: boolean;
  /** By default the events are given as they are framed. */
  readonly written?: Written;
}

const asItIs: Written = (events) => events;

/**
 * The writing end of one live stream. In: bytes, in order, with the offset that they reach. Out: the reader's stream.
 *
 * It is *open*, and then either *full* (its reader lags, so nothing more is given to it) or not, until it has *ended*
 * for good. All of its events up to `position` were written, once and in order, and none above: `position` is the
 * cursor that the reader resumes from. While full it holds the bytes that made it full: less than the stream's high
 * water mark and one piece.
 */
export class Follower {
  readonly channel: Channel;
  readonly isStrict: boolean;
  /** Whether its reader has seen any event. */
  hasBegun: boolean;
  readonly #out: Writable;
  readonly #written: Written;
  #position: number;
  #fullSinceMs: number | null = null;
  #isEnded = false;
  #changed: (() => void) | null = null;

  constructor(
    channel: Channel,
    position: number,
    out: Writable,
    { isStrict = false, written = asItIs }: FollowOptions,
    ended: () => void,
  ) {
    this.channel = channel;
    this.isStrict = isStrict;
    this.#written = written;
    this.hasBegun = position > 0;
    this.#position = position;
    this.#out = out;
    out.on('drain', () => {
      this.#fullSinceMs = null;
      this.#changed?.();
    });
    // A reader that leaves, however it does, is no error of ours.
    out.on('error', () => out.destroy());
    out.on('close', () => {
      this.#isEnded = true;
      this.#changed?.();
      ended();
    });
  }

  get position(): number {
    return this.#position;
  }

  get isFull(): boolean {
    return this.#fullSinceMs !== null;
  }

  /** Since when it has been full, in milliseconds of the process's monotonic clock, or null. */
  get fullSinceMs(): number | null {
    return this.#fullSinceMs;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Writes the follower's events above its position up to a new one; null if there are none. Does nothing after the
   * end.
   */
  give(bytes: Uint8Array | null, position: number): void {
    if (this.#isEnded) return;
    this.#position = position;
    if (bytes !== null && bytes.length > 0) this.#write(this.#written(bytes));
  }

  /** Writes something other than an event. */
  say(bytes: Uint8Array): void {
    if (!this.#isEnded) this.#write(bytes);
  }

  /** Resolves once it is no longer full, or has ended. */
  async emptied(): Promise<void> {
    while (this.isFull && !this.#isEnded) {
      await new Promise<void>((resolve) => (this.#changed = resolve));
      this.#changed = null;
    }
  }

  /**
   * Ends the stream. Anything its reader has not taken by now is cut off, to be read again from the reader's cursor.
   */
  end(): void {
    this.#isEnded = true;
    if (this.isFull) this.#out.destroy();
    else this.#out.end();
  }

  /** Breaks the stream off, so that its reader reconnects. */
  cut(): void {
    this.#isEnded = true;
    this.#out.destroy();
  }

  #write(bytes: Uint8Array): void {
    if (!this.#out.write(bytes)) this.#fullSinceMs ??= performance.now();
  }
}
