import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import type { EventStore } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { newLog } from '../support/postgres-server.ts';
import { aStep, booksOf, logOf, taken } from '../support/store-steps.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Stores that keep what they hold over a restart: how one is opened, and makers of empty places for them. */
const LASTING: Readonly<
  Record<string, { readonly open: (place: string) => Promise<EventStore>; readonly places: Places }>
> = {
  SQLite: {
    open: (path) => SqliteStore.open(path),
    places: (t) => {
      const folder = tempFolder(t);
      let file = 0;
      return async () => join(folder, `${file++}.db`);
    },
  },
  PostgreSQL: {
    open: (address) => PostgresStore.open(address, undefined, { allowsLoss: true }),
    places: () => newLog,
  },
};
type Places = (t: TestContext) => () => Promise<string>;

for (const [name, { open, places }] of Object.entries(LASTING))
  test(`${name} answers and keeps the same as the reference, whatever is appended and let go of, with restarts in between [P-2, P-5, RET-3, RET-6, RET-7, DUP-2, DUP-4, DUP-5]`, async (t) => {
    const newPlace = places(t);
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            { weight: 15, arbitrary: aStep },
            { weight: 2, arbitrary: fc.constant('restart' as const) },
          ),
          { minLength: 8, maxLength: 24 },
        ),
        async (steps) => {
          const place = await newPlace();
          const reference = new MemoryStore();
          let store = await open(place);
          try {
            for (const step of steps) {
              if (step === 'restart') {
                await store.close();
                store = await open(place);
              } else assert.deepEqual(await taken(store, step), await taken(reference, step));
              assert.deepEqual(await booksOf(store), await booksOf(reference));
              assert.deepEqual(await repeatsOf(store), await repeatsOf(reference));
            }
            assert.deepEqual(await logOf(store), await logOf(reference));
          } finally {
            await store.close();
          }
        },
      ),
      // Few and long: opening a store costs more than a dozen steps.
      { numRuns: 12 },
    );
  });

/** What the store remembers of repeats, except for times, and so for ages. */
async function repeatsOf({ repeats }: EventStore): Promise<unknown> {
  const { duplicates, conflicts } = await repeats.ages({});
  const page = await repeats.conflicts({ before: null, limit: 1000 });
  const histories = [];
  for (const [topic, eventId] of [
    ['t', 'a'],
    ['u', 'b'],
    ['é', 'a'],
    ['t', '1'],
  ] as const) {
    const history = await repeats.history(topic, eventId);
    histories.push(history && { ...history, receivedMs: 0, repeats: history.repeats.map(untimed) });
  }
  return {
    duplicates: sum(duplicates),
    conflicts: sum(conflicts),
    texts: page.conflicts.map(untimed),
    histories,
    bySource: await repeats.repeaters({ by: 'source', sinceMs: null, limit: 10 }),
    byTopic: await repeats.repeaters({ by: 'topic', sinceMs: 0, limit: 10 }),
  };
}

function untimed<T extends { readonly receivedMs: number }>(one: T): T {
  return { ...one, receivedMs: 0 };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
