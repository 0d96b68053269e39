import type { Client, ClientBase } from 'pg';
import { StoreError } from '../event-store.ts';
import { ended } from './sessions.ts';

/** A pooler gives out the session that it used last, or takes turns: within so many rounds both show. */
const ROUNDS = 3;

const PID = 'SELECT pg_backend_pid() AS pid';

/**
 * Rejects behind a pooler that gives a session to each transaction anew: what a session is set up for, its statements, what it
 * listens to, and above all the commit that it begins with, would be another one's. In: a connection to the database, and
 * a way to another one.
 *
 * Such a pooler is known by two connections that meet the same session, or by one that meets two.
 */
export async function refusePoolerOfTransactions(
  one: ClientBase,
  connect: () => Promise<Client>,
): Promise<void> {
  const pid = await pidOf(one);
  // A pooler cannot tell a client which session it will have, so it makes one up.
  if (pid === (one as ClientBase & { processID?: number }).processID) return;
  const another = await connect();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await another.query('BEGIN');
      const isShared = (await pidOf(another)) === pid || (await pidOf(one)) !== pid;
      await another.query('ROLLBACK');
      if (isShared) {
        throw new StoreError(
          'unusable',
          'a pooler stands before the server and gives each transaction another session: name the server itself, or let the pooler pool sessions (pool_mode = session)',
        );
      }
    }
  } finally {
    await ended(another);
  }
}

async function pidOf(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ pid: number }>(PID);
  return rows[0]!.pid;
}
