import { PostgresServer } from './postgres-server.ts';

/**
 * Where services that tests start keep their log: TEST_STORE=postgres gives each a log of its own on one PostgreSQL, which
 * all services of this process share; otherwise each has a file.
 */
export const STORE = process.env['TEST_STORE'] === 'postgres' ? 'postgres' : 'sqlite';

let server: Promise<PostgresServer> | undefined;

/** The settings of a service with an empty log; none for a file. */
export async function emptyLog(): Promise<Readonly<Record<string, string>>> {
  if (STORE === 'sqlite') return {};
  // As it is used: services refuse a server that could lose what it confirmed.
  server ??= PostgresServer.start({ settings: { max_connections: '500' } });
  return { STORE_URL: (await server).newLog() };
}
