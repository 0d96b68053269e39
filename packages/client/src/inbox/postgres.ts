import { ChronicleWeaverError } from '../errors.ts';
import type { PostgresClient, PostgresHandler, PostgresPool } from './databases.ts';
import {
  DONE,
  type Delivery,
  type Failed,
  type InboxTable,
  type Outcome,
  type Row,
  type TableOptions,
  failed,
  inline,
  isStalled,
  quoted,
  stalled,
  unusable,
} from './inbox-table.ts';

export type Isolation = 'read committed' | 'repeatable read' | 'serializable';

/** The errors that may pass: lost connections, conflicts, want of resources, shutdowns, I/O; a standby; a lock not got in time. */
const PASSING = /^(?:08|40|53|57|58)|^(?:25006|55P03)$/;
/** Of a handler's own statements only these can be tried again: two transactions were in each other's way. */
const CONFLICT = /^40(?:001|P01)$/;
/** A text that the database's encoding does not have, and one that is too long for an index. */
const NOT_STORABLE = /^(?:22|54)/;

const NO_TABLE = '42P01';
const NO_COLUMN = '42703';
/** Somebody else makes the table at the same time. */
const MADE_MEANWHILE = new Set(['23505', '42P07', '42710']);

/** The inbox in PostgreSQL. Each transaction has a connection of the pool. */
export class PostgresInbox implements InboxTable {
  readonly #pool: PostgresPool;
  readonly #handler: PostgresHandler<PostgresClient>;
  readonly #options: TableOptions;
  readonly #begin: string;
  readonly #table: string;

  constructor(
    pool: PostgresPool,
    handler: PostgresHandler<PostgresClient>,
    options: TableOptions,
    isolation: Isolation | undefined,
  ) {
    this.#pool = pool;
    this.#handler = handler;
    this.#options = options;
    this.#begin = isolation === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${isolation}`;
    this.#table = quoted(options.name);
  }

  async open(): Promise<void> {
    // CREATE TABLE IF NOT EXISTS asks for the right to make it also where it is there.
    const look = `SELECT group_name, topic, event_id, event_offset, done_at, repeats FROM ${this.#table} LIMIT 0`;
    try {
      await this.#connected((client) => client.query(look));
    } catch (error) {
      if (stateOf(error) === NO_COLUMN) throw unusable(this.#table, 'another table has this name', error);
      if (stateOf(error) !== NO_TABLE) throw error;
      await this.#make();
    }
  }

  async #make(): Promise<void> {
    const sql = tableSql(this.#options.name);
    try {
      await this.#connected((client) => client.query(sql));
    } catch (error) {
      if (MADE_MEANWHILE.has(stateOf(error) ?? '')) return;
      if (this.isPassing(error)) throw error;
      throw unusable(this.#table, `it is missing and cannot be made; have it made: ${inline(sql)}`, error);
    }
  }

  handle(deliveries: readonly Delivery[]): Promise<Outcome> {
    return this.#connected(async (client) => {
      await client.query(this.#begin);
      for (const delivery of deliveries) {
        const failure = await this.#failureOf(client, delivery);
        if (failure === undefined) continue;
        // If not even this can be done, the connection is lost, and that may be what the handler failed of.
        await client.query('ROLLBACK');
        if (CONFLICT.test(stateOf(failure.error) ?? '')) throw failure.error;
        return failure;
      }
      return this.#commit(client);
    });
  }

  /** Notes the event as done, and has it handled unless it was noted before. Until the end of the transaction nobody else can note it. */
  async #failureOf(client: PostgresClient, delivery: Delivery): Promise<Failed | undefined> {
    const { event, context } = delivery;
    const { group, keepMs } = this.#options;
    try {
      const { rows } = await client.query(
        `INSERT INTO ${this.#table} AS done (group_name, topic, event_id, event_offset) VALUES ($1, $2, $3, $4)
         ON CONFLICT (group_name, topic, event_id)
         DO UPDATE SET event_offset = excluded.event_offset, repeats = done.repeats + 1
         RETURNING repeats`,
        [group, event.topic, event.event_id, event.offset],
      );
      if (Number((rows[0] as { repeats: unknown }).repeats) > 0) return undefined;
    } catch (error) {
      if (NOT_STORABLE.test(stateOf(error) ?? '')) return failed(error);
      throw error;
    }
    if (isStalled(delivery, keepMs)) return failed(stalled(event));
    try {
      await this.#handler(event, client, context);
    } catch (error) {
      return failed(error);
    }
    return undefined;
  }

