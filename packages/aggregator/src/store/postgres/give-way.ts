import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';

/*
 * While ids are forgotten one after the other, what appends go by has another version many times a second (policies.ts). A large
 * append that takes longer than that would be undone each time, as long as that goes on. So one that was undone twice holds a lock
 * for its next tries (undisturbed.ts), and whoever changes the version waits until no append holds it.
 *
 * It is a courtesy that nothing rests on, and both wait for a moment only.
 */

/** Beside the turns of appends (turns.ts). */
export const WAY = `'head'::regclass::oid::int, 1`;

/** Whoever holds the lock may be an instance that hangs: after so long others go on without it, milliseconds. */
export const WAIT_MS = 1000;

/** To wait within the server for so long and no longer would undo the transaction. */
const ASK_AGAIN_MS = 5;
const ASK = `SELECT pg_try_advisory_xact_lock(${WAY}) AS is_free`;

/** Waits for appends that hold the lock, and keeps others from it to the end of the caller's transaction, which has no key locked yet. */
export async function giveWay(client: ClientBase): Promise<void> {
  for (
    const giveUpAt = performance.now() + WAIT_MS;
    performance.now() < giveUpAt;
    await sleep(ASK_AGAIN_MS)
  ) {
    const { rows } = await client.query<{ is_free: boolean }>(ASK);
    if (rows[0]!.is_free) return;
  }
}
