import { DatabaseSync } from 'node:sqlite';
import { beside } from './postgres-server.ts';
import type { TestServer } from './server.ts';

/** What the change is in each store. In SQLite, `flipped` gives the same bytes except for one bit in the middle. */
interface Change {
  readonly sqlite: string;
  readonly postgres: string;
}

/** Changes what is stored behind the service's back, as a faulty disk or an operator's mistake does. */
export async function changeBehind(server: TestServer, { sqlite, postgres }: Change): Promise<void> {
  if (server.storeUrl === undefined) {
    using db = new DatabaseSync(server.databasePath);
    db.function('flipped', (bytes) => flipped(bytes as Uint8Array));
    db.exec(sqlite);
    return;
  }
  const closing: (() => unknown)[] = [];
  const client = await beside({ after: (close) => closing.push(close) }, server.storeUrl);
  await client.query(postgres);
  for (const close of closing) await close();
}

/** For PostgreSQL: the same bytes except for one bit in the middle. */
export function flippedIn(column: string): string {
  const middle = `octet_length(${column}) / 2`;
  return `set_byte(${column}, ${middle}, get_byte(${column}, ${middle}) # 1)`;
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[copy.length >> 1]! ^= 1;
  return copy;
}
