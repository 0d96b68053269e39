import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { EventBatch } from '../../src/event/event-batch.ts';
import { type EventStore, START } from '../../src/store/event-store.ts';
import { batchOf, eventWith } from './events.ts';
import { expireTo, policyWith } from './letting-go.ts';

// Random steps of tests that compare a store with the reference.

export const TOPICS = ['t', 'u', 'é'] as const;
export const IDS = ['a', 'b', 'c', 'd', '1', '2', 'ü', '"'] as const;

/** Few ids, topics and contents, so that duplicates and conflicts abound, within batches and across them. */
const anEvent = fc
  .record({
    event_id: fc.constantFrom(...IDS),
    topic: fc.constantFrom(...TOPICS),
    source: fc.constantFrom('web', 'app'),
    payload: fc.constantFrom({}, { message: 'x' }, { n: 1 }),
    timestamp: fc.constantFrom('2025-10-28', '2025-10-29T00:00:00Z'),
  })
  .map(eventWith);
const anAppend = fc.array(fc.array(anEvent, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
const anExpiry = fc.record({
  topics: fc.subarray([...TOPICS], { minLength: 1 }),
  /** Of the offsets so far. */
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});
const anErasure = fc.record({
  topic: fc.constantFrom(...TOPICS),
  eventId: fc.constantFrom('a', 'b', '1'),
  isForgotten: fc.boolean(),
});
const aPolicy = fc.record({ bareTopics: fc.subarray(['t', 'u']) });
/** An append of several batches, or letting go of something. */
export const aStep = fc.oneof(
  { weight: 9, arbitrary: anAppend },
  { weight: 2, arbitrary: anExpiry },
  { weight: 3, arbitrary: anErasure },
  { weight: 1, arbitrary: aPolicy },
);
type Step = typeof aStep extends fc.Arbitrary<infer S> ? S : never;
type LettingGo = Exclude<Step, readonly unknown[]>;

/** Does the step, and returns what came of it, without times. */
export async function taken(store: EventStore, step: Step): Promise<unknown> {
  if (!Array.isArray(step)) return await letGo(store, step);
  return await verdictsOf(
    store,
    step.map((events) => batchOf(...events)),
  );
}

/** What became of each batch, except for the time of the commit. */
async function verdictsOf(store: EventStore, batches: EventBatch[]): Promise<unknown> {
  return (await store.append(batches)).map((result) => ({ ...result, receivedMs: 0, syncMs: 0 }));
}

/** The counts of the log and its topics. */
export async function booksOf(store: EventStore): Promise<unknown> {
  const { storedBytes: _, walBytes: __, ...stats } = await store.stats();
  assert.equal(stats.received, stats.accepted + stats.duplicates);
  const topics = await store.topics();
  return {
    stats,
    topics,
  };
}

/** Does what the step says, and returns what came of it. */
async function letGo(store: EventStore, step: LettingGo): Promise<unknown> {
  const retention = store.retention;
  if ('bareTopics' in step) {
    if (step.bareTopics.length === 0) return await retention.remove('bare');
    return await retention.put(policyWith({ name: 'bare', topics: step.bareTopics, keep: 'ids' }));
  }
  if ('share' in step) {
    const { lastOffset } = await store.snapshot({ order: 'asc', after: 0 });
    return await expireTo(retention, Math.floor(step.share * lastOffset), ...step.topics);
  }
  const { receivedMs: _, ...erased } = (await retention.erase(
    step.topic,
    step.eventId,
    step.isForgotten,
  )) ?? {
    receivedMs: 0,
  };
  return erased;
}

/** All events, except for the time of their commit. */
export async function logOf(store: EventStore): Promise<string[]> {
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
