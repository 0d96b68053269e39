import type { DatabaseSync } from 'node:sqlite';
import type { FreshEvents } from '../../group-store.ts';
import { storedEventBytes } from '../../stored-event.ts';
import { Reader } from '../read.ts';
import { readLedger } from '../file/ledger.ts';

/**
 * Finds the next events of a group within the writer's transaction, from the directories of the blocks alone: no text
 * is unpacked. Needed only if nobody has read ahead from the group's position, as after a seek, or when another
 * process took events of the same group.
 */
export class FreshReader {
  readonly #db: DatabaseSync;
  readonly #reader: Reader;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#reader = new Reader(db);
  }

  /** The next events above the offset on matching topics, at most `eventsMax`. */
  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents {
    const { lastOffset } = readLedger(this.#db);
    const query = { topicPatterns: [topics], order: 'asc', after, upTo: lastOffset } as const;
    const { offsets, textLengths, resumeAfter } = this.#reader.places(query, eventsMax);
    return {
      after,
      upTo: resumeAfter ?? Math.max(after, lastOffset),
      offsets: Float64Array.from(offsets),
      bytes: Int32Array.from(textLengths, (length, i) => storedEventBytes(length, offsets[i]!)),
    };
  }
}
