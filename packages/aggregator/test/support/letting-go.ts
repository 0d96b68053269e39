import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import type { EventStore } from '../../src/store/event-store.ts';
import type { Policy, RetentionStore } from '../../src/store/retention-store.ts';
import { TestServer } from './server.ts';
import { STORES, TestClock } from './stores.ts';

/** A policy of no bounds; the given members replace its own. */
export function policyWith(change: Partial<Policy> = {}): Policy {
  return {
    name: 'all',
    topics: ['>'],
    keep: 'events',
    maxAgeMs: null,
    maxBytes: null,
    maxEvents: null,
    idsMs: null,
    pastGroups: false,
    heldMaxMs: null,
    ...change,
  };
}

/** Makes events of the topics expired up to the offset; resolves with how many. */
export async function expireTo(
  retention: RetentionStore,
  upTo: number,
  ...patterns: string[]
): Promise<number> {
  for (let events = 0; ;) {
    const some = await retention.expire({ topicPatterns: [patterns.length === 0 ? ['>'] : patterns], upTo });
    events += some.events;
    if (some.isDone) return events;
  }
}

/** A service, and the store under it, whose events expire when a test says so. */
export interface LettingGo {
  readonly server: TestServer;
  readonly store: EventStore;
  readonly retention: RetentionStore;
}

/** Tests a behaviour of a service on every store. */
export function onEachStore(behaviour: string, run: (service: LettingGo) => Promise<void>): void {
  for (const [name, open] of Object.entries(STORES)) {
    test(`${name}: ${behaviour}`, async (t) => {
      const store = await open(t, new TestClock(Date.parse('2026-01-01T00:00:00Z')));
      const { retention } = store;
      const server = await TestServer.startOn(t, () => store);
      await run({ server, store, retention });
    });
  }
}

/** Publishes events, of which those at these offsets expire at once. */
export async function publishExpiring(
  { server, retention }: LettingGo,
  events: readonly Event[],
  isExpired: (offset: number) => boolean,
): Promise<void> {
  const { results } = await server.publish(...events);
  for (const { topic, event_id, offset } of results!) {
    if (isExpired(offset)) assert.ok(await retention.erase(topic, event_id, false));
  }
}
