import type { TableDisk } from '../results/postgres.ts';
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { PostgresServer } from '../../lab/postgres-server.ts';
import { childCpuSecondsOf, cpuSecondsOf, parentOf } from '../../lab/proc.ts';

/** What a team would set on a machine like this one, beside PostgreSQL's own defaults. */
const SETTINGS = { shared_buffers: '512MB', max_wal_size: '4GB', autovacuum: 'on' };

/** What a number may depend on, for the heading. */
const TOLD = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_compression',
  'shared_buffers',
  'max_wal_size',
  'autovacuum',
];

/** A PostgreSQL server: one of our own, with its files in a folder, or one that was named by its address. */
export class Database implements AsyncDisposable {
  /** Which server, and what is set. */
  readonly about: string;
  readonly #client: Client;
  readonly #address: string;
  readonly #own: PostgresServer | null;
  /** The first process of our own server, which starts all others. */
  readonly #pid: number | null;
  readonly #schemas: string[] = [];

  private constructor(client: Client, address: string, own: PostgresServer | null, about: string) {
    this.#client = client;
    this.#address = address;
    this.#own = own;
    this.about = about;
    this.#pid = own === null ? null : Number.parseInt(readFileSync(join(own.folder, 'data/postmaster.pid'), 'utf8'), 10); // prettier-ignore
  }

  /** @param named an address, or `postgres` for a server of our own */
  static async open(named: string, folder: string): Promise<Database> {
    const own =
      named === 'postgres' ? await PostgresServer.start({ settings: SETTINGS, parent: folder }) : null;
    const address = own?.address() ?? named;
    const client = new Client(address);
    try {
      await client.connect();
      const { rows } = await client.query<{ name: string; setting: string }>(
        "SELECT name, current_setting(name) AS setting FROM unnest($1::text[] || '{server_version}') AS told (name)",
        [TOLD],
      );
      const settings = new Map(rows.map(({ name, setting }) => [name, setting]));
      const version = settings.get('server_version')!;
      const told = TOLD.map((name) => `${name} ${settings.get(name)!}`).join(', ');
      return new Database(client, address, own, `PostgreSQL ${version}: ${told}`);
    } catch (error) {
      await client.end();
      await own?.close();
      throw error;
    }
  }

  /** The address of a log of its own. */
  newLog(): string {
    const address = new URL(this.#address);
    const schema = `bench_${randomBytes(4).toString('hex')}`;
    this.#schemas.push(schema);
    address.searchParams.set('schema', schema);
    return address.href;
  }

  /** Seconds of processor time that all processes of our own server have used; 0 of any other one. */
  cpuSeconds(): number {
    const first = this.#pid;
    if (first === null) return 0;
    const running = readdirSync('/proc').filter((name) => parentOf(name) === first);
    const seconds = running.map((pid) => cpuSecondsOf(Number(pid)));
    return seconds.reduce((sum, one) => sum + one, cpuSecondsOf(first) + childCpuSecondsOf(first));
  }

  /** Bytes of tables and indexes of a log, with what belongs to them. */
  async diskBytes(log: string): Promise<number> {
    return this.#number(
      "SELECT sum(pg_total_relation_size(oid)) AS number FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'",
      [new URL(log).searchParams.get('schema')],
    );
  }

  /** The same of each table that has a part in it, the largest first: with its indexes, and the indexes alone. */
  async diskByTable(log: string): Promise<TableDisk[]> {
    const { rows } = await this.#client.query<Record<'name' | 'bytes' | 'index_bytes', string>>(
      `SELECT relname AS name, pg_total_relation_size(oid) AS bytes, pg_indexes_size(oid) AS index_bytes FROM pg_class
       WHERE relnamespace = $1::regnamespace AND relkind = 'r' ORDER BY bytes DESC`,
      [new URL(log).searchParams.get('schema')],
    );
    return rows.map((row) => ({
      table: row.name,
      bytes: Number(row.bytes),
      indexBytes: Number(row.index_bytes),
    }));
  }

  /** Bytes that the server's log of changes has had so far. */
  walBytes(): Promise<number> {
    return this.#number("SELECT pg_current_wal_lsn() - '0/0' AS number");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#own === null) {
        for (const schema of this.#schemas)
          await this.#client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
      }
      await this.#client.end();
    } finally {
      await this.#own?.close();
    }
  }

  async #number(text: string, values: unknown[] = []): Promise<number> {
    const { rows } = await this.#client.query<{ number: string }>(text, values);
    return Number(rows[0]!.number);
  }
}
