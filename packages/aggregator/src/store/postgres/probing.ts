import type { ClientBase } from 'pg';
import { callErrorOf, isDiskFull } from './errors.ts';
import { KEEPS } from './keeps.ts';
import type { Sessions } from './sessions.ts';
import { unbroken } from './unbroken.ts';

const PROBE = `UPDATE head SET last_ms = last_ms * (${KEEPS}) RETURNING last_offset`;

/** Takes as much room as a block of so many bytes would. */
const TRY_ROOM = `
  INSERT INTO block (append_id, place, events, directory, body) VALUES (-1, 0, 0, '', decode(repeat('00', $1::int), 'hex'))`;

/** Whether the database takes commits, and has room for those that found none. */
export class Probing {
  readonly #sessions: Writing;
  /** The last append that found no space; null if there has been some since. */
  #lacked: { readonly bytes: number } | null = null;

  constructor(sessions: Writing) {
    this.#sessions = sessions;
  }

  /** An append of so many bytes has failed. */
  failed(error: unknown, bytes: number): void {
    if (isDiskFull(error)) this.#lacked = { bytes };
  }

  /** An append was done. */
  done(): void {
    this.#lacked = null;
  }

  /**
   * Commits nothing, durably. Where an append found no space, it looks whether there is some for it now. Resolves with the
   * offset of the last event that it saw.
   */
  async probe(): Promise<number> {
    const lacked = this.#lacked;
    try {
      const { rows } = await this.#sessions.twice(this.#sessions.writers, async (client) => {
        if (lacked !== null) await tryRoom(client, lacked.bytes);
        return unbroken(client, () => client.query<{ last_offset: string }>({ name: 'probe', text: PROBE }));
      });
      // Another append may have found none meanwhile.
      if (this.#lacked === lacked) this.#lacked = null;
      return Number(rows[0]!.last_offset);
    } catch (error) {
      throw callErrorOf(error);
    }
  }
}

/** Writes a block and takes it back; rejects where there is no room for it. */
async function tryRoom(client: ClientBase, bytes: number): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(TRY_ROOM, [bytes]);
  } finally {
    await client.query('ROLLBACK');
  }
}

type Writing = Pick<Sessions, 'twice' | 'writers'>;
