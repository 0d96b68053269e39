import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { type EventStore, type PageQuery, START } from '../../src/store/event-store.ts';
import { STORES, TestClock } from './stores.ts';

type Suite = (behaviour: string, run: (store: EventStore, clock: TestClock) => Promise<void>) => void;

/** For each store, a function that tests a behaviour on it, with a fresh store and clock. */
export function storeSuites(): Suite[] {
  return Object.entries(STORES).map(([name, open]) => (behaviour, run) => {
    test(`${name}: ${behaviour}`, async (t) => {
      const clock = new TestClock(Date.now());
      let store: EventStore | undefined;
      t.after(() => store?.close());
      store = await open(t, clock);
      await run(store, clock);
    });
  });
}

/** All events of a query, read page by page. */
export async function all(store: EventStore, query: Partial<PageQuery> = {}): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  const { order = 'asc' } = query;
  let after: number | null = query.after ?? START[order];
  while (after !== null) {
    const page = await store.read({
      upTo: Number.MAX_SAFE_INTEGER,
      eventsMax: 1000,
      framing: 'array',
      ...query,
      order,
      after,
    });
    assert.ok(page.count <= (query.eventsMax ?? 1000));
    const read = JSON.parse(`[${Buffer.from(page.bytes).toString().slice(0, -1)}]`) as StoredEvent[];
    assert.equal(read.length, page.count);
    if (page.count > 0) assert.equal(read.at(-1)!.offset, page.lastOffset);
    events.push(...read);
    after = page.resumeAfter;
  }
  return events;
}
