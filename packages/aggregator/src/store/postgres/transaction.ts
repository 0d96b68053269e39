import type { ClientBase } from 'pg';
import { callErrorOf, remedyFor } from './errors.ts';
import { type Sessions, answered, using } from './sessions.ts';
import { unbroken } from './unbroken.ts';

/** How often a transaction is tried that others undo, or whose connection is lost. */
const TRIES = 5;

/** An instance that stops in the middle, and is still connected, holds its locks for so long. */
const BEGIN = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL enable_hashjoin = on`;

/** Does the work in a transaction; again where it was undone, or may not be done. Rejects with a StoreError. */
export async function transaction<T>(
  sessions: Sessions,
  work: (client: ClientBase) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await using(sessions.readers, (client) => answered(client, () => within(client, work)));
    } catch (error) {
      if (tries === TRIES || remedyFor(error) === 'give_up') throw callErrorOf(error);
    }
  }
}

async function within<T>(client: ClientBase, work: (client: ClientBase) => Promise<T>): Promise<T> {
  try {
    await client.query(BEGIN);
    const result = await work(client);
    await unbroken(client, () => client.query('COMMIT'));
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
