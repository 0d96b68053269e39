import type { ClientBase } from 'pg';
import type { MoveMark } from '../move/move-mark.ts';

const PUT = `
  INSERT INTO move VALUES (1, $1, $2, $3, $4)
  ON CONFLICT (one) DO UPDATE SET role = excluded.role, name = excluded.name, log = excluded.log, other = excluded.other`;

/** What a move has left in the schema; null if none has. */
export async function markIn(client: ClientBase): Promise<MoveMark | null> {
  const { rows } = await client.query<MoveMark & Record<string, unknown>>(
    'SELECT role, name AS move, log, other FROM move',
  );
  return rows[0] ?? null;
}

export async function putMark(client: ClientBase, { role, move, log, other }: MoveMark): Promise<void> {
  await client.query(PUT, [role, move, log, other]);
}
