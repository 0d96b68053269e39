import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type EventBatch, SPANS_PER_EVENT, TEXT, TOPIC } from '../../event/event-batch.ts';
import { releasedYoung } from '../../released-memory.ts';
import { ACCEPTED, CONFLICT, DUPLICATE, StoreError } from '../event-store.ts';
import type { BlockLog } from './blocks/block-log.ts';
import { freeBytes, noSpaceLeft, writeErrorOf } from './file/errors.ts';
import { type Ledger, readLedger } from './file/ledger.ts';
import type { KeyHasher } from './keys/key-hash.ts';
import type { KeyIndex } from './keys/key-index.ts';

/** The verdict and the offset of each event of a group, in order, and when those accepted were committed. */
export interface GroupResult {
  readonly receivedMs: number;
  readonly verdicts: Uint8Array<ArrayBuffer>;
  readonly offsets: Float64Array<ArrayBuffer>;
}

interface Topic {
  readonly id: number;
  readonly nameBytes: Uint8Array;
  events: number;
  lastOffset: number;
  isTouched: boolean;
}

/** A power of two. */
const RECENT_TOPICS = 4096;

/** Topics whose rows are kept in memory; past that all are forgotten and read anew. */
const TOPICS_KEPT_MAX = 50_000;

/** What a transaction writes beside its events, with room to spare: a merge, a share of a seal. */
const LACKING_BYTES_MIN = 1024 * 1024;

/**
 * The one writer. In: the events of many publishes as one flat group. Out: a verdict and an offset for each, after the
 * commit. One transaction holds the block of the accepted events, the books, the topics' counts, and the small share
 * of background work that the group owes.
 *
 * States: *working* until a transaction fails in a way that makes file or disk doubtful, then *failed* for good. A
 * full disk is no such failure: file and memory are as before, and the next transaction may succeed.
 */
export class Appender {
  readonly #db: DatabaseSync;
  readonly #hasher: KeyHasher;
  readonly #index: KeyIndex;
  readonly #log: BlockLog;
  readonly #now: () => number;
  readonly #topics = new Map<string, Topic>();
  /** Some of them, each at the place that its name gives: what is here is found without making a string of the name. */
  readonly #recentTopics = Array.from<Topic | undefined>({ length: RECENT_TOPICS });
  #ledger: Ledger;
  #failure: StoreError | null = null;
  /** Bytes that must be free before there is space again; 0 where none was lacking. */
  #lackingBytes = 0;
  readonly #stopped: (why: StoreError) => void;
  readonly #findTopic: StatementSync;
  readonly #insertTopic: StatementSync;
  readonly #updateTopic: StatementSync;
  readonly #updateLedger: StatementSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;

