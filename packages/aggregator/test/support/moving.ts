import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type EventStore, StoreError } from '../../src/store/event-store.ts';
import { type MoveOptions, type MoveOutcome, move } from '../../src/store/move/move.ts';
import { openLogs } from '../../src/store/move/open-logs.ts';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { newLog } from './postgres-server.ts';
import { tempFolder } from './temp-folder.ts';

/** The stores that a log can be moved from and to: how the address of a new one is made. */
export const MOVABLE: Readonly<Record<string, (t: TestContext) => Promise<string>>> = {
  sqlite: async (t) => `sqlite:${join(tempFolder(t), 'events.db')}`,
  postgres: () => newLog(),
};

/** Opens a store as a service does; it is closed with the test if not before. */
export async function openAt(t: TestContext, address: string): Promise<EventStore> {
  const store = address.startsWith('sqlite:')
    ? await SqliteStore.open(address.slice('sqlite:'.length))
    : await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  return store;
}

/** Neither waits nor tells. */
export const QUIET: MoveOptions = {
  wait: false,
  fence: false,
  progress: () => {},
  waiting: () => {},
  signal: new AbortController().signal,
};

/** Moves as the program does. */
export async function moved(
  from: string,
  to: string,
  options: Partial<MoveOptions> = {},
): Promise<MoveOutcome> {
  const { source, target } = await openLogs({ from, to }, { allowsLoss: true });
  try {
    return await move(source, target, { ...QUIET, ...options });
  } finally {
    await source.close();
    await target.close();
  }
}

/** The one line that a service or a move ends with that cannot be started. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => assert.fail('it was not refused'),
    (cause: unknown) => cause,
  );
  assert.ok(error instanceof StoreError, String(error));
  assert.ok(!error.message.includes('\n'), error.message);
  return error.message;
}

/** Everything that a reader can see of a log. */
export async function everythingIn(store: EventStore) {
  const { lastOffset } = await store.snapshot({ order: 'asc', after: 0 });
  const events: string[] = [];
  for (let after: number | null = 0; after !== null;) {
    const page = await store.read({
      order: 'asc',
      after,
      upTo: lastOffset,
      eventsMax: 1000,
      framing: 'lines',
    });
    events.push(Buffer.from(page.bytes).toString());
    after = page.resumeAfter;
  }
  const { storedBytes, walBytes: _wal, ...books } = await store.stats();
  assert.ok(storedBytes > 0);
  const topics = await store.topics();
  return { events: events.join(''), books, topics, epochs: [...store.epochs] };
}
