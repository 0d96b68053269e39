import type { Writable } from 'node:stream';
import type { TopicFilter } from '../store/event-store.ts';

/** All who follow the same topics. What is picked for one is written to all of them. */
export interface Channel {
  readonly key: string;
  readonly filter: TopicFilter;
  readonly isMeant: (topic: string) => boolean;
  /** From here on the window has what is meant: before, nobody may have wanted it. */
  readonly since: number;
  /** Those of its followers that are given what comes, as it comes. */
  readonly live: Set<Follower>;
  /** Followers in any state. */
  followers: number;
}

/**
 * The writing end of one live stream. In: bytes, in order, each with the offset that they reach to. Out: the reader's
 * stream.
 *
 * It is *open*, and then either *full* (the stream holds what its reader has not taken, so nothing more is given) or
 * not; then it has *ended*, for good. Everything that is meant up to `position` was written, once and in order, and
 * nothing above it: that is the cursor that the reader resumes from. While it is full it holds the bytes that made it
 * full, which is less than the stream's high water mark and one piece.
 */
export class Follower {
  readonly channel: Channel;
  readonly #out: Writable;
  #position: number;
  #fullSinceMs: number | null = null;
  #isEnded = false;
  #changed: (() => void) | null = null;

  constructor(channel: Channel, position: number, out: Writable, ended: () => void) {
    this.channel = channel;
    this.#position = position;
    this.#out = out;
    out.on('drain', () => {
      this.#fullSinceMs = null;
      this.#changed?.();
    });
    // A reader that leaves is no fault of ours, however it leaves.
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

  /** Since when it is full, in milliseconds of the process's clock, or null. */
  get fullSinceMs(): number | null {
    return this.#fullSinceMs;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Writes what is meant above the position, up to another; null where nothing is. Nothing after the end. */
  give(bytes: Uint8Array | null, position: number): void {
    if (this.#isEnded) return;
    this.#position = position;
    if (bytes !== null && bytes.length > 0) this.#write(bytes);
  }

  /** Writes something that is no event. */
  say(bytes: Uint8Array): void {
    if (!this.#isEnded) this.#write(bytes);
  }

  /** Resolves when it is no longer full, or has ended. */
  async emptied(): Promise<void> {
    while (this.isFull && !this.#isEnded) {
      await new Promise<void>((resolve) => (this.#changed = resolve));
      this.#changed = null;
    }
  }

  /** Ends the stream; what its reader has not taken by now is cut off, to be read again from the position. */
  end(): void {
    this.#isEnded = true;
    if (this.isFull) this.#out.destroy();
    else this.#out.end();
  }

  /** Ends the stream in the middle, so that its reader comes back. */
  cut(): void {
    this.#isEnded = true;
    this.#out.destroy();
  }

  #write(bytes: Uint8Array): void {
    if (!this.#out.write(bytes)) this.#fullSinceMs ??= performance.now();
  }
}
