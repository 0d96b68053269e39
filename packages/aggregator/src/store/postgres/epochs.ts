import { randomBytes } from 'node:crypto';
import { type ClientBase, DatabaseError } from 'pg';
import { type Epoch, StoreError } from '../event-store.ts';
import { unbroken } from './unbroken.ts';

/** What a role may be forbidden to ask, or a server may not know. */
const MAY_ASK = `
  SELECT coalesce(has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE'), false)
    AND coalesce(has_function_privilege(to_regprocedure('pg_current_wal_lsn()'), 'EXECUTE'), false)
    AND coalesce(has_function_privilege(to_regprocedure('pg_walfile_name(pg_lsn)'), 'EXECUTE'), false) AS may_ask`;

/** The server's own number, and its timeline, which a promotion and a recovery to a point in time change. */
const SERVER = `
  SELECT system_identifier::text AS system, left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline FROM pg_control_system()`;

/** The database and the table: a dump that is restored makes another table, a copied template another database. */
const HOME = `
  SELECT concat((SELECT oid FROM pg_database WHERE datname = current_database()), '.', 'head'::regclass::oid) AS home`;

/**
 * The groups' leases of a life that was taken back are no longer known by their ids: the same ones may have been given in this
 * life to other events.
 */
const NEW_SECRETS = 'UPDATE event_group SET secret = uuid_send(gen_random_uuid()) FROM begun';

const IS_OTHER = 'is_copy OR home <> $3::text OR system <> $1::text OR timeline <> $2::text';

/**
 * A log that went back gives ranges of append ids a second time, which instances may still draw from. Two appends of one id
 * would take each other's commit for their own, so a new epoch leaves out more ranges than were given in what was lost.
 * There is room for eight thousand epochs.
 */
const LEFT_OUT = 2 ** 20;

/**
 * Begins a session, and an epoch with it where this is another life of the database than the one that `head` remembers, all
 * under the lock of `head`: nobody can have committed in this life before.
 */
const BEGIN_SESSION = `
  WITH begun AS (
    UPDATE head SET ranges = ranges + CASE WHEN ${IS_OTHER} THEN ${LEFT_OUT} ELSE 1 END,
      epoch_id = CASE WHEN ${IS_OTHER} THEN epoch_id + 1 ELSE epoch_id END,
      epoch = CASE WHEN ${IS_OTHER} THEN $4::text ELSE epoch END,
      system = coalesce($1::text, system), timeline = coalesce($2::text, timeline), home = $3::text, is_copy = false
    RETURNING last_offset, ranges, epoch_id, epoch
  ), made AS (
    INSERT INTO epoch (epoch_id, name, after_offset) SELECT epoch_id, epoch, last_offset FROM begun WHERE epoch = $4::text
  ), secrets AS (
    ${NEW_SECRETS} WHERE epoch = $4::text
  )
  SELECT last_offset, ranges, epoch_id, epoch = $4::text AS is_new FROM begun`;

/** Begins an epoch where nobody has since the one that is known. */
const BEGIN_EPOCH = `
  WITH begun AS (
    UPDATE head SET epoch_id = epoch_id + 1, epoch = $2::text, ranges = ranges + ${LEFT_OUT}
    WHERE epoch_id = $1::int RETURNING epoch_id, epoch
  ), secrets AS (
    ${NEW_SECRETS}
  )
  INSERT INTO epoch (epoch_id, name, after_offset) SELECT epoch_id, epoch, $3::bigint FROM begun`;

const EPOCHS = 'SELECT epoch_id, name, after_offset FROM epoch ORDER BY epoch_id';

/** What the commit that begins a session sees. */
export interface Begun {
  readonly lastOffset: number;
  readonly ranges: number;
  /** The number of the newest epoch. */
  readonly epochId: number;
  /** Whether this session has begun that epoch. */
  readonly isNewEpoch: boolean;
}

export async function beginSession(client: ClientBase): Promise<Begun> {
  const { system, timeline } = await serverOf(client);
  const home = await client.query<{ home: string }>(HOME);
  const values = [system, timeline, home.rows[0]!.home, newName()];
  const { rows } = await unbroken(client, () => client.query<BegunRow>(BEGIN_SESSION, values));
  const [row] = rows;
  return {
    lastOffset: Number(row!.last_offset),
    ranges: Number(row!.ranges),
    epochId: row!.epoch_id,
    isNewEpoch: row!.is_new,
  };
}

