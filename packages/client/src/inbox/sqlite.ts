import { ChronicleWeaverError } from '../errors.ts';
import type { SqliteDatabase, SqliteHandler, SqliteStatement } from './databases.ts';
import {
  DONE,
  type Delivery,
  type Failed,
  type InboxTable,
  type Outcome,
  type Row,
  type TableOptions,
  failed,
  isStalled,
  quoted,
  stalled,
  unusable,
} from './inbox-table.ts';

const TRANSACTION_OPEN = 'transaction_open';
/** SQLITE_BUSY, SQLITE_LOCKED and SQLITE_FULL: as number where an error has one, else as word. */
const PASSING_NUMBERS = new Set([5, 6, 13]);
const PASSING_WORDS = new RegExp(`^(?:SQLITE_(?:BUSY|LOCKED|FULL)|${TRANSACTION_OPEN}$)`);
/** What SQLite says where its code says nothing. */
const IN_ANOTHER = 'within a transaction';
const IN_NONE = 'no transaction is active';

/**
 * The inbox in SQLite. A transaction begins and ends in one turn of the event loop, because whoever else uses this connection
 * would be in it as well.
 */
export class SqliteInbox implements InboxTable {
  readonly #database: SqliteDatabase;
  readonly #handler: SqliteHandler<SqliteDatabase>;
  readonly #options: TableOptions;
  readonly #table: string;
  #note: SqliteStatement | undefined;

  constructor(database: SqliteDatabase, handler: SqliteHandler<SqliteDatabase>, options: TableOptions) {
    // Here, and not at its first event: after an `await` it would go on outside of any transaction.
    if (Object.prototype.toString.call(handler) === '[object AsyncFunction]') throw asynchronous();
    this.#database = database;
    this.#handler = handler;
    this.#options = options;
    this.#table = quoted(options.name);
  }

  async open(): Promise<void> {
    const name = this.#options.name.at(-1)!;
    this.#database.exec(`
      CREATE TABLE IF NOT EXISTS ${this.#table} (
        group_name TEXT NOT NULL,
        topic TEXT NOT NULL,
        event_id TEXT NOT NULL,
        event_offset INTEGER NOT NULL,
        done_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        repeats INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (group_name, topic, event_id)
      ) STRICT, WITHOUT ROWID`);
    try {
      this.#database.exec(
        `CREATE INDEX IF NOT EXISTS ${quoted([`${name}_by_offset`])} ON ${this.#table} (group_name, event_offset)`,
      );
      this.#note = this.#database.prepare(
        `INSERT INTO ${this.#table} AS done (group_name, topic, event_id, event_offset) VALUES (?, ?, ?, ?)
         ON CONFLICT (group_name, topic, event_id)
         DO UPDATE SET event_offset = excluded.event_offset, repeats = done.repeats + 1
         RETURNING repeats`,
      );
    } catch (error) {
      if (this.isPassing(error)) throw error;
      throw unusable(this.#table, 'another table has this name', error);
    }
  }

  async handle(deliveries: readonly Delivery[]): Promise<Outcome> {
    this.#begin();
    try {
      for (const delivery of deliveries) {
        const failure = this.#failureOf(delivery);
        if (failure === undefined) continue;
        this.#rollBack();
        if (this.isPassing(failure.error)) throw failure.error;
        return failure;
      }
    } catch (error) {
      this.#rollBack();
      throw error;
    }
    return this.#commit();
  }

  #commit(): Outcome {
    try {
      this.#database.exec('COMMIT');
      return DONE;
    } catch (error) {
      this.#rollBack();
      if (this.isPassing(error)) throw error;
      // Such as a foreign key that is checked at the end.
      return failed(error);
    }
  }

  #begin(): void {
    try {
      // Not a deferred one: that would fail, and not wait, when it comes to write after another process did.
      this.#database.exec('BEGIN IMMEDIATE');
    } catch (error) {
      if (!isSaid(error, IN_ANOTHER)) throw error;
      const what = 'another transaction is open on this connection; give the inbox a connection of its own';
      throw new ChronicleWeaverError(TRANSACTION_OPEN, what, error);
    }
  }

  /** Notes the event as done, and has it handled unless it was noted before. */
  #failureOf(delivery: Delivery): Failed | undefined {
    const { event, context } = delivery;
    const { group, keepMs } = this.#options;
    const row = this.#note!.get(group, event.topic, event.event_id, event.offset);
    if (Number((row as { repeats: unknown }).repeats) > 0) return undefined;
    if (isStalled(delivery, keepMs)) return failed(stalled(event));
    let result: unknown;
    try {
      result = this.#handler(event, this.#database, context);
    } catch (error) {
      return failed(error);
    }
    if (typeof (result as { then?: unknown } | null | undefined)?.then !== 'function') return undefined;
    // Nobody else waits for it.
    Promise.resolve(result).catch(() => {});
    throw asynchronous();
  }

  async next(after: number, rowsMax: number): Promise<Row[]> {
    const rows = this.#database
      .prepare(
        `SELECT event_offset, done_at < ${this.#oldFrom} AS is_old FROM ${this.#table}
         WHERE group_name = ? AND event_offset > ? ORDER BY event_offset LIMIT ?`,
      )
      .all(this.#options.group, after, rowsMax);
    return (rows as { event_offset: unknown; is_old: unknown }[]).map(({ event_offset, is_old }) => ({
      offset: Number(event_offset),
      isOld: Number(is_old) > 0,
    }));
  }

  async remove(offsets: readonly number[]): Promise<void> {
    // One statement, so that it needs no transaction around it.
    this.#database
      .prepare(
        `DELETE FROM ${this.#table} WHERE group_name = ? AND done_at < ${this.#oldFrom}
         AND event_offset IN (SELECT value FROM json_each(?)) RETURNING event_offset`,
      )
      .all(this.#options.group, JSON.stringify(offsets));
  }

  isPassing(error: unknown): boolean {
    const { errcode, code } = (error ?? {}) as { errcode?: unknown; code?: unknown };
    if (typeof errcode === 'number') return PASSING_NUMBERS.has(errcode & 0xff);
    return typeof code === 'string' && PASSING_WORDS.test(code);
  }

  /** Rows that were done before this time are old. */
  get #oldFrom(): string {
    return `strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-${this.#options.keepMs / 1000} seconds')`;
  }

  /** SQLite may have rolled back by itself, as it does where a disk is full. */
  #rollBack(): void {
    try {
      this.#database.exec('ROLLBACK');
    } catch (error) {
      if (!isSaid(error, IN_NONE)) throw error;
    }
  }
}

function isSaid(error: unknown, words: string): boolean {
  return error instanceof Error && error.message.includes(words);
}

function asynchronous(): ChronicleWeaverError {
  return new ChronicleWeaverError(
    'asynchronous_handler',
    'in SQLite a handler must be done when it returns, and this one returns a promise: whatever it waits for must come before or after',
  );
}
