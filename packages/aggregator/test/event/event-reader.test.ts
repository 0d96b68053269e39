import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, parseTimestamp } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';
import { readEvents } from '../../src/event/event-reader.ts';
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

const EVENT = {
  event_id: 'e-1',
  topic: 'orders',
  source: 'web',
  payload: { message: 'hi', n: 1 },
  timestamp: '2025-10-28T10:00:00Z',
};

function batchOf(body: string): EventBatch {
  const read = readEvents(Buffer.from(body));
  assert.equal(read.kind, 'batch', JSON.stringify(read));
  return (read as { batch: EventBatch }).batch;
}

/** The errors as `index field: message`. */
function errorsOf(body: unknown): string[] {
  const read = readEvents(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  assert.equal(read.kind, 'invalid', JSON.stringify(read));
  if (read.kind !== 'invalid') return [];
  return read.errors.map(({ index, field, message }) => `${index} ${field}: ${message}`);
}

const eventWith = (change: Record<string, unknown>) => ({ ...EVENT, ...change });

test('a batch, an array and one bare event are read into the same parts [PUB-1]', () => {
  for (const body of [
    JSON.stringify({ events: [EVENT] }),
    JSON.stringify([EVENT]),
    JSON.stringify(EVENT),
    JSON.stringify(EVENT, null, 2),
  ]) {
    const batch = batchOf(body);
    assert.equal(batch.count, 1);
    assert.equal(partText(batch, 0, TEXT), JSON.stringify(EVENT));
    assert.equal(partText(batch, 0, EVENT_ID), 'e-1');
    assert.equal(partText(batch, 0, TOPIC), 'orders');
    assert.equal(partText(batch, 0, SOURCE), 'web');
    assert.equal(partText(batch, 0, TIMESTAMP), '2025-10-28T10:00:00Z');
    assert.equal(partText(batch, 0, PAYLOAD), '{"message":"hi","n":1}');
    assert.equal(batch.timesMs[0], Date.UTC(2025, 9, 28, 10));
  }
  assert.equal(batchOf('{"events":[]}').count, 0);
  assert.equal(batchOf('[]').count, 0);
});

test('many events with whitespace, escapes and members in any order keep their own parts [EVT-6]', () => {
  const events = Array.from({ length: 300 }, (_, i) => ({
    timestamp: '2025-10-28',
    payload: { i, text: 'a b "c" \\ é 😀' },
    topic: i % 3 === 0 ? 'tab\there' : 'plain',
    source: 'sö',
    event_id: `id "${i}"`,
  }));
  const batch = batchOf(JSON.stringify({ events }, null, 3));
  assert.equal(batch.count, 300);
  for (const [i, event] of events.entries()) {
    assert.equal(partText(batch, i, TEXT), JSON.stringify(event));
    assert.equal(partText(batch, i, EVENT_ID), event.event_id);
    assert.equal(partText(batch, i, TOPIC), event.topic);
    assert.equal(partText(batch, i, SOURCE), 'sö');
    assert.equal(partText(batch, i, PAYLOAD), JSON.stringify(event.payload));
  }
});

test('a name written with escapes is the same name [EVT-1]', () => {
  const body = JSON.stringify(EVENT)
    .replace('"topic"', '"\\u0074opic"')
    .replace('"orders"', '"\\u006frders"');
  assert.equal(partText(batchOf(body), 0, TOPIC), 'orders');
  assert.equal(batchOf(`{"\\u0065vents":[${JSON.stringify(EVENT)}]}`).count, 1);
});

test('missing, unknown and repeated fields are named [EVT-1]', () => {
  const { topic: _topic, payload: _payload, ...partial } = EVENT;
  assert.deepEqual(errorsOf({ events: [EVENT, partial] }), ['1 topic: is missing', '1 payload: is missing']);
  assert.deepEqual(errorsOf(eventWith({ level: 'info', meta: { message: 1 } })), [
    '0 level: unknown field',
    '0 meta: unknown field',
  ]);
  assert.deepEqual(errorsOf(JSON.stringify(EVENT).replace('{', '{"__proto__":{},')), [
    '0 __proto__: unknown field',
  ]);
  assert.deepEqual(errorsOf(JSON.stringify(EVENT).replace('}}', '}}').replace('{', '{"topic":"x",')), [
    '0 topic: appears twice',
  ]);
  assert.deepEqual(errorsOf({ events: [EVENT], extra: 1 }), ['null extra: unknown field']);
  assert.deepEqual(errorsOf('{"events":[],"events":[]}'), ['null events: appears twice']);
  assert.equal(errorsOf('{}').length, 5);
});

test('a value of the wrong type is reported with the expected and the actual type [EVT-1]', () => {
  assert.deepEqual(
    errorsOf(eventWith({ event_id: 7, topic: null, source: ['x'], payload: 'p', timestamp: true })),
    [
      '0 event_id: expected a string, got a number',
      '0 topic: expected a string, got null',
      '0 source: expected a string, got an array',
      '0 payload: expected an object, got a string',
      '0 timestamp: expected a string, got a boolean',
    ],
  );
  assert.deepEqual(errorsOf({ events: { a: 1 } }), [
    'null events: expected an array of events, got an object',
  ]);
  assert.deepEqual(errorsOf({ events: [1, EVENT, null] }), [
    '0 null: expected an event, got a number',
    '2 null: expected an event, got null',
  ]);
});

test('lengths are counted in characters, not in bytes [EVT-2]', () => {
  for (const [field, max] of [
    ['event_id', LIMITS.eventIdCharsMax],
    ['topic', LIMITS.topicCharsMax],
    ['source', LIMITS.sourceCharsMax],
  ] as const) {
    for (const char of ['x', 'é', '😀', '"']) {
      assert.equal(batchOf(JSON.stringify(eventWith({ [field]: char.repeat(max) }))).count, 1);
      assert.deepEqual(errorsOf(eventWith({ [field]: char.repeat(max + 1) })), [
        `0 ${field}: expected 1 to ${max} characters, got ${max + 1}`,
      ]);
    }
    assert.deepEqual(errorsOf(eventWith({ [field]: '' })), [
      `0 ${field}: expected 1 to ${max} characters, got 0`,
    ]);
  }
});

test('a NUL character is refused in a name and kept in a payload [EVT-3]', () => {
  assert.match(errorsOf(eventWith({ event_id: 'a\0b' })).join(), /NUL/);
  assert.match(errorsOf(eventWith({ topic: '\0' })).join(), /NUL/);
  assert.match(errorsOf(eventWith({ source: '\0' })).join(), /NUL/);
  assert.equal(
    partText(batchOf(JSON.stringify(eventWith({ payload: { x: '\0' } }))), 0, PAYLOAD),
    '{"x":"\\u0000"}',
  );
});

test('half a surrogate pair is refused everywhere [EVT-4]', () => {
  for (const [field, event] of [
    ['event_id', eventWith({ event_id: '\ud800' })],
    ['payload', eventWith({ payload: { deep: [{ x: 'a\udfff' }] } })],
    ['payload', eventWith({ payload: { '\ud83d': 1 } })],
    ['timestamp', eventWith({ timestamp: '2025-10-28\ud800' })],
  ] as const) {
    assert.match(errorsOf(event).join(), new RegExp(`0 ${field}: .*surrogate`));
  }
});

test('a repeated name in one object of a payload is refused [EVT-5]', () => {
  const body = JSON.stringify(eventWith({ payload: { deep: 'HERE' } })).replace('"HERE"', '{"a":1,"a":1}');
  assert.deepEqual(errorsOf(body), ['0 payload: the name "a" appears twice in one object']);
});

test('payload names that are special in JavaScript are kept unchanged [EVT-6]', () => {
  const payload = '{"__proto__":{"polluted":1},"constructor":2,"n":9007199254740993,"e":1E+2}';
  const body = JSON.stringify(EVENT).replace(JSON.stringify(EVENT.payload), payload);
  assert.equal(partText(batchOf(body), 0, PAYLOAD), payload);
});

test('a message must be a string and a timestamp a time, in the payload and in the event [EVT-7]', () => {
  assert.deepEqual(errorsOf(eventWith({ payload: { message: 1, timestamp: 5 } })), [
    '0 payload.message: expected a string, got a number',
    '0 payload.timestamp: expected a string, got a number',
  ]);
  for (const time of ['2025-02-30', 'yesterday', '', '2025-10-28T25:00:00Z', '20251028', '1761645600']) {
    assert.match(
      errorsOf(eventWith({ payload: { timestamp: time } })).join(),
      /0 payload\.timestamp: expected an ISO/,
    );
    assert.match(errorsOf(eventWith({ timestamp: time })).join(), /0 timestamp: expected/);
  }
  assert.equal(
    batchOf(JSON.stringify(eventWith({ payload: { deep: { message: 1, timestamp: 2 } } }))).count,
    1,
  );
});

test('a payload nested too deep is refused and named [EVT-8]', () => {
  const nested = (depth: number) =>
    JSON.stringify(EVENT).replace('1}', '['.repeat(depth) + ']'.repeat(depth) + '}');
  assert.equal(batchOf(`{"events":[${nested(LIMITS.payloadDepthMax - 1)}]}`).count, 1);
  const body = `{"events":[${JSON.stringify(EVENT)},${nested(LIMITS.payloadDepthMax)}]}`;
  assert.deepEqual(errorsOf(body), [`1 payload: is nested more than ${LIMITS.payloadDepthMax} deep`]);
});

test('an event above the size limit is refused, one of exactly the limit is accepted [EVT-9]', () => {
  const room = LIMITS.eventBytesMax - JSON.stringify(eventWith({ payload: { x: '' } })).length;
  assert.equal(batchOf(JSON.stringify(eventWith({ payload: { x: 'a'.repeat(room) } }))).count, 1);
  assert.match(errorsOf(eventWith({ payload: { x: 'a'.repeat(room + 1) } })).join(), /is 1048577 bytes long/);
});

test('a batch above the limit is refused as a whole, one of exactly the limit is accepted [PUB-4]', () => {
  const event = JSON.stringify(eventWith({ payload: {} }));
  const bodyOf = (count: number) => `{"events":[${Array.from({ length: count }, () => event).join()}]}`;
  assert.equal(batchOf(bodyOf(LIMITS.batchEventsMax)).count, LIMITS.batchEventsMax);
  assert.equal(readEvents(Buffer.from(bodyOf(LIMITS.batchEventsMax + 1))).kind, 'too_many');
});

test('of many errors the first hundred are listed and all are counted [ERR-3]', () => {
  const read = readEvents(Buffer.from(JSON.stringify({ events: Array.from({ length: 500 }, () => 1) })));
  assert.equal(read.kind === 'invalid' && read.errors.length, LIMITS.problemErrorsMax);
  assert.equal(read.kind === 'invalid' && read.errorsFound, 500);
});

test('a body that is not JSON and one that holds no events are refused in different ways [ERR-2]', () => {
  for (const body of ['', ' ', '{"events":[', '{"events":[]}x', '{"events" []}', 'null,', '{"a":1]']) {
    assert.equal(readEvents(Buffer.from(body)).kind, 'not_json', body);
  }
  assert.equal(batchOf(`\ufeff${JSON.stringify(EVENT)}`).count, 1);
});

test('the fast parser of times agrees with the slow one, even on almost valid times [EVT-7]', () => {
  const digit = fc.constantFrom(...Array.from('0123456789x'));
  const time = fc
    .tuple(
      fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
      fc.constantFrom('', '000', '1x3'),
      fc.constantFrom('Z', 'z', '+00:00'),
      fc.option(fc.tuple(fc.nat(26), digit)),
    )
    .map(([date, micros, zone, change]) => {
      const text = date.toISOString().slice(0, micros === '' ? 19 : 23) + micros + zone;
      return change === null ? text : text.slice(0, change[0]) + change[1] + text.slice(change[0] + 1);
    });
  fc.assert(
    fc.property(time, (timestamp) => {
      const read = readEvents(Buffer.from(JSON.stringify(eventWith({ timestamp }))));
      assert.equal(
        read.kind === 'batch' ? read.batch.timesMs[0] : undefined,
        parseTimestamp(timestamp)?.epochMs,
        timestamp,
      );
    }),
    { numRuns: 5000 },
  );
});
