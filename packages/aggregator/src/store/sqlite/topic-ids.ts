import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { TopicFilter } from '../event-store.ts';
import { compileTopicFilter, selectsAll, topicFilterKey } from '../topic-filter.ts';

/** Answers kept, and ids in all of them: bounds the memory that readers with patterns of their own can take. */
const FILTERS_KEPT_MAX = 256;
const IDS_KEPT_MAX = 1_000_000;

/**
 * Resolves filters to topic ids. In: a filter, within a transaction. Out: its ids as of that transaction.
 *
 * A topic keeps its name and id for ever, and ids only grow. So each answer is kept, and only topics added since are
 * examined: a page by patterns costs the same as a page by topic, however many topics there are.
 */
export class TopicIds {
  readonly #findTopic: StatementSync;
  readonly #topicsAbove: StatementSync;
  readonly #kept = new Map<string, Resolved>();
  #idsKept = 0;

  constructor(db: DatabaseSync) {
    this.#findTopic = db.prepare('SELECT topic_id FROM topic WHERE name = ?');
    this.#topicsAbove = db.prepare('SELECT topic_id, name FROM topic WHERE topic_id > ? ORDER BY topic_id');
  }

  /** The ids of the topics that the filter selects, or undefined if that is every topic. */
  of(filter: TopicFilter): ReadonlySet<number> | undefined {
    if (filter.topic !== undefined) {
      const row = this.#findTopic.get(filter.topic);
      const isMeant = row !== undefined && compileTopicFilter(filter)(filter.topic);
      return new Set(isMeant ? [Number(row['topic_id'])] : []);
    }
    if (selectsAll(filter)) return undefined;
    const { ids, topicsSeen } = this.#resolve(filter);
    return ids.size === topicsSeen ? undefined : ids;
  }

  #resolve(filter: TopicFilter): Resolved {
    const key = topicFilterKey(filter);
    let resolved = this.#kept.get(key);
    if (resolved === undefined) {
      resolved = { ids: new Set(), isMeant: compileTopicFilter(filter), topicsSeen: 0, lastId: 0 };
    } else {
      this.#forget(key, resolved);
    }
    for (const row of this.#topicsAbove.iterate(resolved.lastId)) {
      resolved.lastId = Number(row['topic_id']);
      resolved.topicsSeen += 1;
      if (resolved.isMeant(String(row['name']))) resolved.ids.add(resolved.lastId);
    }
    // Moves it to the end: the first entry of the map is the least recently used.
    this.#kept.set(key, resolved);
    this.#idsKept += resolved.ids.size;
    for (const [oldKey, old] of this.#kept) {
      if (this.#kept.size <= FILTERS_KEPT_MAX && this.#idsKept <= IDS_KEPT_MAX) break;
      this.#forget(oldKey, old);
    }
    return resolved;
  }

  #forget(key: string, { ids }: Resolved): void {
    this.#kept.delete(key);
    this.#idsKept -= ids.size;
  }
}

interface Resolved {
  readonly ids: Set<number>;
  readonly isMeant: (topic: string) => boolean;
  topicsSeen: number;
  /** The highest topic id examined so far. */
  lastId: number;
}
