import type { TestContext } from 'node:test';
import type { Client } from 'pg';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import { batchOf, eventWith } from './events.ts';
import { beside, isWaitedFor, newLog } from './postgres-server.ts';
import { until } from './until.ts';

export async function opened(
  t: TestContext,
  address: string,
  messages: string[] = [],
): Promise<PostgresStore> {
  const told = ({ message }: { message: string }) => messages.push(message);
  const store = await PostgresStore.open(address, told, { allowsLoss: true });
  t.after(() => store.close());
  return store;
}

/** Statements that take the commits of one event each from this offset on out of a log. */
export function lossFrom(offset: number): string {
  const lost = `append_id IN (SELECT append_id FROM log WHERE first_offset >= ${offset})`;
  return `
    DELETE FROM block WHERE ${lost}; DELETE FROM key WHERE ${lost}; DELETE FROM log WHERE first_offset >= ${offset};
    UPDATE head SET received = received - (last_offset - ${offset - 1}), last_offset = ${offset - 1}`;
}

/** Cuts all connections of stores: idle ones first, so that whoever tries again does not get one that is gone, too. */
export async function cutAll(client: Client): Promise<void> {
  // Within a transaction the server tells the activity as of when it was first asked.
  await client.query(CLEAR);
  const { rows: idle } = await client.query<{ pid: number }>(`${CUT} AND state = 'idle'`);
  await until(
    () => 'the idle sessions are gone',
    async () => {
      await client.query(CLEAR);
      const values = [idle.map(({ pid }) => pid)];
      const { rows } = await client.query('SELECT FROM pg_stat_activity WHERE pid = ANY ($1)', values);
      return rows.length === 0;
    },
  );
  await client.query(CLEAR);
  await client.query(CUT);
}

const CLEAR = 'SELECT pg_stat_clear_snapshot()';
const CUT = `
  SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chronicleweaver'`;

/** A log, a store on it, and a connection beside it. */
export interface Log {
  readonly address: string;
  readonly client: Client;
  readonly store: PostgresStore;
}

/** A log with events of the topic `lost`. */
export async function withLost(t: TestContext, ...ids: string[]): Promise<Log> {
  const address = await newLog();
  const client = await beside(t, address);
  const store = await opened(t, address);
  for (const id of ids) await store.append([batchOf(eventWith({ topic: 'lost', event_id: id }))]);
  return { address, client, store };
}

/**
 * Begins work, and fails over while it waits for the lock: to a server in whose log another instance does `others`. Resolves with the
 * work.
 */
export async function failedOver<T>(
  log: Log,
  lock: string,
  others: string,
  work: (store: PostgresStore) => Promise<T>,
): Promise<{ readonly done: Promise<T> }> {
  await log.client.query(`BEGIN; ${lock}`);
  const done = work(log.store);
  await failOverBehind(log, others, done);
  return { done };
}

/** The same where the work has begun, and waits for what a transaction of the client holds, or will. */
export async function failOverBehind({ client }: Log, others: string, done: Promise<unknown>): Promise<void> {
  done.catch(() => {});
  await untilAwaited(client);
  await client.query(`${others}; UPDATE head SET timeline = 'another'`);
  await cutAll(client);
  await client.query('COMMIT');
}

/** Resolves once somebody waits for what the client holds. */
export async function untilAwaited(client: Client): Promise<void> {
  await until(
    () => 'somebody waits for the lock',
    () => isWaitedFor(client),
  );
}

/** Another server takes over in whose log another instance does `others`. Resolves once the store knows. */
export async function failOver({ client, store }: Log, others: string): Promise<void> {
  const before = store.epochs.length;
  await client.query(`BEGIN; ${others}; UPDATE head SET timeline = 'another'; COMMIT`);
  await cutAll(client);
  await until(
    () => 'the store knows that an epoch has begun',
    () => store.epochs.length > before,
  );
}
