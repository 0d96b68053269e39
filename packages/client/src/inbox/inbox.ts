import type { ChronicleWeaver } from '../client.ts';
import type { ConsumeOptions, HandlerContext } from '../consume.ts';
import type { DeliveredEvent } from '../groups.ts';
import { linkSignals } from '../signals.ts';
import type {
  ClientOf,
  PostgresClient,
  PostgresHandler,
  PostgresPool,
  SqliteDatabase,
  SqliteHandler,
} from './databases.ts';
import { type Delivery, type InboxTable, type Outcome, partsOf } from './inbox-table.ts';
import { type Isolation, PostgresInbox } from './postgres.ts';
import { removeSettled } from './settled.ts';
import { SqliteInbox } from './sqlite.ts';

export interface InboxOptions extends ConsumeOptions {
  /**
   * The table that says which events are done: letters, digits and underscores, in PostgreSQL perhaps with a schema and a dot
   * before (`chronicle_inbox`). It is made if it is missing.
   */
  table?: string | undefined;
  /**
   * How long an event is known to be done at least, milliseconds (172,800,000, two days; at least an hour): longer than any
   * worker may stand still, and as far back as you may want to seek, or to restore the service from a copy. After that its
   * row is removed once the group has settled the event.
   */
  keepMs?: number | undefined;
  /** How many of the events that are handled at once share a transaction, at most (1). If one of them fails, each gets its own. */
  transactionEventsMax?: number | undefined;
}

export interface PostgresInboxOptions extends InboxOptions {
  /** The level of each transaction, in place of the database's default. Transactions that fail to serialize are tried again. */
  isolation?: Isolation | undefined;
}

/** The longest wait before the first attempt after a failure of the database, and the most that it grows to. */
const BACKOFF_MS_MIN = 20;
const BACKOFF_MS_MAX = 2000;

const HOUR_MS = 3_600_000;
const REMOVE_EVERY_MS = 60_000;

/**
 * Handles the events of a group as `consume` does, each in a transaction of your own database that also notes it as done, so
 * that its effect there happens exactly once, however often it is delivered. Resolves once the signal has fired, or the
 * client was closed, and the events in hand are done; then it does not use the database any more.
 *
 * While the database fails in a way that may pass (no connection, a conflict of transactions, a shutdown), events stay in hand
 * and are tried again, and `onError` is told. Any other failure of the inbox's own statements ends it.
 *
 * @throws ProblemError as `consume`; ChronicleWeaverError `inbox_table`, `asynchronous_handler`; what the database says
 */
export function inbox<P extends PostgresPool>(
  chronicle: ChronicleWeaver,
  pool: P,
  group: string,
  handler: PostgresHandler<ClientOf<P>>,
  options?: PostgresInboxOptions,
): Promise<void>;
export function inbox<D extends SqliteDatabase>(
  chronicle: ChronicleWeaver,
  database: D,
  group: string,
  handler: SqliteHandler<D>,
  options?: InboxOptions,
): Promise<void>;
export async function inbox(
  chronicle: ChronicleWeaver,
  database: PostgresPool | SqliteDatabase,
  group: string,
  handler: (event: DeliveredEvent, tx: never, context: HandlerContext) => unknown,
  options: PostgresInboxOptions = {},
): Promise<void> {
  const { table = 'chronicle_inbox', keepMs = 48 * HOUR_MS, transactionEventsMax = 1, isolation } = options;
  if (!(keepMs >= HOUR_MS)) throw new RangeError(`keepMs must be at least ${HOUR_MS}; it is ${keepMs}`);
  if (!(transactionEventsMax >= 1)) {
    throw new RangeError(`transactionEventsMax must be at least 1; it is ${transactionEventsMax}`);
  }
  const isSqlite = 'prepare' in database;
  // What is in another file than the effect would not be committed with it in one step.
  const name = partsOf(table, isSqlite ? 1 : 2);
  const where = { group, name, keepMs };
  const rows = isSqlite
    ? new SqliteInbox(database, handler as SqliteHandler<SqliteDatabase>, where)
    : new PostgresInbox(database, handler as PostgresHandler<PostgresClient>, where, isolation);
  await new Inbox(chronicle, group, rows, transactionEventsMax, options).run(options.signal);
}

