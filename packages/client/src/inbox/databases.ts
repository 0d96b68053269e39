import type { DeliveredEvent } from '../groups.ts';

/**
 * What the inbox needs of a database's client. `pg`'s Pool and the databases of `node:sqlite`, `better-sqlite3` and
 * `bun:sqlite` have it; none of them is needed unless you use it.
 */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
  /** Whether the pool was closed, so that it is of no use to try again. */
  readonly ending?: boolean;
}

export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: unknown[]; readonly command: string }>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
  /** `I` outside of a transaction; newer versions of `pg` tell it. */
  getTransactionStatus?(): string | null;
  /** @param destroy the connection is not to be used again */
  release(destroy?: boolean): void;
}

export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

export interface SqliteStatement {
  get(...values: (string | number)[]): unknown;
  all(...values: (string | number)[]): unknown[];
}

/** The client that a pool gives. Pools also have a `connect` that takes a callback. */
export type ClientOf<P extends PostgresPool> = P extends {
  connect: { (): Promise<infer C>; (...callback: never[]): unknown };
}
  ? C
  : PostgresClient;

/** `signal` fires if the lease is lost meanwhile; the effect still happens once, whoever has the event then. */
export interface InboxContext {
  readonly signal: AbortSignal;
}

/**
 * Handles one event in the transaction of `tx`, which it neither ends nor releases. If it resolves, the transaction is
 * committed and the event acknowledged; if it throws, the transaction is rolled back and the event given back.
 */
export type PostgresHandler<C> = (event: DeliveredEvent, tx: C, context: InboxContext) => unknown;

/**
 * The same in SQLite, where a connection has one transaction for all that use it. So the handler must be done when it
 * returns: if it waited for something, others could get into its transaction.
 */
export type SqliteHandler<D> = (event: DeliveredEvent, database: D, context: InboxContext) => NoPromise;

// oxlint-disable-next-line no-invalid-void-type
type NoPromise = void | null | string | number | bigint | boolean | symbol | (object & { then?: undefined });
