import type { DatabaseSync } from 'node:sqlite';
import { type KeptSource, type PutSource, outcomeOfPut } from '../source-store.ts';

const LIST = 'SELECT name, definition FROM source ORDER BY name';
const FIND = 'SELECT name, definition FROM source WHERE name IN (SELECT value FROM json_each(?))';
const COUNT = 'SELECT count(*) AS sources FROM source';
const PUT = 'INSERT OR REPLACE INTO source (name, definition) VALUES (?, ?)';
const REMOVE = 'DELETE FROM source WHERE name = ?';

/** The sources, in order of their names' bytes. */
export function sourcesIn(db: DatabaseSync): KeptSource[] {
  return db.prepare(LIST).all().map(sourceOf);
}

export function sourcesNamed(db: DatabaseSync, names: readonly string[]): KeptSource[] {
  return db.prepare(FIND).all(JSON.stringify(names)).map(sourceOf);
}

/** Within a transaction; as SourceStore's `put`. */
export function putSource(db: DatabaseSync, { name, definition }: KeptSource): PutSource {
  const count = Number(db.prepare(COUNT).get()!['sources']);
  const outcome = outcomeOfPut(sourcesNamed(db, [name])[0]?.definition, definition, count);
  if (outcome === 'created' || outcome === 'changed') writeSource(db, { name, definition });
  return outcome;
}

/** Within a transaction, however many there are. */
export function writeSource(db: DatabaseSync, { name, definition }: KeptSource): void {
  db.prepare(PUT).run(name, definition);
}

/** Returns whether there was one. */
export function removeSource(db: DatabaseSync, name: string): boolean {
  return db.prepare(REMOVE).run(name).changes > 0;
}

function sourceOf(row: Record<string, unknown>): KeptSource {
  return { name: String(row['name']), definition: String(row['definition']) };
}
