import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, parseTimestamp } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';
import { BatchWriter, TooManyBytes, type WrittenEvent, WrittenName } from '../../src/event/batch-writer.ts';
import {
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  TEXT,
  TIMESTAMP,
  TOPIC,
  partText,
} from '../../src/event/event-batch.ts';
import { readEvents } from '../../src/event/event-reader.ts';

const name = (max: number) =>
  fc
    .string({ unit: 'binary', minLength: 1, maxLength: 20 })
    .map((text) => text.replaceAll('\0', '_').slice(0, max));

const events: fc.Arbitrary<WrittenEvent> = fc
  .record({
    id: name(LIMITS.eventIdCharsMax),
    topic: name(LIMITS.topicCharsMax),
    source: name(LIMITS.sourceCharsMax),
    payload: fc.dictionary(fc.constantFrom('a', 'ü', '"'), fc.jsonValue({ maxDepth: 2 })),
    timestamp: fc
      .date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString()),
  })
  .map(({ id, topic, source, payload, timestamp }) => ({
    id: new WrittenName(id),
    topic: new WrittenName(topic),
    source: new WrittenName(source),
    payload: JSON.stringify(payload),
    timestamp,
    timeMs: parseTimestamp(timestamp)!.epochMs,
  }));

const PARTS = [TEXT, EVENT_ID, TOPIC, SOURCE, TIMESTAMP, PAYLOAD] as const;

function partsOf(batch: EventBatch): unknown[] {
  return Array.from({ length: batch.count }, (_, i) => [
    ...PARTS.map((part) => partText(batch, i, part)),
    batch.timesMs[i],
  ]);
}

test('a batch that is written is the batch that its text is read as', () => {
  fc.assert(
    fc.property(fc.array(events, { maxLength: 40 }), (all) => {
      const writer = new BatchWriter(Infinity);
      for (const event of all) assert.ok(writer.add(event));
      const written = writer.batch();
      const texts = Array.from({ length: written.count }, (_, i) => partText(written, i, TEXT));
      const read = readEvents(Buffer.from(`[${texts.join()}]`));
      assert.ok(read.kind === 'batch', JSON.stringify(read));
      assert.equal(written.count, all.length);
      assert.deepEqual(partsOf(written), partsOf(read.batch));
    }),
  );
});

const event = (payload: string): WrittenEvent => ({
  id: new WrittenName('1'),
  topic: new WrittenName('t'),
  source: new WrittenName('s'),
  payload,
  timestamp: '2025-10-28T10:00:00Z',
  timeMs: 0,
});

test('an event that is too large is left out, and too many bytes are refused', () => {
  const writer = new BatchWriter(LIMITS.eventBytesMax + 200);
  const around = new BatchWriter(Infinity);
  assert.ok(around.add(event('{}')));
  const room = LIMITS.eventBytesMax - around.batch().bytes.length - '"a":""'.length;
  assert.ok(!around.add(event(`{"a":"${'x'.repeat(room + 1)}"}`)));
  assert.ok(!writer.add(event(`{"a":"${'ü'.repeat(room / 2 + 1)}"}`)));
  assert.ok(writer.add(event(`{"a":"${'x'.repeat(room)}"}`)));
  assert.ok(writer.add(event('{}')));
  assert.equal(writer.batch().count, 2);
  assert.throws(() => writer.add(event(`{"a":"${'x'.repeat(200)}"}`)), TooManyBytes);
});

test('events that are too large are made only until they have as many bytes as a batch may have', () => {
  for (const payload of [
    `"${'x'.repeat(LIMITS.eventBytesMax)}"`,
    `"${'ü'.repeat(LIMITS.eventBytesMax - 2)}"`,
  ]) {
    const writer = new BatchWriter(5 * LIMITS.eventBytesMax);
    const addAll = (): void => {
      for (let i = 0; i < 10; i++) assert.ok(!writer.add(event(payload)));
    };
    assert.throws(addAll, TooManyBytes);
  }
});
