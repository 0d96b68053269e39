import type { DatabaseSync } from 'node:sqlite';
import { earliestOf } from '../../earliest.ts';
import type { FreshEvents } from '../../group-store.ts';
import { Reader } from '../read.ts';
import { readLedger } from '../file/ledger.ts';

/**
 * Finds the next events of a group within the writer's transaction. Needed only if nobody has read ahead from the group's
 * position, as after a seek, or when another process took events of the same group.
 */
export class FreshReader {
  readonly #db: DatabaseSync;
  readonly #reader: Reader;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#reader = new Reader(db);
  }

  /** See earliestOf; of matching topics. */
  earliest(topics: readonly string[]): number {
    return earliestOf(this.#reader.topics({ topicPatterns: [topics] }));
  }

  /** The next events above the offset on matching topics, at most `eventsMax`. */
  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents {
    const { lastOffset } = readLedger(this.#db);
    return this.#reader.fresh({ topicPatterns: [topics], order: 'asc', after, upTo: lastOffset }, eventsMax);
  }
}