  async #commit(client: PostgresClient): Promise<Outcome> {
    // A COMMIT without a transaction would succeed, and say nothing about what the handler has rolled back.
    if (client.getTransactionStatus?.() === 'I') return failed(aborted('has ended its transaction itself'));
    try {
      const { command } = await client.query('COMMIT');
      if (command === 'COMMIT') return DONE;
      // So a COMMIT is answered, without an error, after something in the transaction has failed.
      return failed(aborted('resolved although a statement had failed, so its transaction was rolled back'));
    } catch (error) {
      if (this.isPassing(error)) throw error;
      // Such as a constraint that is checked at the end.
      return failed(error);
    }
  }

  async next(after: number, rowsMax: number): Promise<Row[]> {
    const { group, keepMs } = this.#options;
    const { rows } = await this.#connected((client) =>
      client.query(
        `SELECT event_offset, done_at < now() - $4 * interval '1 millisecond' AS is_old FROM ${this.#table}
         WHERE group_name = $1 AND event_offset > $2 ORDER BY event_offset LIMIT $3`,
        [group, after, rowsMax, keepMs],
      ),
    );
    return (rows as { event_offset: unknown; is_old: boolean }[]).map(({ event_offset, is_old }) => ({
      offset: Number(event_offset),
      isOld: is_old,
    }));
  }

  async remove(offsets: readonly number[]): Promise<void> {
    const { group, keepMs } = this.#options;
    await this.#connected((client) =>
      // Another worker may remove the same rows: it is left alone with those that it has locked.
      client.query(
        `DELETE FROM ${this.#table} WHERE (group_name, topic, event_id) IN (
           SELECT group_name, topic, event_id FROM ${this.#table}
           WHERE group_name = $1 AND event_offset = ANY ($2) AND done_at < now() - $3 * interval '1 millisecond'
           FOR UPDATE SKIP LOCKED)`,
        [group, [...offsets], keepMs],
      ),
    );
  }

  isPassing(error: unknown): boolean {
    const state = stateOf(error);
    if (state !== undefined) return PASSING.test(state);
    // All else that a pool says is about connections, mostly in words.
    return (
      this.#pool.ending !== true && !(error instanceof TypeError || error instanceof ChronicleWeaverError)
    );
  }

  /** Runs the work on a connection. One whose state is unknown is not used again. */
  async #connected<T>(work: (client: PostgresClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    if (client === undefined) throw new TypeError('a pool is needed, whose connect() gives a client');
    // A query under way is told as well; but without a listener the loss of the connection would end the process.
    const unheard = (): void => {};
    client.on('error', unheard);
    let isSound = false;
    try {
      const result = await work(client);
      isSound = true;
      return result;
    } catch (error) {
      isSound = await client.query('ROLLBACK').then(
        () => true,
        () => false,
      );
      throw error;
    } finally {
      if (isSound) client.off('error', unheard);
      client.release(!isSound);
    }
  }
}

function aborted(what: string): ChronicleWeaverError {
  return new ChronicleWeaverError('transaction_aborted', `the handler ${what}`);
}

/** What makes the table; README.md shows it. "C": no upgrade of the system's collations can harm the key. */
function tableSql(name: readonly string[]): string {
  const table = quoted(name);
  return `
    CREATE TABLE IF NOT EXISTS ${table} (
      group_name text COLLATE "C" NOT NULL,
      topic text COLLATE "C" NOT NULL,
      event_id text COLLATE "C" NOT NULL,
      event_offset bigint NOT NULL,
      done_at timestamptz NOT NULL DEFAULT now(),
      repeats integer NOT NULL DEFAULT 0,
      PRIMARY KEY (group_name, topic, event_id)
    );
    CREATE INDEX IF NOT EXISTS ${quoted([`${name.at(-1)!}_by_offset`])} ON ${table} (group_name, event_offset)`;
}

/** The SQLSTATE of an error that the server sent. Those of Node.js have codes as well, some of them of five letters. */
function stateOf(error: unknown): string | undefined {
  const { severity, code } = (error ?? {}) as { severity?: unknown; code?: unknown };
  return typeof severity === 'string' && typeof code === 'string' ? code : undefined;
}
