import assert from 'node:assert/strict';
import type { Event } from '@chronicleweaver/protocol';
import { readEvents } from '../../src/event/event-reader.ts';
import type { EventBatch } from '../../src/event/event-batch.ts';

/** A valid event; the given members replace its own. */
export function eventWith(change: Partial<Event> = {}): Event {
  return {
    event_id: 'e-1',
    topic: 'orders',
    source: 'web',
    payload: { message: 'order placed', amount: 12.5 },
    timestamp: '2025-10-28T10:00:00Z',
    ...change,
  };
}

/** `count` valid events with distinct ids. */
export function manyEvents(count: number, change: (index: number) => Partial<Event> = () => ({})): Event[] {
  return Array.from({ length: count }, (_, i) => eventWith({ event_id: `e-${i + 1}`, ...change(i) }));
}

/** The batch that the api makes from these events. */
export function batchOf(...events: Event[]): EventBatch {
  const read = readEvents(Buffer.from(JSON.stringify({ events })));
  assert.ok(read.kind === 'batch', JSON.stringify(read));
  return read.batch;
}