  /**
   * @param now the clock, milliseconds since 1970
   * @param stopped called once, when the writer fails for good
   */
  constructor(
    db: DatabaseSync,
    hasher: KeyHasher,
    index: KeyIndex,
    log: BlockLog,
    now: () => number,
    stopped: (why: StoreError) => void = () => {},
  ) {
    this.#db = db;
    this.#hasher = hasher;
    this.#index = index;
    this.#log = log;
    this.#now = now;
    this.#stopped = stopped;
    this.#findTopic = db.prepare('SELECT topic_id, events, last_offset FROM topic WHERE name = ?');
    this.#insertTopic = db.prepare('INSERT INTO topic (name, events, last_offset) VALUES (?, 0, 0)');
    this.#updateTopic = db.prepare('UPDATE topic SET events = ?, last_offset = ? WHERE topic_id = ?');
    this.#updateLedger = db.prepare(`
      UPDATE ledger SET received = ?, accepted = ?, duplicates = ?, conflicts = ?, last_offset = ?, last_ms = ?`);
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#ledger = readLedger(db);
  }

  /** Of the newest committed event. */
  get lastOffset(): number {
    return this.#ledger.lastOffset;
  }

  append(group: EventBatch): GroupResult {
    // What the group is packed into; its own memory and zstd's are given back without a collection.
    releasedYoung(group.bytes.length / 2);
    try {
      const result = this.transaction(() => this.#appendAll(group));
      this.#lackingBytes = 0;
      return result;
    } catch (error) {
      this.#lackingBytes = 2 * group.bytes.length + LACKING_BYTES_MIN;
      throw error;
    }
  }

  /**
   * Writes the books with a newer time: it commits, or fails, as an append would. The books are small and find a place where
   * an append found none, so after such a one the disk is asked, too.
   */
  probe(): void {
    if (this.#lackingBytes > 0 && freeBytes(this.#db.location()!) < this.#lackingBytes) throw noSpaceLeft();
    this.transaction((ledger) => {
      // SQLite writes no page for a row that stays as it is, and what is not written shows nothing.
      ledger.lastMs = Math.max(this.#now(), ledger.lastMs + 1);
      this.#writeLedger(ledger);
    });
    this.#lackingBytes = 0;
  }

  /**
   * Brings what the log holds into the file. SQLite does so by itself every thousand pages, and says nothing where that
   * fails: the log, which is sound, would grow until the disk is full.
   */
  foldLog(): void {
    if (this.#failure !== null) return;
    try {
      this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    } catch (cause) {
      const error = writeErrorOf(cause);
      // For want of space it is tried again; the appends say so when the log itself finds none.
      if (error.code === 'failed') this.#fail(error);
    }
  }

  /** Runs the work in one transaction; where it throws, file and memory are as before and a StoreError says why. */
  transaction<T>(work: (ledger: Ledger) => T): T {
    if (this.#failure !== null) throw this.#failure;
    const ledgerBefore = { ...this.#ledger };
    try {
      // First: what is undone below is what came since.
      this.#index.begin();
      this.#begin.run();
      const result = work(this.#ledger);
      this.#commit.run();
      this.#index.committed();
      this.#log.committed();
      return result;
    } catch (cause) {
      this.#index.rolledBack();
      this.#log.rolledBack();
      this.#forgetTopics();
      this.#ledger = ledgerBefore;
      const error = writeErrorOf(cause);
      const isAsBefore = this.#rolledBack();
      if (error.code === 'failed' || !isAsBefore) this.#fail(error);
      throw error;
    }
  }

  #fail(error: StoreError): void {
    this.#failure = error;
    this.#stopped(error);
  }

  #appendAll(group: EventBatch): GroupResult {
    const { count, spans, bytes } = group;
    const hasher = this.#hasher;
    const index = this.#index;
    const ledger = this.#ledger;
    // One piece of memory, which moves to the other thread as a whole.
    const offsets = new Float64Array(new ArrayBuffer(count * (Float64Array.BYTES_PER_ELEMENT + 1)), 0, count);
    const verdicts = new Uint8Array(offsets.buffer, offsets.byteLength);
    const topicIds = new Int32Array(count);
    const starts = new Int32Array(count);
    const lengths = new Int32Array(count);
    const firstOffset = ledger.lastOffset + 1;
    const touched: Topic[] = [];
    // Only here: a topic that is forgotten while its group is counted would be counted anew.
    if (this.#topics.size >= TOPICS_KEPT_MAX) this.#forgetTopics();
    let accepted = 0;
    let conflicts = 0;
    for (let i = 0; i < count; i++) {
      hasher.hashKey(group, i);
      const { k0, k1, k2, k3 } = hasher;
      const digest = hasher.digest(group, i);
      if (index.find(k0, k1, k2, k3)) {
        const isConflict = index.digest !== digest;
        verdicts[i] = isConflict ? CONFLICT : DUPLICATE;
        offsets[i] = index.offset;
        if (isConflict) conflicts += 1;
        continue;
      }
      const offset = firstOffset + accepted;
      index.add(k0, k1, k2, k3, offset, digest);
      verdicts[i] = ACCEPTED;
      offsets[i] = offset;

      const at = i * SPANS_PER_EVENT;
      const topic = this.#topic(bytes, spans[at + TOPIC]!, spans[at + TOPIC + 1]!);
      if (!topic.isTouched) {
        topic.isTouched = true;
        touched.push(topic);
      }
      topic.events += 1;
      topic.lastOffset = offset;
      topicIds[accepted] = topic.id;
      starts[accepted] = spans[at + TEXT]!;
      lengths[accepted] = spans[at + TEXT + 1]! - spans[at + TEXT]!;
      accepted += 1;
    }

    // Times of commits never fall, whatever the clock does: readers seek by them.
    ledger.lastMs = Math.max(this.#now(), ledger.lastMs);
    ledger.received += count;
    ledger.accepted += accepted;
    ledger.duplicates += count - accepted;
    ledger.conflicts += conflicts;
    ledger.lastOffset += accepted;
    if (accepted > 0) {
      const events = {
        topicIds: topicIds.subarray(0, accepted),
        starts: starts.subarray(0, accepted),
        lengths: lengths.subarray(0, accepted),
        texts: bytes,
        commits: [],
      };
      this.#log.append(firstOffset, events, ledger.lastMs);
      for (const topic of touched) {
        topic.isTouched = false;
        this.#updateTopic.run(topic.events, topic.lastOffset, topic.id);
      }
    }
    this.#writeLedger(ledger);
    index.step(accepted);
    this.#log.step();
    return { receivedMs: ledger.lastMs, verdicts, offsets };
  }

  /** The topic whose name is these bytes. */
  #topic(bytes: Uint8Array, start: number, end: number): Topic {
    const place = placeOf(bytes, start, end);
    const recent = this.#recentTopics[place];
    if (recent !== undefined && isSame(recent.nameBytes, bytes, start, end)) return recent;
    const nameBytes = bytes.slice(start, end);
    const topic = this.#topicNamed(Buffer.from(nameBytes).toString(), nameBytes);
    this.#recentTopics[place] = topic;
    return topic;
  }

  #topicNamed(name: string, nameBytes: Uint8Array): Topic {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const row = this.#findTopic.get(name);
    const topic: Topic = {
      id: Number(row === undefined ? this.#insertTopic.run(name).lastInsertRowid : row['topic_id']),
      nameBytes,
      events: Number(row?.['events'] ?? 0),
      lastOffset: Number(row?.['last_offset'] ?? 0),
      isTouched: false,
    };
    this.#topics.set(name, topic);
    return topic;
  }

  #forgetTopics(): void {
    this.#topics.clear();
    this.#recentTopics.fill(undefined);
  }

  #writeLedger({ received, accepted, duplicates, conflicts, lastOffset, lastMs }: Ledger): void {
    this.#updateLedger.run(received, accepted, duplicates, conflicts, lastOffset, lastMs);
  }

  #rolledBack(): boolean {
    try {
      // After some errors SQLite has rolled back by itself.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      return true;
    } catch {
      // The error that led here is the one to tell; that this failed too stops the writer.
      return false;
    }
  }
}

/** Fowler, Noll and Vo's FNV-1a, cut to a place among the recent topics. */
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
