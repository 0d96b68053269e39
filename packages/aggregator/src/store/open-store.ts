import { type EventStore, StoreError, type StoreMessage } from './event-store.ts';
import { MemoryStore } from './memory/store.ts';
import { PostgresStore } from './postgres/store.ts';
import { SqliteStore } from './sqlite/store.ts';

/**
 * Opens the store that the address names: `sqlite:` and the path of its file, `postgres://` and a database, or `memory:`,
 * which keeps nothing and is for trying things out. Rejects with a StoreError `unusable` that says what to do.
 *
 * @param told called with the store's messages for the log
 */
export async function openStore(
  address: string,
  told: (message: StoreMessage) => void = () => {},
): Promise<EventStore> {
  const [scheme] = address.split(':', 1) as [string];
  const rest = address.slice(scheme.length + 1);
  switch (scheme) {
    case 'sqlite':
      return SqliteStore.open(rest, told);
    case 'postgres':
    case 'postgresql':
      return PostgresStore.open(address, told);
    case 'memory':
      return new MemoryStore();
    default:
      throw new StoreError(
        'unusable',
        `${scheme}: names no store: take sqlite: and the path of a file, or postgres://user@host/database`,
      );
  }
}
