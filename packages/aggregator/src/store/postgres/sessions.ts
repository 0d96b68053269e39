import { type Client, type ClientBase, Pool, type PoolClient } from 'pg';
import { StoreError } from '../event-store.ts';
import type { Address } from './address.ts';
import { type Begun, beginSession } from './epochs.ts';
import { SilentError, StandbyError, hasOldPlan, isPassing, remedyFor } from './errors.ts';
import { Hosts } from './hosts.ts';
import { MAY_LOSE, MUST_KEEP } from './keeps.ts';

/** Groups of events that are appended at once: while one is committed, the next one is judged and packed. */
export const GROUPS_AT_ONCE = 2;

/** Sessions that commit: one for each of these groups, and one for commits that store nothing. */
const WRITERS = GROUPS_AT_ONCE + 1;

/** Sessions that read: each request for a page takes one for a few milliseconds. */
const READERS = 4;

/** Sessions in which groups step forward: an instance does one apply at a time, and another while it tries one again. */
const GROUPS = 2;

/**
 * An instance that stops in the middle of an apply, and is still connected, holds the locks of its groups for so long; then the
 * server undoes what it has begun. A commit is not cut short by it: the server is at work then.
 */
const STEPPING_SETTINGS = `SET idle_in_transaction_session_timeout = '5s'`;

/** For all hosts of the address together. */
const CONNECT_WITHIN_MS = 5_000;

/**
 * A server that does not answer for so long may be gone, or the way to it: the connection is cut. What was on its way there is
 * in doubt.
 */
const ANSWER_WITHIN_MS = 10_000;

/** An idle connection that is ended is cut where the server has not closed it after this. */
const END_WITHIN_MS = 1_000;

/** An idle connection is asked after this whether the server is still there. */
const KEEP_ALIVE_MS = 10_000;

/** A server that starts, or has no connection free, is asked again after this, for so long. */
const ASK_AGAIN_MS = 200;
const ASK_FOR_MS = 30_000;

/** The oldest server that the tests run on. */
const VERSION_MIN = 15;

/**
 * How a session is set up. No time-out cuts a statement short: a commit whose wait for a standby is cut short counts as done.
 * Plans are made once, by index: made while a table was small they would stay as they are when it has grown. The server looks
 * after clients that are gone, so that the locks of a lost connection go too.
 */
const SETTINGS = `
  SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
  SET plan_cache_mode = force_generic_plan; SET jit = off;
  SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
  SET client_connection_check_interval = '5s'; SET client_encoding = UTF8; SET bytea_output = hex;
`;

/** What the commit that began a session saw, and the server's version. */
export interface SessionStart extends Begun {
  readonly version: string;
  /** What was known before. */
  readonly known: Known;
  /** Null where the log still holds what is known; else the offset up to which it may. */
  readonly heldUpTo: number | null;
}

/** How far the log is known to reach, in which epoch, and the last append of this instance that was acknowledged. */
export interface Known {
  readonly lastOffset: number;
  readonly epochId: number;
  readonly append: { readonly appendId: number; readonly firstOffset: number } | null;
}

export interface SessionRules {
  /** Tests run on a server that does not sync. */
  readonly allowsLoss: boolean;
  /** What a session that begins from now on must find: everything acknowledged so far. */
  readonly known: () => Known;
  /** Called with what a new session sees, before it is used. */
  readonly began: (client: ClientBase, start: SessionStart) => Promise<void>;
}

/** Sessions that are lent out one at a time. */
export type SessionPool = Pick<Pool, 'end'> & { connect(): Promise<PoolClient> };

/** Where reads get their session from. */
export type Reading = Pick<Sessions, 'read'>;

/**
 * The connections to the database. Out: sessions that may be trusted with what an acknowledgement or a reader rests on.
 *
 * A session is *begun* before anybody has it: set up, checked for a server that keeps what it confirms, and then one commit
 * is made that changes nothing that is told. What others committed may be visible and yet not on the standby, after a crash
 * of the primary; a commit of one's own that was confirmed stands behind them in the server's log, so that when it is on
 * the standby they all are. Invariant: nothing is read or written in a session before that commit was confirmed.
 */
