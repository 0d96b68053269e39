import { DatabaseSync } from 'node:sqlite';
import { Pool } from 'pg';
import { type PostgresClient, type SqliteDatabase, inbox } from '../../src/inbox/index.ts';
import { ChronicleWeaver } from '../../src/index.ts';
import { type ShopAddress, effectInPostgres, effectInSqlite } from './inbox-shops.ts';
import { pathOfRequest } from './request-path.ts';

/**
 * A worker with an inbox, in a process of its own: `node inbox-worker.ts JSON`. It works until it is killed, or until it comes
 * to its step for the given time: there it kills itself, so that nothing else happens after that step.
 */
export interface WorkerOptions {
  readonly url: string;
  readonly group: string;
  readonly shop: ShopAddress;
  readonly transactionEventsMax: number;
  /** Where it dies; nowhere by itself without. */
  readonly step: string | null;
  /** At which time that it comes there, from 1. */
  readonly time: number;
}

const { url, group, shop, transactionEventsMax, step, time } = JSON.parse(process.argv[2]!) as WorkerOptions;
let times = 0;

function at(name: string): void {
  if (name !== step || ++times < time) return;
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}

/** What a statement is for; undefined for those that come only at a start. */
function nameOf(sql: string): string | undefined {
  const names: readonly [RegExp, string][] = [
    [/^BEGIN/, 'begin'],
    [/^INSERT INTO "chronicle_inbox"/, 'note'],
    [/^INSERT INTO effects/, 'effect'],
    [/^UPDATE account/, 'sum'],
    [/^COMMIT/, 'commit'],
    [/^SELECT event_offset/, 'look for old rows'],
    [/^DELETE/, 'remove'],
  ];
  return names.find(([pattern]) => pattern.test(sql))?.[1];
}

const chronicle = new ChronicleWeaver({
  url,
  backoffMinMs: 1,
  fetch: async (input, init) => {
    const name = pathOfRequest(input).split('/').at(-1)!;
    at(`before ${name}`);
    const response = await fetch(input, init);
    at(`after ${name}`);
    return response;
  },
});
const options = { concurrency: 8, transactionEventsMax, nackDelayMs: () => 0 };

if (shop.kind === 'postgres') {
  const pool = new Pool({ ...shop.config, max: 3 });
  const connect = async (): Promise<PostgresClient> => {
    at('before connect');
    const client: PostgresClient = await pool.connect();
    at('after connect');
    const query = async (sql: string, values?: unknown[]) => {
      const name = nameOf(sql);
      at(`before ${name}`);
      const answer = client.query(sql, values);
      // The statement is on its way; whether it will be done nobody here will ever know.
      at(`during ${name}`);
      const result = await answer;
      at(`after ${name}`);
      return result;
    };
    return new Proxy(client, {
      get: (target, name) => {
        if (name === 'query') return query;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  await inbox(chronicle, { connect }, group, effectInPostgres, options);
} else {
  const database = new DatabaseSync(shop.path, { timeout: 100 });
  const around = <T>(sql: string, work: () => T): T => {
    at(`before ${nameOf(sql)}`);
    const result = work();
    at(`after ${nameOf(sql)}`);
    return result;
  };
  const traced: SqliteDatabase = {
    exec: (sql) => around(sql, () => database.exec(sql)),
    prepare: (sql) => {
      const statement = database.prepare(sql);
      return {
        get: (...values) => around(sql, () => statement.get(...values)),
        all: (...values) => around(sql, () => statement.all(...values)),
      };
    },
  };
  await inbox(chronicle, traced, group, effectInSqlite, options);
}
