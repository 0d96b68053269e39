import type { ClientBase } from 'pg';
import type { MoveMark } from '../../move/move-mark.ts';

const TABLES = `
  SELECT quote_ident(relname) AS name FROM pg_class
  WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname <> 'move' ORDER BY relname`;

const REFUSE = `
  CREATE OR REPLACE FUNCTION refuse_moved() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION USING MESSAGE = (
      SELECT CASE role WHEN 'moved' THEN 'the log was moved to ' ELSE 'the log is being filled by a move from ' END || other
      FROM move);
  END $$`;

/** Whoever names the move in a setting of the session is let through. */
const FENCE = (table: string, move: string) => `
  CREATE TRIGGER moved BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${table} FOR EACH STATEMENT
  WHEN (current_setting('chronicleweaver.move', true) IS DISTINCT FROM '${move}') EXECUTE FUNCTION refuse_moved()`;

/**
 * Makes writes wait until the transaction ends, those of everybody and to all tables: instances that run know nothing of a
 * move, and whatever they write, they write in tables. What was under way is done when this returns.
 */
export async function lockTables(client: ClientBase): Promise<void> {
  await client.query(`LOCK TABLE ${(await tablesOf(client)).join()} IN SHARE ROW EXCLUSIVE MODE`);
}

/** From the end of the transaction on, refuses every write to any table but the move's own. */
export async function raiseFence(client: ClientBase, { move }: MoveMark): Promise<void> {
  if (!/^[\da-f]+$/.test(move))
    throw new Error(`a move's name has hexadecimal digits alone, but this is ${move}`);
  await dropFence(client);
  await client.query(REFUSE);
  for (const table of await tablesOf(client)) await client.query(FENCE(table, move));
}

export async function dropFence(client: ClientBase): Promise<void> {
  for (const table of await tablesOf(client)) await client.query(`DROP TRIGGER IF EXISTS moved ON ${table}`);
  await client.query('DROP FUNCTION IF EXISTS refuse_moved()');
}

/** Lets the session pass the fence of this move. */
export async function passFence(client: ClientBase, { move }: MoveMark): Promise<void> {
  await client.query("SELECT set_config('chronicleweaver.move', $1, false)", [move]);
}

async function tablesOf(client: ClientBase): Promise<string[]> {
  return (await client.query<{ name: string }>(TABLES)).rows.map(({ name }) => name);
}