interface Waiting extends Delivery {
  readonly context: HandlerContext;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * In: events, from `consume`, each with its lease. Out: each event's end, which `consume` answers to the service.
 *
 * An event is *waiting*, then in a transaction with others, or alone if one of these failed. There it is *noted*, *handled*
 * and *committed*; or found to be noted before, and left alone. It is acknowledged only after COMMIT has returned: an earlier
 * acknowledgement could let go of an event that a crash then loses. If what became of a COMMIT is not known, the same
 * transaction is begun again: it finds the note, or does not.
 */
class Inbox {
  readonly #chronicle: ChronicleWeaver;
  readonly #group: string;
  readonly #table: InboxTable;
  readonly #transactionEventsMax: number;
  readonly #consuming: ConsumeOptions;
  readonly #onError: NonNullable<ConsumeOptions['onError']>;
  readonly #ended = new AbortController();
  #opening: Promise<void> | undefined;
  #waiting: Waiting[] = [];
  /** Why it cannot go on. */
  #failure: { readonly error: unknown } | undefined;

  constructor(
    chronicle: ChronicleWeaver,
    group: string,
    table: InboxTable,
    transactionEventsMax: number,
    consuming: ConsumeOptions,
  ) {
    this.#chronicle = chronicle;
    this.#group = group;
    this.#table = table;
    this.#transactionEventsMax = transactionEventsMax;
    this.#consuming = consuming;
    // oxlint-disable-next-line no-console
    this.#onError = consuming.onError ?? console.error;
  }

  async run(signal: AbortSignal | undefined): Promise<void> {
    await this.#open().catch((error: unknown) => {
      if (!this.#table.isPassing(error)) throw error;
      this.#onError(error);
    });
    const stop = linkSignals(signal, this.#ended.signal);
    const removing = this.#remove();
    try {
      const enter = (event: DeliveredEvent, context: HandlerContext) => this.#enter(event, context);
      await this.#chronicle.consume(this.#group, enter, { ...this.#consuming, signal: stop.signal });
      if (this.#failure !== undefined) throw this.#failure.error;
    } finally {
      this.#ended.abort();
      stop.release();
      await removing;
    }
  }

  /** Makes the table, once. */
  #open(): Promise<void> {
    this.#opening ??= this.#table.open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  /** Resolves when the event is done. */
  #enter(event: DeliveredEvent, context: HandlerContext): Promise<void> {
    return new Promise((resolve, reject) => {
      // `consume` enters all events of a pull in one turn.
      if (this.#waiting.push({ event, context, sinceMs: Date.now(), resolve, reject }) === 1) {
        queueMicrotask(() => this.#begin());
      }
    });
  }

  #begin(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let at = 0; at < waiting.length; at += this.#transactionEventsMax) {
      void this.#work(waiting.slice(at, at + this.#transactionEventsMax));
    }
  }

  async #work(events: readonly Waiting[]): Promise<void> {
    try {
      const outcome = await this.#persist(events);
      if (outcome.kind === 'done') for (const { resolve } of events) resolve();
      else if (events.length === 1) events[0]!.reject(outcome.error);
      else for (const event of events) await this.#work([event]);
    } catch (error) {
      for (const { reject } of events) reject(error);
    }
  }

  /** Begins the transaction again for as long as the database may recover, a lease is held and nobody waits for the end. */
  async #persist(events: readonly Waiting[]): Promise<Outcome> {
    const signals = events.flatMap(({ context }) => [context.signal, context.stopping]);
    for (let attempts = 1; ; attempts++) {
      try {
        await this.#open();
        return await this.#table.handle(events);
      } catch (error) {
        if (!this.#table.isPassing(error)) {
          this.#failure ??= { error };
          this.#ended.abort();
          throw error;
        }
        await pause(Math.random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (attempts - 1)), signals);
        if (signals.some(({ aborted }) => aborted)) throw error;
        this.#onError(error, events[0]!.event);
      }
    }
  }

  /** Removes rows, now and every minute. */
  async #remove(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        await this.#open();
        await removeSettled(this.#chronicle, this.#group, this.#table, signal);
      } catch (error) {
        // Rows that stay are in nobody's way until the next time.
        if (!signal.aborted) this.#onError(error);
      }
      await pause(REMOVE_EVERY_MS, [signal]);
    }
  }
}

/** Waits, at most until a signal fires. */
async function pause(ms: number, signals: readonly AbortSignal[]): Promise<void> {
  const linked = linkSignals(...signals);
  linked.setTimeout(ms, 0);
  if (!linked.signal.aborted) {
    await new Promise((resolve) => linked.signal.addEventListener('abort', resolve));
  }
  linked.release();
}
