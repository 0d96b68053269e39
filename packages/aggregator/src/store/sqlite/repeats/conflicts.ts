import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { LEAD_BYTES } from '../blocks/block-log.ts';
import { CONFLICTS_KEPT_MAX, CONFLICT_BYTES_MAX, type Conflict } from '../../repeat-store.ts';

/** A row of texts takes so many bytes, or one text. */
const TEXTS_BYTES = 256 * 1024;

/** When the texts take too much, the oldest go until so many bytes are free, so that this need not be looked at each time. */
const FREED_BYTES = 1024 * 1024;

/** A conflict as it is written in the commit that judges it. */
export interface FreshConflict {
  readonly number: number;
  readonly offset: number;
  readonly topicId: number;
  readonly eventId: string;
  readonly source: string;
  readonly publisher: string | null;
  /** Null if the event that it lost to has no text. */
  readonly text: Uint8Array | null;
}

/**
 * The conflicts that are known. Their texts lie in rows of their own, those of a commit together: where a text goes, zeros take
 * its place, and no other byte moves. As in merged blocks, a lead of zeros keeps the texts off the row's own page, where
 * SQLite could leave copies of them (scrub.ts). After a rollback `begin` anew.
 */
export class Conflicts {
  /** The bytes of all texts at most; null: they must be added up. */
  #textBytes: number | null = null;
  readonly #insert: StatementSync;
  readonly #insertTexts: StatementSync;
  readonly #deleteOld: StatementSync;
  readonly #deleteOldTexts: StatementSync;
  readonly #sum: StatementSync;
  readonly #oldestTexts: StatementSync;
  readonly #dropTexts: StatementSync;
  readonly #deleteTexts: StatementSync;
  readonly #withTexts: StatementSync;
  readonly #getTexts: StatementSync;
  readonly #putTexts: StatementSync;
  readonly #dropText: StatementSync;
  readonly #hasText: StatementSync;
  readonly #deleteOf: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(`
      INSERT INTO conflict
        (number, offset, received_ms, topic_id, event_id, source, publisher, texts, text_at, text_bytes)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#insertTexts = db.prepare(
      `INSERT INTO conflict_texts (last_number, first_number, lead, body) VALUES (?, ?, zeroblob(${LEAD_BYTES}), ?)`,
    );
    this.#deleteOld = db.prepare('DELETE FROM conflict WHERE number <= ?');
    this.#deleteOldTexts = db.prepare('DELETE FROM conflict_texts WHERE last_number <= ?');
    this.#sum = db.prepare('SELECT ifnull(sum(text_bytes), 0) AS bytes FROM conflict');
    this.#oldestTexts = db.prepare('SELECT min(last_number) AS texts FROM conflict_texts');
    this.#dropTexts = db.prepare(
      'UPDATE conflict SET text_bytes = NULL WHERE number BETWEEN (SELECT first_number FROM conflict_texts WHERE last_number = ?1) AND ?1',
    );
    this.#deleteTexts = db.prepare('DELETE FROM conflict_texts WHERE last_number = ?');
    this.#withTexts = db.prepare(
      `SELECT number, offset, texts, text_at, text_bytes FROM conflict
       WHERE offset BETWEEN ? AND ? AND text_bytes IS NOT NULL`,
    );
    this.#getTexts = db.prepare('SELECT first_number, body FROM conflict_texts WHERE last_number = ?');
    this.#putTexts = db.prepare('UPDATE conflict_texts SET body = ? WHERE last_number = ?');
    this.#dropText = db.prepare('UPDATE conflict SET text_bytes = NULL WHERE number = ?');
    this.#hasText = db.prepare(
      'SELECT 1 FROM conflict WHERE number BETWEEN ? AND ? AND text_bytes IS NOT NULL LIMIT 1',
    );
    this.#deleteOf = db.prepare('DELETE FROM conflict WHERE offset IN (SELECT value FROM json_each(?))');
  }

  begin(): void {
    this.#textBytes = null;
  }

  /** Keeps the last conflicts of a commit, in order, and lets older ones go. */
  keep(conflicts: readonly FreshConflict[], receivedMs: number): void {
    for (let from = 0, to = 0; from < conflicts.length; from = to) {
      let bytes = 0;
      do bytes += conflicts[to++]!.text?.length ?? 0;
      while (to < conflicts.length && bytes + (conflicts[to]!.text?.length ?? 0) <= TEXTS_BYTES);
      this.#keepTogether(conflicts.slice(from, to), receivedMs);
      if (this.#textBytes !== null) this.#textBytes += bytes;
    }
    const oldest = conflicts.at(-1)!.number - CONFLICTS_KEPT_MAX;
    this.#deleteOld.run(oldest);
    this.#deleteOldTexts.run(oldest);
    this.#freeTexts();
  }

  /** Lets the texts go of those that lost to some of the events in a range. */
  dropTexts(from: number, to: number, isMeant: (offset: number) => boolean): void {
    const rows = this.#withTexts.all(from, to).filter(({ offset }) => isMeant(Number(offset)));
    for (const [texts, those] of Map.groupBy(rows, (row) => Number(row['texts']))) {
      const { first_number: first, body } = this.#getTexts.get(texts)!;
      const bytes = body as Uint8Array;
      for (const { number, text_at: at, text_bytes: length } of those) {
        bytes.fill(0, Number(at), Number(at) + Number(length));
        this.#dropText.run(number!);
      }
      if (this.#hasText.get(first!, texts) === undefined) this.#deleteTexts.run(texts);
      else this.#putTexts.run(bytes, texts);
    }
  }

  /** Forgets those that lost to the events at these offsets, a JSON array. Their texts are gone. */
  forget(offsets: string): void {
    this.#deleteOf.run(offsets);
  }

  #keepTogether(conflicts: readonly FreshConflict[], receivedMs: number): void {
    const last = conflicts.at(-1)!.number;
    let at = 0;
    for (const { number, offset, topicId, eventId, source, publisher, text } of conflicts) {
      const bytes = text?.length ?? null;
      this.#insert.run(number, offset, receivedMs, topicId, eventId, source, publisher, last, at, bytes);
      at += bytes ?? 0;
    }
    if (at === 0) return;
    const body = Buffer.concat(conflicts.flatMap(({ text }) => (text === null ? [] : [text])));
    this.#insertTexts.run(last, conflicts[0]!.number, body);
  }

  #freeTexts(): void {
    if (this.#textBytes !== null && this.#textBytes <= CONFLICT_BYTES_MAX) return;
    this.#textBytes = this.#sumTexts();
    if (this.#textBytes <= CONFLICT_BYTES_MAX) return;
    while (this.#textBytes > CONFLICT_BYTES_MAX - FREED_BYTES) {
      const { texts } = this.#oldestTexts.get()!;
      this.#dropTexts.run(texts!);
      this.#deleteTexts.run(texts!);
      this.#textBytes = this.#sumTexts();
    }
  }

  #sumTexts(): number {
    return Number(this.#sum.get()!['bytes']);
  }
}

/** A row of `conflict` with the name of its topic. */
export function conflictOf(row: Readonly<Record<string, SQLOutputValue>>, text: string | null): Conflict {
  return {
    number: Number(row['number']),
    topic: String(row['topic']),
    eventId: String(row['event_id']),
    source: String(row['source']),
    offset: Number(row['offset']),
    receivedMs: Number(row['received_ms']),
    publisher: row['publisher'] === null ? null : String(row['publisher']),
    text,
  };
}
