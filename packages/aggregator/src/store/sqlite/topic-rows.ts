import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BARE, EXPIRED } from '../blocks/block-format.ts';
import { damaged } from '../errors.ts';

export interface TopicCount {
  /** Those that are kept, and the bytes of their texts, uncompressed. */
  events: number;
  bytes: number;
  expired: number;
  bare: number;
  /** No event below it is kept; meaningless if none is. */
  firstOffset: number;
  lastOffset: number;
}

/** Counts the next event, by the length that the directory of its block has for it. */
export function countEvent(count: TopicCount, offset: number, length: number): void {
  count.lastOffset = offset;
  if (length === EXPIRED) count.expired += 1;
  else if (length === BARE) count.bare += 1;
  else {
    if (count.events === 0) count.firstOffset = offset;
    count.events += 1;
    count.bytes += length;
  }
}

/** A topic and its counts as of the open transaction. `isTouched` says that its row in the file lacks some. */
export interface TopicRow extends TopicCount {
  readonly id: number;
  readonly nameBytes: Uint8Array;
  /** Whether its new events are stored bare. */
  readonly isBare: boolean;
  isTouched: boolean;
}

/** A power of two. */
const RECENT_TOPICS = 4096;

/** Topics whose rows are kept in memory. Beyond that all are dropped and read again when needed. */
const TOPICS_KEPT_MAX = 50_000;

/**
 * The topics that the writer counts, with their rows in memory. In: the bytes of an event's topic. Out: its row, counted
 * now and written now or later (books.ts). After a rollback the rows in memory are wrong and must be forgotten.
 */
export class TopicRows {
  readonly #topics = new Map<string, TopicRow>();
  /** Some of the topics, each in the slot that its name hashes to. Finding one here takes no string. */
  readonly #recentTopics = Array.from<TopicRow | undefined>({ length: RECENT_TOPICS });
  #touched: TopicRow[] = [];
  /** Whether the events of a topic are stored bare; null if those of none are. Rows keep the answer. */
  isBare: ((topic: string) => boolean) | null = null;
  readonly #find: StatementSync;
  readonly #findById: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT * FROM topic WHERE name = ?');
    this.#findById = db.prepare('SELECT name FROM topic WHERE topic_id = ?');
    this.#insert = db.prepare('INSERT INTO topic (name, events, last_offset) VALUES (?, 0, 0)');
    this.#update = db.prepare(`
      UPDATE topic SET events = ?, bytes = ?, expired = ?, bare = ?, first_offset = ?, last_offset = ?
      WHERE topic_id = ?`);
  }

  /** The topic with these bytes as its name. */
  named(bytes: Uint8Array, start: number, end: number): TopicRow {
    const place = placeOf(bytes, start, end);
    const recent = this.#recentTopics[place];
    if (recent !== undefined && isSame(recent.nameBytes, bytes, start, end)) return recent;
    const nameBytes = bytes.slice(start, end);
    const topic = this.#withName(Buffer.from(nameBytes).toString(), nameBytes);
    this.#recentTopics[place] = topic;
    return topic;
  }

  /** The topic with this id, which the file must have. */
  withId(id: number): TopicRow {
    const row = this.#findById.get(id);
    if (row === undefined)
      throw damaged(`there are events on a topic with the id ${id}, which does not exist`);
    const name = String(row['name']);
    return this.#withName(name, Buffer.from(name));
  }

  /** The number of topics that were counted and are not yet written. */
  get touched(): number {
    return this.#touched.length;
  }

  /** Whether the rows take so much memory that they should be forgotten. */
  get areMany(): boolean {
    return this.#topics.size >= TOPICS_KEPT_MAX;
  }

  #withName(name: string, nameBytes: Uint8Array): TopicRow {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const row = this.#find.get(name);
    const topic: TopicRow = {
      id: Number(row === undefined ? this.#insert.run(name).lastInsertRowid : row['topic_id']),
      nameBytes,
      ...countIn(row),
      isBare: this.isBare?.(name) ?? false,
      isTouched: false,
    };
    this.#topics.set(name, topic);
    return topic;
  }

  /** Counts an event on the topic, by its length in the directory. */
  count(topic: TopicRow, offset: number, length: number): void {
    this.#touch(topic);
    countEvent(topic, offset, length);
  }

  /** Counts events on the topic that come after those counted so far. */
  add(topic: TopicRow, more: TopicCount): void {
    this.#touch(topic);
    Object.assign(topic, sumOf(topic, more));
  }

  /** Counts kept events of the topic as expired. No event below `firstOffset` is kept from now on. */
  expire(topic: TopicRow, { events, bytes }: { events: number; bytes: number }, firstOffset: number): void {
    this.#touch(topic);
    topic.events -= events;
    topic.bytes -= bytes;
    topic.expired += events;
    topic.firstOffset = Math.max(topic.firstOffset, firstOffset);
  }

  /** Counts texts of the topic that an older version did not count. */
  addTexts(topic: TopicRow, bytes: number, firstOffset: number): void {
    this.#touch(topic);
    topic.bytes += bytes;
    if (topic.firstOffset === 0) topic.firstOffset = firstOffset;
  }

  #touch(topic: TopicRow): void {
    if (topic.isTouched) return;
    topic.isTouched = true;
    this.#touched.push(topic);
  }

  /** Writes the topics that were counted. */
  writeCounts(): void {
    for (const topic of this.#touched) {
      topic.isTouched = false;
      const { events, bytes, expired, bare, firstOffset, lastOffset, id } = topic;
      this.#update.run(events, bytes, expired, bare, firstOffset, lastOffset, id);
    }
    this.#touched = [];
  }

  /** Forgets all rows, including counts that were not written. */
  forget(): void {
    this.#topics.clear();
    this.#touched = [];
    this.#recentTopics.fill(undefined);
  }
}

/** The counts in a row of `topic`; of no row, those of a topic without events. */
export function countIn(row: Record<string, unknown> | undefined): TopicCount {
  return {
    events: Number(row?.['events'] ?? 0),
    bytes: Number(row?.['bytes'] ?? 0),
    expired: Number(row?.['expired'] ?? 0),
    bare: Number(row?.['bare'] ?? 0),
    firstOffset: Number(row?.['first_offset'] ?? 0),
    lastOffset: Number(row?.['last_offset'] ?? 0),
  };
}

/** The counts of events and of others that come after them. */
export function sumOf(count: TopicCount, more: TopicCount | undefined): TopicCount {
  if (more === undefined) return count;
  return {
    events: count.events + more.events,
    bytes: count.bytes + more.bytes,
    expired: count.expired + more.expired,
    bare: count.bare + more.bare,
    firstOffset: count.events === 0 ? more.firstOffset : count.firstOffset,
    lastOffset: more.lastOffset,
  };
}

/** The FNV-1a hash (Fowler, Noll, Vo), reduced to a slot of the recent topics. */
function placeOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return (hash ^ (hash >>> 15)) & (RECENT_TOPICS - 1);
}

function isSame(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false;
  return true;
}
