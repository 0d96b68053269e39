import assert from 'node:assert/strict';
import { Client } from 'pg';
import { FAST, PostgresServer } from '../../../../lab/postgres-server.ts';
import { StoreError } from '../../src/store/event-store.ts';
import type { PostgresOptions } from '../../src/store/postgres/parts.ts';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import type { Scope } from './temp-folder.ts';
import { until } from './until.ts';

let shared: Promise<PostgresServer> | undefined;

/** The server that all tests of a process share. It loses what it confirms if it crashes. */
export function sharedServer(): Promise<PostgresServer> {
  shared ??= PostgresServer.start({ settings: FAST });
  return shared;
}

/** The address of an empty log in it. */
export async function newLog(): Promise<string> {
  return (await sharedServer()).newLog();
}

/** A connection of a test's own to the database of a log, with the log's schema first. */
export async function beside(t: Scope, address: string): Promise<Client> {
  const url = new URL(address);
  const schema = url.searchParams.get('schema');
  url.searchParams.delete('schema');
  const client = new Client(url.href);
  // A server that a test stops tells its connections.
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.end());
  if (schema !== null) await client.query(`SET search_path = ${schema}`);
  return client;
}

/** Whether somebody waits for a lock that the client holds. */
export async function isWaitedFor(client: Client): Promise<boolean> {
  // Not in pg_stat_activity, which a transaction sees as it was at its first look, without whoever has connected since.
  const { rowCount } = await client.query(
    'SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))',
  );
  return rowCount! > 0;
}

/** More than an instance has sessions of a kind. */
const READERS_MANY = 10;

/**
 * Has the instance begin all sessions that it reads with. One that begins makes a commit, so it would wait for whoever holds the
 * head row.
 */
export async function beginReaders(store: PostgresStore): Promise<void> {
  await Promise.all(Array.from({ length: READERS_MANY }, () => store.retention.policies()));
}

/** Why no log can be opened there. */
export async function refusalToOpen(
  address: string,
  options: PostgresOptions = { allowsLoss: true },
): Promise<string> {
  try {
    const store = await PostgresStore.open(address, undefined, options);
    await store.close();
  } catch (error) {
    assert.ok(error instanceof StoreError && error.code === 'unusable', String(error));
    assert.ok(!error.message.includes('\n'), error.message);
    return error.message;
  }
  return assert.fail('it was opened');
}

/** Resolves once a merge waits for a lock on the merged blocks, which the client holds up. */
export async function exchangeWaits(client: Client): Promise<void> {
  await until(
    () => 'the exchange waits',
    async () => {
      const { rows } = await client.query(
        "SELECT FROM pg_locks WHERE NOT granted AND relation = 'merged_block'::regclass",
      );
      return rows.length > 0;
    },
  );
}
