export { inbox, type InboxOptions, type PostgresInboxOptions } from './inbox.ts';
export type {
  ClientOf,
  InboxContext,
  PostgresClient,
  PostgresHandler,
  PostgresPool,
  SqliteDatabase,
  SqliteHandler,
  SqliteStatement,
} from './databases.ts';
export type { Isolation } from './postgres.ts';
