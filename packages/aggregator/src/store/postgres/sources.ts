import type { ClientBase } from 'pg';
import { noteOf } from '../audit-store.ts';
import { type KeptSource, type PutSource, type SourceStore, outcomeOfPut } from '../source-store.ts';
import { textArray } from './arrays.ts';
import type { PostgresAudit } from './audit/audit.ts';
import type { Sessions } from './sessions.ts';
import { transaction } from './transaction.ts';

const LIST = 'SELECT name, definition FROM source ORDER BY name';
const FIND = 'SELECT name, definition FROM source WHERE name = ANY ($1::text[])';
const BEFORE = `
  SELECT (SELECT definition FROM source WHERE name = $1) AS before, (SELECT count(*)::int FROM source) AS sources`;
const PUT = `
  INSERT INTO source VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET definition = excluded.definition`;
const REMOVE = 'DELETE FROM source WHERE name = $1';

/** Whoever puts a source holds the table, as one that is not there has no row to hold. Deliveries read on. */
const LOCK = 'LOCK TABLE source IN SHARE ROW EXCLUSIVE MODE';

/** No instance remembers a source: whatever one was answered, the next delivery to any of them goes by. */
export class PostgresSources implements SourceStore {
  readonly #sessions: Sessions;
  readonly #audit: PostgresAudit;

  constructor(sessions: Sessions, audit: PostgresAudit) {
    this.#sessions = sessions;
    this.#audit = audit;
  }

  list(): Promise<readonly KeptSource[]> {
    return this.#sessions.read(listSources);
  }

  async find(names: readonly string[]): Promise<readonly KeptSource[]> {
    const values = [textArray(names)];
    const { rows } = await this.#sessions.read((client) =>
      client.query<KeptSource>({ name: 'sources', text: FIND, values }),
    );
    return rows;
  }

  put(source: KeptSource, by: string | null): Promise<PutSource> {
    return transaction(this.#sessions, async (client) => {
      const outcome = await putSource(client, source);
      if (outcome === 'created' || outcome === 'changed')
        await this.#audit.noteWithin(client, [noteOf('source_set', by, { source: source.name })]);
      return outcome;
    });
  }

  remove(name: string, by: string | null): Promise<boolean> {
    return transaction(this.#sessions, async (client) => {
      const { rowCount } = await client.query(REMOVE, [name]);
      if (rowCount !== 1) return false;
      await this.#audit.noteWithin(client, [noteOf('source_deleted', by, { source: name })]);
      return true;
    });
  }
}

export async function listSources(client: ClientBase): Promise<KeptSource[]> {
  return (await client.query<KeptSource>(LIST)).rows;
}

/** In the caller's transaction. */
async function putSource(client: ClientBase, { name, definition }: KeptSource): Promise<PutSource> {
  await client.query(LOCK);
  const { rows } = await client.query<{ before: string | null; sources: number }>(BEFORE, [name]);
  const { before, sources } = rows[0]!;
  const outcome = outcomeOfPut(before ?? undefined, definition, sources);
  if (outcome === 'created' || outcome === 'changed') await writeSource(client, { name, definition });
  return outcome;
}

/** In the caller's transaction, however many there are. */
export async function writeSource(client: ClientBase, { name, definition }: KeptSource): Promise<void> {
  await client.query(PUT, [name, definition]);
}
