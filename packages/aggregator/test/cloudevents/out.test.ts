import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cloudEventOf } from '../../src/cloudevents/out.ts';
import { eventsOf } from '../../src/cloudevents/events-of.ts';
import { readJsonFormat } from '../../src/cloudevents/json-format.ts';
import { TEXT, partText } from '../../src/event/event-batch.ts';
import { readEvents } from '../../src/event/event-reader.ts';
import { storedEventJson } from '../../src/store/stored-event.ts';
import { cloudEventWith } from '../support/cloud-events.ts';
import { eventWith } from '../support/events.ts';

const RECEIVED_MS = Date.UTC(2026, 0, 2);

/** The CloudEvent of a stored event with this text. */
function givenBack(text: string, offset = 7): string {
  return Buffer.from(cloudEventOf(Buffer.from(storedEventJson(text, offset, RECEIVED_MS)))).toString();
}

const ONE = { isBatch: false, isTopic: false };

/** The text of the event that a CloudEvent is stored as. */
function storedText(json: string, topic: string | null = null): string {
  const read = readJsonFormat(Buffer.from(json), ONE);
  assert.equal(read.kind, 'read', JSON.stringify(read));
  const body = readEvents(eventsOf(read.kind === 'read' ? read.events : [], topic));
  assert.equal(body.kind, 'batch', JSON.stringify(body));
  return body.kind === 'batch' ? partText(body.batch, 0, TEXT) : '';
}

test('what came as a CloudEvent is given back as it came [CE-6]', () => {
  for (const change of [
    {},
    { time: undefined, data: undefined },
    { id: 'é "\\ ', source: 'a b%', ext: 1e300, flag: false, subject: null },
    { data: { offset: ',"offset":1', cloudevent: cloudEventWith() } },
    { id: 'x'.repeat(600), source: 's'.repeat(300) },
  ]) {
    const json = JSON.stringify(cloudEventWith(change));
    assert.equal(givenBack(storedText(json)), json);
    assert.equal(givenBack(storedText(json, 'some topic')), json);
  }
  const digits = '{"type":"t","specversion":"1.0","id":"\\u0031","source":"/s","data":{"n":1.0,"b":1E+2}}';
  assert.equal(givenBack(storedText(digits)), digits);
});

test('whatever came as a CloudEvent comes back the same [CE-3, CE-6]', () => {
  const name = fc.string({ unit: 'binary', minLength: 1 }).map((text) => text.replace(/\p{Cc}/gu, '') || 'x');
  const event = fc.record({ id: name, source: name, type: name, data: fc.jsonValue({ maxDepth: 5 }) });
  fc.assert(
    fc.property(event, (one) => {
      const json = JSON.stringify({ specversion: '1.0', ...one });
      assert.equal(givenBack(storedText(json, 'topic')), json);
    }),
  );
});

test('an event of our own is mapped, with every digit of its payload [CE-7]', () => {
  const text =
    '{"event_id":"e-1","topic":"orders","source":"web","payload":{"n":1.0,"b":1E+2},"timestamp":"2025-10-28T10:00:00Z"}';
  assert.equal(
    givenBack(text),
    '{"specversion":"1.0","id":"e-1","source":"web","type":"orders","time":"2025-10-28T10:00:00Z",' +
      '"datacontenttype":"application/json","chronicleoffset":"7","chroniclereceived":"2026-01-02T00:00:00.000Z",' +
      '"data":{"n":1.0,"b":1E+2}}',
  );
});

test('a payload that only looks like a CloudEvent is mapped like any other [CE-6, CE-7]', () => {
  const event = cloudEventWith();
  for (const payload of [
    { cloudevent: event },
    { cloudevent: {} },
    { cloudevent: event, more: 1 },
    { cloudevent: [event] },
    { cloudevent: { ...event, time: 'now' } },
  ]) {
    const { data } = JSON.parse(givenBack(JSON.stringify(eventWith({ payload })))) as { data: unknown };
    assert.deepEqual(data, payload);
  }
  const same = eventWith({ event_id: '/shop 1', payload: { cloudevent: { ...event, time: 'now' } } });
  assert.equal((JSON.parse(givenBack(JSON.stringify(same))) as { id: string }).id, '/shop 1');
});

const TIMES: readonly [ours: string, theirs: string][] = [
  ['2025-10-28', '2025-10-28T00:00:00Z'],
  ['2025-10-28 10:05', '2025-10-28T10:05:00Z'],
  ['2025-10-28t10:05z', '2025-10-28T10:05:00Z'],
  ['2025-10-28T10:05:06,1234567890123', '2025-10-28T10:05:06.1234567890123Z'],
  ['2025-10-28T10:05:06+07', '2025-10-28T10:05:06+07:00'],
  ['2025-10-28T10:05-0730', '2025-10-28T10:05:00-07:30'],
  ['2016-12-31T23:59:60.5Z', '2016-12-31T23:59:60.5Z'],
  ['2025-10-28t10:05:06z', '2025-10-28T10:05:06Z'],
];

const SOURCES: readonly [ours: string, theirs: string][] = [
  ['web', 'web'],
  ['https://example.org/a?b=c#d', 'https://example.org/a?b=c#d'],
  ['urn:uuid:1', 'urn:uuid:1'],
  ['/a/b%20c', '/a/b%20c'],
  ['sensor 1/é', 'sensor%201/%C3%A9'],
  ['100%', '100%25'],
  ['1:2', '1%3A2'],
  ['a#b#c', 'a%23b%23c'],
];

test('times and sources are written as CloudEvents have them [CE-7]', () => {
  for (const [timestamp, time] of TIMES) {
    const event = JSON.stringify(eventWith({ timestamp }));
    assert.equal((JSON.parse(givenBack(event)) as { time: string }).time, time);
  }
  for (const [source, reference] of SOURCES) {
    const event = JSON.stringify(eventWith({ source }));
    assert.equal((JSON.parse(givenBack(event)) as { source: string }).source, reference);
  }
});
