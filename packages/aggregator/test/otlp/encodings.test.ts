import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { protobufOf } from '../../../../lab/otlp-protobuf.ts';
import { type EventBatch, TEXT, partText } from '../../src/event/event-batch.ts';
import { readEvents } from '../../src/event/event-reader.ts';
import { JsonSyntaxError } from '../../src/event/json-scanner.ts';
import { readJsonRequest } from '../../src/otlp/json-request.ts';
import { type LogRequest, UnreadableRequest } from '../../src/otlp/log-request.ts';
import { readProtobufRequest } from '../../src/otlp/protobuf-request.ts';
import { type RecordRules, eventsOf } from '../../src/otlp/record-events.ts';
import { TopicTemplate } from '../../src/event/topic-template.ts';
import { requests } from '../support/otlp-requests.ts';

const RULES: RecordRules = {
  topic: new TopicTemplate('logs.{service.name}'),
  idAttribute: 'log.record.uid',
  mayUse: () => true,
  bytesMax: Infinity,
};

/** What some work returns, and how often others could have had a turn. */
function done<T>(work: Generator<undefined, T>): { result: T; turns: number } {
  for (let turns = 0; ; turns++) {
    const step = work.next();
    if (step.done === true) return { result: step.value, turns };
  }
}

function textsOf(batch: EventBatch): string[] {
  return Array.from({ length: batch.count }, (_, i) => partText(batch, i, TEXT));
}

function eventTexts(request: LogRequest): string[] {
  const { result, turns } = done(eventsOf(request, RULES));
  assert.equal(turns, request.records);
  return textsOf(result.batch);
}

test('both encodings of any request make the same events, which /publish would take [OTLP-6, OTLP-8]', () => {
  let made = 0;
  fc.assert(
    fc.property(requests, (request) => {
      const { result: json, turns } = done(readJsonRequest(Buffer.from(JSON.stringify(request))));
      const texts = eventTexts(json);
      assert.equal(turns, json.records);
      const { result: protobuf } = done(readProtobufRequest(Buffer.from(protobufOf(request))));
      assert.deepEqual(eventTexts(protobuf), texts);
      const read = readEvents(Buffer.from(`[${texts.join()}]`));
      assert.ok(read.kind === 'batch', JSON.stringify(read));
      assert.deepEqual(textsOf(read.batch), texts);
      made += texts.length;
    }),
    { numRuns: 500 },
  );
  // Otherwise the test would prove little.
  assert.ok(made > 500, `${made} events`);
});

/** Blind changes of some bytes. */
const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    drop: fc.nat({ max: 3 }),
    put: fc.uint8Array({ maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 4 },
);

test('whatever bytes come, they are read, or refused as what they are not, and never harm [OTLP-4, P-6]', () => {
  const outcomes = { read: 0, refused: 0 };
  fc.assert(
    fc.property(requests, changes, fc.boolean(), (request, changed, isJson) => {
      let bytes = isJson ? Buffer.from(JSON.stringify(request)) : Buffer.from(protobufOf(request));
      for (const { at, drop, put } of changed) {
        const place = Math.floor(at * bytes.length);
        bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + drop)]);
      }
      // A body that claims to be JSON was checked before.
      if (isJson) bytes = Buffer.from(bytes.toString());
      let result: LogRequest;
      try {
        result = done(isJson ? readJsonRequest(bytes) : readProtobufRequest(bytes)).result;
      } catch (error) {
        assert.ok(error instanceof UnreadableRequest || error instanceof JsonSyntaxError, String(error));
        outcomes.refused += 1;
        return;
      }
      const texts = eventTexts(result);
      const read = readEvents(Buffer.from(`[${texts.join()}]`));
      assert.ok(read.kind === 'batch', JSON.stringify(read));
      outcomes.read += 1;
    }),
    { numRuns: 1500 },
  );
  assert.ok(outcomes.read > 100 && outcomes.refused > 100, JSON.stringify(outcomes));
});