interface BegunRow {
  readonly last_offset: string;
  readonly ranges: string;
  readonly epoch_id: number;
  readonly is_new: boolean;
}

/** Null where it cannot be told: then what can be told decides. */
async function serverOf(client: ClientBase): Promise<{ system: string | null; timeline: string | null }> {
  const unknown = { system: null, timeline: null };
  try {
    const { rows } = await client.query<{ may_ask: boolean }>(MAY_ASK);
    if (!rows[0]!.may_ask) return unknown;
    return (await client.query<{ system: string; timeline: string }>(SERVER)).rows[0]!;
  } catch (error) {
    if (error instanceof DatabaseError) return unknown;
    throw error;
  }
}

/**
 * The epochs of the log, as far as they are known here. An epoch begins where the log may have gone back: in another life of
 * the database (`beginSession`), or where an instance misses what it knows to have been acknowledged (`missed`). Whoever
 * finds it first begins it, the others learn of it.
 *
 * Invariant: nothing is read or written in a session before the epochs that it saw when it began are known here.
 */
export class Epochs {
  #list: readonly Epoch[] = [];
  /** Their numbers in the database. */
  #ids: readonly number[] = [];
  readonly #began: (epoch: Epoch) => void;

  /** @param began called with each epoch that begins while the log is open, before anything of it is read */
  constructor(began: (epoch: Epoch) => void) {
    this.#began = began;
  }

  /** Oldest first. Another list for each change. */
  get list(): readonly Epoch[] {
    return this.#list;
  }

  /** The number of the newest one, 0 before they are known. */
  get lastId(): number {
    return this.#ids.at(-1) ?? 0;
  }

  /** The name of the newest one, '' before they are known. */
  get newest(): string {
    return this.#list.at(-1)?.name ?? '';
  }

  /**
   * Throws where that one is no longer the newest: ids and offsets that were told in it may be others' in the session that has them
   * now.
   */
  still(epoch: string): void {
    if (epoch === this.newest) return;
    const why = 'a new epoch has begun meanwhile, in which an offset of before may be that of another event';
    throw new StoreError('blocked', `${why}: ask again`);
  }

  /**
   * Reads what rests on ids or offsets that another session may have told: again where an epoch has begun meanwhile, since they may be
   * others' in it.
   */
  async inOne<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      const epoch = this.newest;
      try {
        const result = await read();
        if (epoch === this.newest) return result;
      } catch (error) {
        // There may be nothing at an offset of before.
        if (epoch === this.newest) throw error;
      }
    }
  }

  /** Reads the epochs unless those up to this number are known. */
  async learn(client: ClientBase, lastId: number): Promise<void> {
    if (lastId <= this.lastId) return;
    const { rows } = await client.query<{ epoch_id: number; name: string; after_offset: string }>(EPOCHS);
    const known = this.lastId;
    if (rows.at(-1)!.epoch_id <= known) return;
    this.#ids = rows.map((row) => row.epoch_id);
    this.#list = rows.map((row) => ({ name: row.name, afterOffset: Number(row.after_offset) }));
    if (known > 0) for (const epoch of this.#since(known)) this.#began(epoch);
  }

  #since(id: number): Epoch[] {
    return this.#list.filter((_, i) => this.#ids[i]! > id);
  }

  /**
   * What was known when the epoch of that number was the newest is missing above this offset: begins an epoch there, unless
   * one was begun since that covers it. Returns whether it did.
   */
  async missed(client: ClientBase, knownId: number, afterOffset: number): Promise<boolean> {
    for (;;) {
      if (this.#since(knownId).some((epoch) => epoch.afterOffset <= afterOffset)) return false;
      const lastId = this.lastId;
      const values = [lastId, newName(), afterOffset];
      const { rowCount } = await unbroken(client, () => client.query(BEGIN_EPOCH, values));
      // Where another instance was faster, its epoch may do.
      await this.learn(client, lastId + 1);
      if (rowCount === 1) return true;
    }
  }
}

function newName(): string {
  return randomBytes(8).toString('hex');
}
