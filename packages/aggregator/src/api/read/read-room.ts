import type { ServerResponse } from 'node:http';
import { ByteBudget, type Hold } from '../../queue/byte-budget.ts';
import { ProblemError } from '../request/problems.ts';

/**
 * Bounds the memory that all answers to readers hold together. In: a response that may be long. Out: a `Reading`, which
 * occupies room for what it holds until the response closes.
 *
 * A reading is *active* while its reader takes something from time to time, and *stalled* once the reader has taken
 * nothing for `stalledMs`. It may stay stalled for hours while nobody else needs its room. When somebody does, the
 * reading stalled the longest is cut off; if none is stalled, the newcomer is refused.
 */
export class ReadRoom {
  readonly #budget: ByteBudget;
  readonly #stalledMs: number;
  /** In the order in which their readers last took something, the longest ago first. */
  readonly #readings = new Set<Reading>();

  constructor(bytesMax: number, stalledMs: number) {
    this.#budget = new ByteBudget(bytesMax);
    this.#stalledMs = stalledMs;
  }

  open(response: ServerResponse): Reading {
    const reading = new Reading(this, this.#budget.open(), response);
    this.#readings.add(reading);
    response.once('close', () => this.#close(reading));
    return reading;
  }

  /** Only for use by readings. */
  moveOn(reading: Reading): void {
    if (this.#readings.delete(reading)) this.#readings.add(reading);
  }

  /** Only for use by readings: cuts off a stalled one, or returns false if there is none. */
  cutOneFor(reading: Reading): boolean {
    const [first] = this.#readings;
    if (first === undefined || first === reading || performance.now() - first.movedMs < this.#stalledMs) {
      return false;
    }
    this.#close(first);
    first.response.destroy();
    return true;
  }

  #close(reading: Reading): void {
    this.#readings.delete(reading);
    reading.hold.release();
  }
}

/** The room that one answer occupies. */
export class Reading {
  readonly #room: ReadRoom;
  readonly hold: Hold;
  readonly response: ServerResponse;
  movedMs = performance.now();

  constructor(room: ReadRoom, hold: Hold, response: ServerResponse) {
    this.#room = room;
    this.hold = hold;
    this.response = response;
  }

  /** Takes room for this many more bytes; false if there is not enough. */
  grow(bytes: number): boolean {
    while (!this.hold.grow(bytes)) if (!this.#room.cutOneFor(this)) return false;
    return true;
  }

  /** Takes room that the answer cannot do without; throws a ProblemError if there is not enough. */
  need(bytes: number): void {
    if (!this.grow(bytes)) {
      throw new ProblemError('readers_full', 'answers to other readers take all the room; try again');
    }
  }

  /** Notes that the reader took something. */
  moved(): void {
    this.movedMs = performance.now();
    this.#room.moveOn(this);
  }
}
