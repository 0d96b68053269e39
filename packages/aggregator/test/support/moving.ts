import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type EventStore, StoreError } from '../../src/store/event-store.ts';
import { type MoveOptions, type MoveOutcome, move } from '../../src/store/move/move.ts';
import type { SourceLog, TargetLog } from '../../src/store/move/moved-log.ts';
import { openLogs } from '../../src/store/move/open-logs.ts';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import { verifyDatabase } from '../../src/store/postgres/verify.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { verifyFile } from '../../src/store/sqlite/upkeep/verify.ts';
import { newLog } from './postgres-server.ts';
import type { TestClock } from './stores.ts';
import { tempFolder } from './temp-folder.ts';

/** The stores that a log can be moved from and to: how the address of a new one is made. */
export const MOVABLE: Readonly<Record<string, (t: TestContext) => Promise<string>>> = {
  sqlite: async (t) => `sqlite:${join(tempFolder(t), 'events.db')}`,
  postgres: () => newLog(),
};

/** Each pair of them. */
export const PAIRS = Object.entries(MOVABLE).flatMap(([from, source]) =>
  Object.entries(MOVABLE).map(([to, target]) => ({
    named: `from ${from} to ${to}`,
    source,
    target,
    isOther: from !== to,
  })),
);

/** Opens a store as a service does, with this clock or its own; it is closed with the test if not before. */
export async function openAt(t: TestContext, address: string, clock?: TestClock): Promise<EventStore> {
  const store = address.startsWith('sqlite:')
    ? await SqliteStore.open(address.slice('sqlite:'.length), undefined, { clock: clock?.shared })
    : await PostgresStore.open(address, undefined, { now: clock?.now, allowsLoss: true });
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

/** The log, with something in place of one of its calls. */
export function withCall<T extends SourceLog | TargetLog>(
  log: T,
  name: string,
  replaced: (call: () => unknown) => Promise<unknown>,
): T {
  return new Proxy(log, {
    get: (_, asked) => {
      const value: unknown = Reflect.get(log, asked);
      if (typeof value !== 'function') return value;
      const call = (value as (...args: unknown[]) => unknown).bind(log);
      return asked === name ? (...args: unknown[]) => replaced(() => call(...args)) : call;
    },
  });
}

/** Ends the move at a step, before it is done or after, as a kill does: both stores are let go of at once. */
export async function killed(from: string, to: string, step: string, isDone: boolean): Promise<void> {
  const { source, target } = await openLogs({ from, to }, { allowsLoss: true });
  const dies = async (call: () => unknown): Promise<never> => {
    if (isDone) await call();
    throw new Error('killed');
  };
  try {
    await assert.rejects(move(withCall(source, step, dies), withCall(target, step, dies), QUIET), /killed/);
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

/** What `verify` finds wrong. */
export async function problemsOf(address: string): Promise<readonly string[]> {
  if (!address.startsWith('sqlite:')) return (await verifyDatabase(address)).problems;
  return verifyFile(address.slice('sqlite:'.length)).problems;
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