export class Sessions {
  readonly writers: SessionPool;
  readonly readers: SessionPool;
  readonly groups: SessionPool;
  readonly #address: Address;
  readonly #hosts: Hosts;
  readonly #rules: SessionRules;
  #isCut = false;

  constructor(address: Address, rules: SessionRules) {
    this.#address = address;
    this.#rules = rules;
    const config = {
      application_name: 'chronicleweaver',
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    };
    this.#hosts = new Hosts(address.hosts, config, CONNECT_WITHIN_MS);
    this.writers = this.#pool(WRITERS);
    this.readers = this.#pool(READERS);
    this.groups = this.#pool(GROUPS, STEPPING_SETTINGS);
  }

  /**
   * A connection without a session begun: for the schema, which is not there yet, and for notifications.
   *
   * @param isEnough whether to ask a server that starts no more
   */
  async connect(isEnough: () => boolean = () => false): Promise<Client> {
    const giveUpAt = performance.now() + ASK_FOR_MS;
    for (;;) {
      try {
        return await this.#reach(() => this.#connected());
      } catch (error) {
        if (!isPassing(error) || performance.now() > giveUpAt || isEnough()) throw error;
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      }
    }
  }

  /** Reads in any session; once more in a fresh one where the connection was lost. */
  read<T>(work: (client: ClientBase) => Promise<T>): Promise<T> {
    return this.twice(this.readers, work);
  }

  /** Does what may be done twice; once more in a fresh session where the connection was lost. */
  async twice<T>(pool: SessionPool, work: (client: ClientBase) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await using(pool, (client) => answered(client, () => work(client)));
      } catch (error) {
        // Where tables have changed, each session that was idle has the old plan; one that fails is not used again.
        const triesMax = hasOldPlan(error) ? 1 + Math.max(READERS, GROUPS) : 2;
        if (tries >= triesMax || remedyFor(error) !== 'reconnect') throw error;
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.writers.end(), this.readers.end(), this.groups.end()]);
    // The pools wait for no connection that is idle, and one that a silent server does not end would keep the process from ending.
    await Promise.all([...this.#hosts.open].map(ended));
  }

  /** Cuts all connections, and makes no more: whoever waits for an answer hears that none comes. */
  cut(): void {
    this.#isCut = true;
    for (const client of this.#hosts.open) cut(client);
  }

  #reach<T>(connect: () => Promise<T>): Promise<T> {
    return this.#hosts.reach(async () => {
      if (this.#isCut) throw new StoreError('closed', 'the store is closed');
      return connect();
    });
  }

  /** A connection to the next host. */
  async #connected(): Promise<Client> {
    const client = new this.#hosts.Client();
    // Told by the query that fails; without a listener it would end the process.
    client.on('error', () => {});
    try {
      await client.connect();
      await this.#atHost(client, () => answered(client, () => this.#checked(client)));
      return client;
    } catch (error) {
      await ended(client);
      throw error;
    }
  }

  #pool(max: number, settings = ''): SessionPool {
    const pool = new Pool({
      max,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      idleTimeoutMillis: 0,
      Client: this.#hosts.Client,
      // The pool waits for the promise, though its types do not say so.
      onConnect: (client): unknown => this.#ready(client, settings),
    });
    // An idle connection that breaks is dropped from the pool, which makes another when it is needed.
    pool.on('error', () => {});
    return {
      connect: () => this.#reach(() => pool.connect()),
      end: () => pool.end(),
    };
  }

  async #ready(client: ClientBase, settings: string): Promise<void> {
    // A connection that breaks is told by the query that fails; without a listener it would end the process, too.
    client.on('error', () => {});
    await this.#atHost(client, () =>
      answered(client, async () => {
        await this.#begun(client, await this.#checked(client));
        if (settings !== '') await client.query(settings);
      }),
    );
  }

  /** Does what decides whether the client's host serves. */
  async #atHost<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#hosts.served(client);
      return result;
    } catch (error) {
      this.#hosts.failed(client, error);
      throw error;
    }
  }

  /** Sets the session up, and returns the server's version. */
  async #checked(client: ClientBase): Promise<string> {
    await client.query(`${SETTINGS} SET search_path = ${this.#address.schema}`);
    const { rows } = await client.query<Record<string, string>>(`
      SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
        current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('synchronous_standby_names') AS standbys,
        pg_is_in_recovery()::text AS is_standby`);
    const [server] = rows;
    if (server!['is_standby'] === 'true') {
      throw new StandbyError('this server is a standby, which only reads');
    }
    const { allowsLoss } = this.#rules;
    const wrong = faultOf(server!, allowsLoss);
    if (wrong !== null) throw new StoreError('unusable', wrong);
    await client.query(allowsLoss ? MAY_LOSE : keeping(server!['synchronous_commit']!));
    return server!['version']!;
  }

  async #begun(client: ClientBase, version: string): Promise<void> {
    // Before: what is committed meanwhile in another session may be known here before the answer is.
    const known = this.#rules.known();
    const begun = await beginSession(client);
    const held = await heldUpTo(client, known, begun.lastOffset);
    await this.#rules.began(client, { ...begun, version, known, heldUpTo: held });
  }
}

