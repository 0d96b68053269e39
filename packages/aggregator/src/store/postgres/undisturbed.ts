import type { ClientBase } from 'pg';
import { remedyFor } from './errors.ts';
import { WAIT_MS, WAY } from './give-way.ts';
import { answered } from './sessions.ts';

/** A lock of the session, since it must outlive the statement that takes it, and go with the connection. */
const HOLD = `SET lock_timeout = ${WAIT_MS}; SELECT pg_advisory_lock_shared(${WAY}); SET lock_timeout = 0`;
const LEAVE = `SELECT pg_advisory_unlock_shared(${WAY})`;

/** Does the work of an append while nobody changes what it goes by (give-way.ts); where that cannot be had, all the same. */
export async function undisturbed<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  try {
    await answered(client, () => client.query(HOLD));
  } catch (error) {
    if (remedyFor(error) !== 'repeat') throw error;
    return work();
  }
  try {
    return await work();
  } finally {
    // Where the connection is lost the lock is, too.
    await answered(client, () => client.query(LEAVE)).catch(() => {});
  }
}
