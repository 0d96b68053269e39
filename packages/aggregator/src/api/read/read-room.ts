import type { ServerResponse } from 'node:http';
import { ByteBudget, type Hold } from '../../queue/byte-budget.ts';
import { ProblemError } from '../request/problems.ts';

/**
 * Bounds what answers to readers hold in memory, all together. In: a response that may be long. Out: a `Reading` that
 * takes room for what it holds, until the response closes.
 *
 * A reading *goes on* as long as its reader takes something at times; a reader that has taken nothing for `stalledMs` is
 * *stalled*. It may be so for hours where nobody else wants its room. Where somebody does, the one that is stalled the
 * longest is cut off; where nobody is stalled, the newcomer is refused.
 */
export class ReadRoom {
  readonly #budget: ByteBudget;
  readonly #stalledMs: number;
  /** Who took nothing for the longest time stands first. */
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

  /** For readings alone. */
  moveOn(reading: Reading): void {
    if (this.#readings.delete(reading)) this.#readings.add(reading);
  }

  /** For readings alone: cuts off one that is stalled, or returns false where there is none. */
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

/** What one answer holds. */
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

  /** Takes room for so many more bytes; false where there is none. */
  grow(bytes: number): boolean {
    while (!this.hold.grow(bytes)) if (!this.#room.cutOneFor(this)) return false;
    return true;
  }

  /** The same where the answer cannot do without; throws a ProblemError. */
  need(bytes: number): void {
    if (!this.grow(bytes)) {
      throw new ProblemError('readers_full', 'too many answers are under way to others; ask again');
    }
  }

  /** The reader took something. */
  moved(): void {
    this.movedMs = performance.now();
    this.#room.moveOn(this);
  }
}
