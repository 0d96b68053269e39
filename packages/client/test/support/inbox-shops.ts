import { DatabaseSync } from 'node:sqlite';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Pool, type PoolConfig } from 'pg';
import { until } from '../../../../lab/program.ts';
import { sharedServer } from '../../../aggregator/test/support/postgres-server.ts';
import { tempFolder } from '../../../aggregator/test/support/temp-folder.ts';
import { type InboxOptions, type PostgresClient, type SqliteDatabase, inbox } from '../../src/inbox/index.ts';
import type { ChronicleWeaver, DeliveredEvent } from '../../src/index.ts';

/** Where a database is, for another process, too. */
export type ShopAddress =
  | { readonly kind: 'postgres'; readonly config: PoolConfig }
  | { readonly kind: 'sqlite'; readonly path: string };

/** A row of the inbox's table. */
interface Note {
  event_id: string;
  event_offset: number;
  repeats: number;
}

/** A bigint of PostgreSQL comes as text. */
type Row = Omit<Note, 'event_offset'> & { event_offset: number | string };

/** What a handler does besides its effect, before it. In SQLite it must not wait. */
type Before = (event: DeliveredEvent) => unknown;

/** A user's database, in which the effect of each event is a row and a sum. */
export interface Shop {
  readonly address: ShopAddress;
  /** Runs an inbox on it, by a connection or a pool of its own. */
  run(chronicle: ChronicleWeaver, group: string, options?: InboxOptions, before?: Before): Promise<void>;
  /** The ids of the events that had an effect, as often as they had one, sorted. */
  effects(): Promise<string[]>;
  /** How many effects the account counts. */
  balance(): Promise<number>;
  notes(): Promise<Note[]>;
  /** Makes notes three days older, all of them or those for which the condition holds. */
  age(condition?: string): Promise<void>;
  /** Resolves once nothing is under way that processes at the address have left behind: a server ends what a killed client began. */
  quiet(): Promise<void>;
  sql(text: string): Promise<unknown[]>;
}

const SHOP_SQL = `
  CREATE TABLE effects (event_id TEXT);
  CREATE TABLE account (balance INTEGER);
  INSERT INTO account VALUES (0);`;
const EFFECT = 'INSERT INTO effects VALUES ';
const SUM = 'UPDATE account SET balance = balance + 1';

/** The effect, in each kind of database. */
export async function effectInPostgres(event: DeliveredEvent, tx: PostgresClient): Promise<void> {
  await tx.query(`${EFFECT}($1)`, [event.event_id]);
  await tx.query(SUM);
}

export function effectInSqlite(event: DeliveredEvent, database: SqliteDatabase): void {
  database.prepare(`${EFFECT}(?) RETURNING event_id`).get(event.event_id);
  database.exec(SUM);
}

async function postgresShop(t: TestContext): Promise<Shop> {
  const server = await sharedServer();
  const schema = `shop_${randomBytes(6).toString('hex')}`;
  const config = { connectionString: server.address(), options: `-c search_path=${schema}` };
  const application = { application_name: `processes of ${schema}` };
  const pool = new Pool({ ...config, max: 4 });
  t.after(() => pool.end());
  await pool.query(`CREATE SCHEMA ${schema}`);
  await pool.query(SHOP_SQL);
  const sql = async (text: string): Promise<unknown[]> => (await pool.query<object>(text)).rows;
  const run: Run = async (chronicle, group, options, before) => {
    const own = new Pool({ ...config, max: 4 });
    try {
      await inbox(
        chronicle,
        own,
        group,
        async (event, tx) => {
          await before(event);
          await effectInPostgres(event, tx);
        },
        options,
      );
    } finally {
      await own.end();
    }
  };
  const quiet = () =>
    until(
      () => 'the sessions of killed processes to end',
      async () => {
        const values = [application.application_name];
        const left = await pool.query('SELECT FROM pg_stat_activity WHERE application_name = $1', values);
        return left.rowCount === 0;
      },
    );
  return shopOf({ kind: 'postgres', config: { ...config, ...application } }, { sql, run, quiet });
}

async function sqliteShop(t: TestContext): Promise<Shop> {
  const path = join(tempFolder(t), 'shop.db');
  const database = new DatabaseSync(path, { timeout: 10_000 });
  t.after(() => database.close());
  database.exec(`PRAGMA journal_mode = WAL; ${SHOP_SQL}`);
  const sql = async (text: string): Promise<unknown[]> => database.prepare(text).all();
  const run: Run = async (chronicle, group, options, before) => {
    const own = new DatabaseSync(path);
    try {
      await inbox(
        chronicle,
        own,
        group,
        (event, tx) => {
          before(event);
          effectInSqlite(event, tx);
        },
        options,
      );
    } finally {
      own.close();
    }
  };
  return shopOf({ kind: 'sqlite', path }, { sql, run, quiet: async () => {} });
}

type Run = (
  chronicle: ChronicleWeaver,
  group: string,
  options: InboxOptions,
  before: Before,
) => Promise<void>;

function shopOf(address: ShopAddress, parts: Pick<Shop, 'sql' | 'quiet'> & { readonly run: Run }): Shop {
  const { sql, run, quiet } = parts;
  const aged = {
    postgres: "done_at - interval '3 days'",
    sqlite: "strftime('%Y-%m-%dT%H:%M:%fZ', done_at, '-3 days')",
  };
  return {
    address,
    sql,
    quiet,
    run: (chronicle, group, options = {}, before = () => {}) => run(chronicle, group, options, before),
    effects: async () => {
      const rows = (await sql('SELECT event_id FROM effects')) as { event_id: string }[];
      return rows.map(({ event_id: id }) => id).toSorted(byNumber);
    },
    balance: async () => {
      const [row] = (await sql('SELECT balance FROM account')) as [{ balance: number }];
      return row.balance;
    },
    notes: async () => {
      const rows = await sql(
        'SELECT event_id, event_offset, repeats FROM chronicle_inbox ORDER BY event_offset',
      );
      return (rows as Row[]).map(({ event_id, event_offset, repeats }) => ({
        event_id,
        event_offset: Number(event_offset),
        repeats,
      }));
    },
    age: async (condition = 'true') =>
      void (await sql(`UPDATE chronicle_inbox SET done_at = ${aged[address.kind]} WHERE ${condition}`)),
  };
}

function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** The databases that an inbox can be in. */
export const SHOPS: readonly (readonly [name: string, open: (t: TestContext) => Promise<Shop>])[] = [
  ['PostgreSQL', postgresShop],
  ['SQLite', sqliteShop],
];
