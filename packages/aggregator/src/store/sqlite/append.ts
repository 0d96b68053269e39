import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { EVENT_ID, type EventBatch, SOURCE, TEXT, TOPIC, partText } from '../../event-batch.ts';
import { contentDigest } from '../content-digest.ts';
import { ACCEPTED, CONFLICT, DUPLICATE, StoreError } from '../event-store.ts';

/** The verdict and the offset of each event of a group, in order. */
export interface GroupResult {
  readonly verdicts: Uint8Array<ArrayBuffer>;
  readonly offsets: Float64Array<ArrayBuffer>;
}

interface Topic {
  readonly id: number;
  events: number;
  lastOffset: number;
}

interface Ledger {
  received: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
  lastOffset: number;
  lastMs: number;
}

/**
 * The one writer. In: the events of many publishes as one flat group. Out: a verdict and an offset for each, after the
 * commit. Between two transactions all state is in the file; a crash inside one leaves the file as it was before it.
 *
 * States: *working* until an append fails in a way that makes file or disk doubtful, then *failed* for good. A full
 * disk is no such failure: the transaction is undone and the next may succeed.
 */
export class Appender {
  readonly #db: DatabaseSync;
  readonly #insertEvent: StatementSync;
  readonly #findEvent: StatementSync;
  readonly #findTopic: StatementSync;
  readonly #insertTopic: StatementSync;
  readonly #updateTopic: StatementSync;
  readonly #readLedger: StatementSync;
  readonly #updateLedger: StatementSync;
  #failure: StoreError | null = null;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#insertEvent = db.prepare(`
      INSERT INTO event (offset, topic_id, event_id, source, time_ms, received_ms, digest, text)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic_id, event_id) DO NOTHING`);
    this.#findEvent = db.prepare('SELECT offset, digest FROM event WHERE topic_id = ? AND event_id = ?');
    this.#findTopic = db.prepare('SELECT topic_id, events, last_offset FROM topic WHERE name = ?');
    this.#insertTopic = db.prepare('INSERT INTO topic (name, events, last_offset) VALUES (?, 0, 0)');
    this.#updateTopic = db.prepare('UPDATE topic SET events = ?, last_offset = ? WHERE topic_id = ?');
    this.#readLedger = db.prepare('SELECT * FROM ledger');
    this.#updateLedger = db.prepare(`
      UPDATE ledger SET received = ?, accepted = ?, duplicates = ?, conflicts = ?, last_offset = ?, last_ms = ?`);
  }

  append(group: EventBatch): GroupResult {
    return this.#transaction(() => this.#appendAll(group));
  }

  /** Writes the books as they are: it commits, or fails, as an append would. */
  probe(): void {
    this.#transaction(() => this.#writeLedger(this.#ledger()));
  }

  #appendAll(group: EventBatch): GroupResult {
    const verdicts = new Uint8Array(group.count);
    const offsets = new Float64Array(group.count);
    const topics = new Map<string, Topic>();
    const ledger = this.#ledger();
    const receivedMs = Math.max(Date.now(), ledger.lastMs);
    ledger.lastMs = receivedMs;
    for (let i = 0; i < group.count; i++) {
      const name = partText(group, i, TOPIC);
      let topic = topics.get(name);
      if (topic === undefined) topics.set(name, (topic = this.#topic(name)));
      const eventId = partText(group, i, EVENT_ID);
      const digest = contentDigest(group, i);
      const offset = ledger.lastOffset + 1;
      const { changes } = this.#insertEvent.run(
        offset,
        topic.id,
        eventId,
        partText(group, i, SOURCE),
        group.timesMs[i]!,
        receivedMs,
        digest,
        partText(group, i, TEXT),
      );
      ledger.received += 1;
      if (changes === 1) {
        verdicts[i] = ACCEPTED;
        offsets[i] = offset;
        ledger.accepted += 1;
        ledger.lastOffset = topic.lastOffset = offset;
        topic.events += 1;
      } else {
        const first = this.#findEvent.get(topic.id, eventId)!;
        const same = Buffer.compare(first['digest'] as Uint8Array, digest) === 0;
        verdicts[i] = same ? DUPLICATE : CONFLICT;
        offsets[i] = Number(first['offset']);
        ledger.duplicates += 1;
        if (!same) ledger.conflicts += 1;
      }
    }
    for (const topic of topics.values()) this.#updateTopic.run(topic.events, topic.lastOffset, topic.id);
    this.#writeLedger(ledger);
    return { verdicts, offsets };
  }

  /** Runs the work in one transaction; where it throws, the file is as before and a StoreError says why. */
  #transaction<T>(work: () => T): T {
    if (this.#failure !== null) throw this.#failure;
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (cause) {
      const error = storeErrorOf(cause);
      if (error.code === 'failed' || !this.#rolledBack()) this.#failure = error;
      throw error;
    }
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

  #topic(name: string): Topic {
    const row = this.#findTopic.get(name);
    if (row === undefined) {
      return { id: Number(this.#insertTopic.run(name).lastInsertRowid), events: 0, lastOffset: 0 };
    }
    return {
      id: Number(row['topic_id']),
      events: Number(row['events']),
      lastOffset: Number(row['last_offset']),
    };
  }

  #ledger(): Ledger {
    const row = this.#readLedger.get()!;
    return {
      received: Number(row['received']),
      accepted: Number(row['accepted']),
      duplicates: Number(row['duplicates']),
      conflicts: Number(row['conflicts']),
      lastOffset: Number(row['last_offset']),
      lastMs: Number(row['last_ms']),
    };
  }

  #writeLedger({ received, accepted, duplicates, conflicts, lastOffset, lastMs }: Ledger): void {
    this.#updateLedger.run(received, accepted, duplicates, conflicts, lastOffset, lastMs);
  }
}

/** Primary result codes of SQLite, https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

function storeErrorOf(cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) & 0xff : undefined;
  if (code === SQLITE_FULL)
    return new StoreError('blocked', `no space is left for the database file: ${message}`, { cause });
  if (code === SQLITE_BUSY)
    return new StoreError('blocked', `another program holds the database file: ${message}`, { cause });
  return new StoreError('failed', `the store has stopped writing: ${message}; see the log and restart`, {
    cause,
  });
}