/**
 * Null where the log still holds what is known; else the offset up to which it may. Its end alone does not tell: others may
 * have written on behind what a promotion took back.
 */
async function heldUpTo(
  client: ClientBase,
  { lastOffset: knownEnd, append }: Known,
  lastOffset: number,
): Promise<number | null> {
  if (append !== null) {
    const { rows } = await client.query('SELECT FROM log WHERE append_id = $1 AND first_offset = $2', [
      append.appendId,
      append.firstOffset,
    ]);
    if (rows.length === 0) return Math.min(lastOffset, append.firstOffset - 1);
  }
  return lastOffset < knownEnd ? lastOffset : null;
}

/** Lends a session to the work; one that may be broken is not used again. */
export async function using<T>(pool: SessionPool, work: (client: ClientBase) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let isBroken = true;
  try {
    const result = await work(client);
    isBroken = false;
    return result;
  } catch (error) {
    isBroken = remedyFor(error) !== 'repeat';
    throw error;
  } finally {
    client.release(isBroken);
  }
}

/** Does the work; where the server does not answer, the connection is cut, and a SilentError says so. */
export async function answered<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  let isSilent = false;
  const timer = setTimeout(() => {
    isSilent = true;
    cut(client);
  }, ANSWER_WITHIN_MS);
  try {
    return await work();
  } catch (error) {
    throw isSilent ? new SilentError(ANSWER_WITHIN_MS, error) : error;
  } finally {
    clearTimeout(timer);
  }
}

/** Ends an idle connection, or cuts it where the server does not answer. */
export async function ended(client: Client): Promise<void> {
  const timer = setTimeout(() => cut(client), END_WITHIN_MS);
  await client.end().catch(() => {});
  clearTimeout(timer);
}

/** Breaks the connection, whatever is under way in it. */
export function cut(client: ClientBase): void {
  (client as ClientBase & { connection: { stream: { destroy: () => void } } }).connection.stream.destroy();
}

/** What the session is set to itself, no later change of the server's settings takes away. */
function keeping(synchronousCommit: string): string {
  return `SET synchronous_commit = ${synchronousCommit === 'remote_apply' ? 'remote_apply' : 'on'}; ${MUST_KEEP}`;
}

/** Why this server must not hold the log, in one line. */
function faultOf(server: Record<string, string>, allowsLoss: boolean): string | null {
  const { version, encoding, synchronous_commit: commit, standbys } = server;
  if (Number.parseInt(version!, 10) < VERSION_MIN) {
    return `this server is PostgreSQL ${version}: take ${VERSION_MIN} or newer`;
  }
  if (encoding !== 'UTF8') return `the database has the encoding ${encoding}: make one with UTF8`;
  if (allowsLoss) return null;
  for (const setting of ['fsync', 'full_page_writes']) {
    if (server[setting] === 'off')
      return `${setting} is off, so a crash could lose what was acknowledged: set it on`;
  }
  if (commit === 'off' || (standbys !== '' && commit === 'local')) {
    return `synchronous_commit is ${commit}, so a crash could lose what was acknowledged: set it on`;
  }
  return null;
}
