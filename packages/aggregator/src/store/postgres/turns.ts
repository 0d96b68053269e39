import type { ClientBase } from 'pg';
import { remedyFor } from './errors.ts';
import { answered } from './sessions.ts';

/** After a lost race, so many appends take turns. */
const APPENDS = 64;

/** Whoever has the turn may be an instance that hangs: after so long others go on without it, milliseconds. */
const WAIT_MS = 500;

/** A lock of the session, since it must outlive the statement that takes it, and go with the connection. */
const LOCK = `'head'::regclass::oid::int, 0`;
const TAKE = `SET lock_timeout = ${WAIT_MS}; SELECT pg_advisory_lock(${LOCK}); SET lock_timeout = 0`;
const GIVE = `SELECT pg_advisory_unlock(${LOCK})`;

/**
 * Lets the appends of all instances look and commit one after another, while retries reach several instances at about the
 * same time. A look cannot see the keys of a commit that is under way; whoever inserts one of them waits for that commit, is
 * undone, and does everything again. With four instances and many retries each commit was done 2.4 times.
 *
 * It is a courtesy that spares work: what is stored once, and in which order, rests on the unique index and the head row.
 */
export class Turns {
  #appends = 0;

  /** Another append was faster with a key that a look had not found. */
  lost(): void {
    this.#appends = APPENDS;
  }

  /** Does the work in this session, in a turn of its own where appends take turns. */
  async within<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
    if (this.#appends === 0 || !(await this.#taken(client))) return work();
    this.#appends = Math.max(0, this.#appends - 1);
    try {
      return await work();
    } finally {
      // Where the connection is lost the lock is, too.
      await answered(client, () => client.query(GIVE)).catch(() => {});
    }
  }

  async #taken(client: ClientBase): Promise<boolean> {
    try {
      await answered(client, () => client.query(TAKE));
      return true;
    } catch (error) {
      if (remedyFor(error) !== 'repeat') throw error;
      this.#appends = 0;
      return false;
    }
  }
}
