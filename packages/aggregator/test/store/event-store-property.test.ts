import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { EventBatch } from '../../src/event/event-batch.ts';
import { type EventStore, START } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { batchOf, eventWith } from '../support/events.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Few ids, topics and contents, so that duplicates and conflicts abound, within batches and across them. */
const anEvent = fc
  .record({
    event_id: fc.constantFrom('a', 'b', 'c', 'd', '1', '2', 'ü', '"'),
    topic: fc.constantFrom('t', 'u', 'é'),
    source: fc.constantFrom('web', 'app'),
    payload: fc.constantFrom({}, { message: 'x' }, { n: 1 }),
    timestamp: fc.constantFrom('2025-10-28', '2025-10-29T00:00:00Z'),
  })
  .map(eventWith);
const anAppend = fc.array(fc.array(anEvent, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
const aStep = fc.oneof(
  { weight: 9, arbitrary: anAppend },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
);

test('SQLite answers and keeps the same as the reference, whatever is appended, with restarts in between [P-2, P-5]', async (t) => {
  const folder = tempFolder(t);
  let file = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { minLength: 8, maxLength: 24 }), async (steps) => {
      const path = join(folder, `${file++}.db`);
      const reference = new MemoryStore();
      let store = await SqliteStore.open(path);
      try {
        for (const step of steps) {
          if (step === 'restart') {
            await store.close();
            store = await SqliteStore.open(path);
          } else {
            const batches = () => step.map((events) => batchOf(...events));
            assert.deepEqual(await verdictsOf(store, batches()), await verdictsOf(reference, batches()));
          }
          assert.deepEqual(await booksOf(store), await booksOf(reference));
        }
        assert.deepEqual(await logOf(store), await logOf(reference));
      } finally {
        await store.close();
      }
    }),
    // Few and long: opening a store costs more than a dozen steps.
    { numRuns: 12 },
  );
});

/** What became of each batch, except for the time of the commit. */
async function verdictsOf(store: EventStore, batches: EventBatch[]): Promise<unknown> {
  return (await store.append(batches)).map((result) => ({ ...result, receivedMs: 0 }));
}

async function booksOf(store: EventStore): Promise<unknown> {
  const { storedBytes: _, ...stats } = await store.stats();
  assert.equal(stats.received, stats.accepted + stats.duplicates);
  return { stats, topics: await store.topics() };
}

/** All events, except for the time of their commit. */
async function logOf(store: EventStore): Promise<string[]> {
  const page = await store.read({
    order: 'asc',
    after: START.asc,
    upTo: 1e9,
    eventsMax: 1e9,
    framing: 'lines',
  });
  return Buffer.from(page.bytes)
    .toString()
    .split('\n')
    .map((line) => line.replace(/"received_at":"[^"]*"/, ''));
}
