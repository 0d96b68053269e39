import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventSchema, parseTimestamp } from '@chronicleweaver/protocol';
import { createPlan } from '../src/events.ts';

const DEFAULTS = { runId: 'run-1', count: 5000, duplicateRatio: 0.2, batchSize: 100, topics: 5 };

function bodyOf(options: Partial<typeof DEFAULTS> = {}): string {
  const plan = createPlan({ ...DEFAULTS, ...options });
  return JSON.stringify(Array.from(plan.order, (index) => plan.eventAt(index)));
}

test('the same run id makes the same bytes, and a different one makes different bytes', () => {
  assert.equal(bodyOf(), bodyOf());
  assert.notEqual(bodyOf(), bodyOf({ runId: 'run-2' }));
});

test('5000 events with 20 % duplicates are 4000 unique ones and 1000 repeats', () => {
  const plan = createPlan(DEFAULTS);
  const seen = new Set<number>();
  let duplicates = 0;
  for (const index of plan.order) {
    if (seen.has(index)) duplicates++;
    // An index first appears right after all lower ones, so any later appearance repeats an earlier event.
    else assert.equal(index, seen.size);
    seen.add(index);
  }
  assert.equal(plan.uniqueCount, 4000);
  assert.equal(seen.size, 4000);
  assert.equal(duplicates, 1000);
});

test('duplicates are spread over the run, within a batch and across batches', () => {
  const { order } = createPlan(DEFAULTS);
  const firstPlace = new Map<number, number>();
  let within = 0;
  let across = 0;
  let farthest = 0;
  const perTenth = Array.from({ length: 10 }, () => 0);
  for (const [place, index] of order.entries()) {
    const first = firstPlace.get(index);
    if (first === undefined) {
      firstPlace.set(index, place);
      continue;
    }
    perTenth[Math.floor(place / 500)]!++;
    if (Math.floor(first / 100) === Math.floor(place / 100)) within++;
    else across++;
    farthest = Math.max(farthest, place - first);
  }
  assert.ok(within > 100 && across > 100, `${within} within, ${across} across`);
  assert.ok(farthest > 2500, `at most ${farthest} places apart`);
  for (const count of perTenth) assert.ok(count > 50 && count < 150, `${count} of about 100 in a tenth`);
});

test('extreme shares of duplicates leave at least one unique event', () => {
  assert.equal(createPlan({ ...DEFAULTS, duplicateRatio: 0 }).uniqueCount, 5000);
  assert.equal(createPlan({ ...DEFAULTS, duplicateRatio: 0.9999999 }).uniqueCount, 1);
  assert.equal(createPlan({ ...DEFAULTS, count: 1 }).uniqueCount, 1);
});

test('the events are valid on the wire, and no two unique ones share an id', () => {
  const plan = createPlan({ ...DEFAULTS, topics: 20 });
  const ids = new Set<string>();
  const topics = new Set<string>();
  for (let index = 0; index < plan.uniqueCount; index++) {
    const event = plan.eventAt(index);
    assert.deepEqual(Object.keys(event).toSorted(), eventSchema.required.toSorted());
    assert.match(event.event_id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.notEqual(parseTimestamp(event.timestamp), undefined);
    assert.notEqual(parseTimestamp(event.payload.timestamp ?? ''), undefined);
    assert.equal(typeof event.payload.message, 'string');
    ids.add(event.event_id);
    topics.add(event.topic);
  }
  assert.equal(ids.size, 4000);
  assert.deepEqual([...topics].toSorted(), plan.topicNames.toSorted());
  assert.equal(topics.size, 20);
});

test('payloads vary as logs do', () => {
  const plan = createPlan(DEFAULTS);
  const events = Array.from({ length: 1000 }, (_, index) => plan.eventAt(index));
  const levels = new Set(events.map(({ payload }) => payload['level']));
  assert.deepEqual([...levels].map(String).toSorted(), ['debug', 'error', 'info', 'warn']);
  assert.ok(new Set(events.map(({ payload }) => payload.message)).size > 500);
});
