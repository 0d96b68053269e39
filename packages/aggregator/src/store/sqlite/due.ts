import type { DatabaseSync } from 'node:sqlite';
import type { Due, DueQuery } from '../retention-store.ts';
import type { BlockReader } from './block-reader.ts';
import { countIn, type TopicCount } from './topic-rows.ts';
import type { TopicIds } from './topic-ids.ts';
import type { UnsettledEvents } from './unsettled-events.ts';

/** Events examined in one call, so that other reads get their turn. */
const EXAMINED_MAX = 20_000;

/** How far a look for due events has come. A change of any block in between makes it begin again. */
export interface DueSoFar {
  /** Of blocks, as of which the rest was found. */
  readonly rewrites: number;
  readonly after: number;
  /** Kept events of the topics that were not passed yet, and their bytes. */
  readonly keptEvents: number;
  readonly keptBytes: number;
  readonly due: Omit<Due, 'oldestKept'>;
}

export type DueSome = { readonly due: Due } | { readonly soFar: DueSoFar };

/**
 * Finds the events that are due, in the reader's thread: it walks from the first kept event to the first that is not due, so
 * its work is in proportion to what is due.
 */
export class DueEvents {
  readonly #db: DatabaseSync;
  readonly #topicIds: TopicIds;
  readonly #blocks: BlockReader;
  readonly #unsettled: UnsettledEvents;

  constructor(db: DatabaseSync, topicIds: TopicIds, blocks: BlockReader, unsettled: UnsettledEvents) {
    this.#db = db;
    this.#topicIds = topicIds;
    this.#blocks = blocks;
    this.#unsettled = unsettled;
  }

  /** A share of the look, within a transaction; all of it if it need not be short. */
  some(query: DueQuery, soFar: DueSoFar | null, isShort: boolean): DueSome {
    const topicIds = this.#topicIds.of(query);
    const rewrites = this.#blocks.rewrites();
    const from = soFar?.rewrites === rewrites ? soFar : this.#begin(topicIds, rewrites);
    let { after, keptEvents, keptBytes } = from;
    const due = { ...from.due };
    const { committedBeforeMs, eventsMax, bytesMax, upTo } = query;
    let examined = 0;
    const range = { order: 'asc', after, upTo: Number.MAX_SAFE_INTEGER } as const;
    for (const block of keptEvents === 0 ? [] : this.#blocks.of(range, topicIds)) {
      for (let i = Math.max(0, after + 1 - block.firstOffset); i < block.count; i++) {
        if (!block.isKept(i) || topicIds?.has(block.topicId(i)) === false) continue;
        const offset = block.firstOffset + i;
        const receivedMs = block.receivedMs(i);
        const isDue =
          (committedBeforeMs !== null && receivedMs < committedBeforeMs) ||
          (eventsMax !== null && keptEvents > eventsMax) ||
          (bytesMax !== null && keptBytes > bytesMax);
        if (!isDue || offset > upTo) return { due: { ...due, oldestKept: { offset, receivedMs } } };
        const bytes = block.textLength(i);
        keptEvents -= 1;
        keptBytes -= bytes;
        due.events += 1;
        due.bytes += bytes;
        due.upTo = offset;
      }
      after = block.lastOffset;
      examined += block.count;
      if (isShort && examined >= EXAMINED_MAX)
        return { soFar: { rewrites, after, keptEvents, keptBytes, due } };
    }
    return { due: { ...due, oldestKept: null } };
  }

  #begin(topicIds: ReadonlySet<number> | undefined, rewrites: number): DueSoFar {
    const { events, bytes, firstOffset } = keptOn(this.#db, topicIds, this.#unsettled.counts());
    const due = { events: 0, bytes: 0, upTo: 0 };
    return { rewrites, after: firstOffset - 1, keptEvents: events, keptBytes: bytes, due };
  }
}

/** What is kept on the topics, and an offset below which nothing of it is. `unsettled` is what the rows lack. */
export function keptOn(
  db: DatabaseSync,
  topicIds: ReadonlySet<number> | undefined,
  unsettled: ReadonlyMap<number, TopicCount>,
): { events: number; bytes: number; firstOffset: number } {
  const [where, values] =
    topicIds === undefined
      ? ['', []]
      : ['AND topic_id IN (SELECT value FROM json_each(?))', [JSON.stringify([...topicIds])]];
  const row = db
    .prepare(
      `SELECT sum(events) AS events, sum(bytes) AS bytes, min(first_offset) AS first_offset FROM topic
       WHERE events > 0 ${where}`,
    )
    .get(...values);
  const { events, bytes, firstOffset } = countIn(row);
  const sum = { events, bytes, firstOffset: events === 0 ? Number.MAX_SAFE_INTEGER : firstOffset };
  for (const [id, more] of unsettled) {
    if (more.events === 0 || topicIds?.has(id) === false) continue;
    sum.events += more.events;
    sum.bytes += more.bytes;
    sum.firstOffset = Math.min(sum.firstOffset, more.firstOffset);
  }
  return sum;
}
