import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Place } from '../../lab/network.ts';
import { type PostgresOptions, PostgresServer } from '../../lab/postgres-server.ts';

/** A statement of an instance that may still commit, in a server of the run. */
const BUSY = `
  SELECT FROM pg_stat_activity
  WHERE application_name = 'chronicleweaver' AND state <> 'idle'
    AND query ~ 'INTO key|UPDATE (block|merged_block|topic) SET|^COMMIT'`;

/** How long what was sent before a cut may be under way. */
const UNDER_WAY_MS = 400;
const QUIET_WITHIN_MS = 30_000;

/** What the instances of a run share. Each log has a schema of its own in it. */
export interface Database {
  /** Where it is reached now. */
  readonly place: Place;
  /** Where its servers are, of which one takes writes. With a standby these are two, each of which keeps its index. */
  readonly servers: readonly Place[];
  /** The address of a log in it, for an instance that finds its servers at these places. */
  addressAt(places: readonly Place[], schema: string): string;
  /** Ends what it started, if anything. */
  close(): Promise<void>;
}

/** One of somebody else's, which is left as it was. */
export class GivenDatabase implements Database {
  readonly #url: URL;

  constructor(address: string) {
    this.#url = new URL(address);
  }

  get place(): Place {
    return { host: this.#url.hostname, port: Number(this.#url.port || 5432) };
  }

  get servers(): readonly Place[] {
    return [this.place];
  }

  addressAt([place]: readonly Place[], schema: string): string {
    const { host, port } = place!;
    const url = new URL(this.#url);
    url.hostname = host;
    url.port = String(port);
    if (schema !== '') url.searchParams.set('schema', schema);
    return url.href;
  }

  async close(): Promise<void> {}
}

/** As an operator has it who wants to lose nothing. What a new standby must read is kept for it. */
const SETTINGS = { max_connections: '300', shared_buffers: '64MB', wal_keep_size: '1GB' };

/** A server of the run's own, which syncs; with a standby that every commit waits for, or without. */
export class OwnDatabase implements Database {
  #primary: PostgresServer;
  #standby: PostgresServer | null = null;
  /** Removed when its successor is there. */
  #killed: PostgresServer | null = null;
  /** Whether the primary is the second of the servers. */
  #isSwapped = false;
  readonly #options: PostgresOptions;

  private constructor(primary: PostgresServer, options: PostgresOptions) {
    this.#primary = primary;
    this.#options = options;
  }

  /**
   * @param parent the folder for its files
   * @param bin the folder of its programs; undefined for those that npm brings
   */
  static async start(parent: string, bin: string | undefined): Promise<OwnDatabase> {
    const options = { parent, listens: true, settings: SETTINGS, ...(bin !== undefined && { bin }) };
    return new OwnDatabase(await PostgresServer.start(options), options);
  }

  get primary(): PostgresServer {
    return this.#primary;
  }

  get place(): Place {
    return placeOf(this.#primary);
  }

  get servers(): readonly Place[] {
    const other = this.#standby ?? this.#killed;
    if (other === null) return [this.place];
    const places = [this.place, placeOf(other)];
    return this.#isSwapped ? places.toReversed() : places;
  }

  addressAt(places: readonly Place[], schema: string): string {
    const hosts = places.map(({ host, port }) => `${host}:${port}`).join(',');
    return `postgres://postgres@${hosts}/postgres${schema === '' ? '' : `?schema=${schema}`}`;
  }

  /** Makes a standby, which every commit waits for from now on. */
  async pair(): Promise<void> {
    this.#standby = await PostgresServer.start({ ...this.#options, primary: this.#primary });
    await this.#primary.waitFor(this.#standby);
    await this.#killed?.close();
    this.#killed = null;
  }

  /** Kills the primary, and makes the standby the primary. */
  async failOver(): Promise<void> {
    if (this.#standby === null) throw new Error('there is no standby');
    await this.#primary.kill();
    await this.#standby.promote();
    this.#killed = this.#primary;
    this.#primary = this.#standby;
    this.#standby = null;
    this.#isSwapped = !this.#isSwapped;
  }

  async close(): Promise<void> {
    for (const server of [this.#primary, this.#standby, this.#killed]) await server?.close();
  }
}

function placeOf({ port }: PostgresServer): Place {
  return { host: '127.0.0.1', port };
}

export function newSchema(): string {
  return `torture_${randomBytes(6).toString('hex')}`;
}

/** Waits until nothing that was sent before can commit any more. */
export async function quiet(database: Database): Promise<void> {
  await sleep(UNDER_WAY_MS);
  const client = new Client(database.addressAt([database.place], ''));
  await client.connect();
  try {
    const giveUpAt = performance.now() + QUIET_WITHIN_MS;
    while ((await client.query(BUSY)).rows.length > 0) {
      if (performance.now() > giveUpAt) throw new Error('the database does not come to rest');
      await sleep(20);
    }
  } finally {
    await client.end();
  }
}

/** Removes a log, and says what server had it. */
export async function removeLog(database: Database, schema: string): Promise<string> {
  const client = new Client(database.addressAt([database.place], ''));
  await client.connect();
  try {
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    const { rows } = await client.query<{ version: string }>(
      "SELECT current_setting('server_version') AS version",
    );
    return `PostgreSQL ${rows[0]!.version}`;
  } finally {
    await client.end();
  }
}
