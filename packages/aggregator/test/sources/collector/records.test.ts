import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { LIMITS } from '@chronicleweaver/protocol';
import { PAYLOAD, TEXT, partText } from '../../../src/event/event-batch.ts';
import { readEvents } from '../../../src/event/event-reader.ts';
import { Mapping, type MappingDefinition, mappingFaults } from '../../../src/sources/collector/mapping.ts';
import { eventsOf } from '../../../src/sources/collector/record-events.ts';
import { type ReadRecords, readRecords } from '../../../src/sources/collector/record-reader.ts';
import { timeOf } from '../../../src/sources/collector/record-time.ts';
import { partsOfEach } from '../../support/batch-parts.ts';

function read(body: string, definition: Partial<MappingDefinition> = {}): ReadRecords {
  const mapping = new Mapping({ topic: 'logs', source: 'app', ...definition });
  return readRecords(Buffer.from(body), mapping);
}

function textsOf(body: string, definition: Partial<MappingDefinition> = {}): string[] {
  const result = read(body, definition);
  assert.ok(result.kind === 'read', JSON.stringify(result));
  return Array.from({ length: result.records.count }, (_, i) => result.records.textOf(i));
}

function mapped(body: string, definition: Partial<MappingDefinition> = {}) {
  const full = { topic: 'logs', source: 'app', ...definition };
  assert.deepEqual(mappingFaults(full), []);
  const mapping = new Mapping(full);
  const result = readRecords(Buffer.from(body), mapping);
  assert.ok(result.kind === 'read', JSON.stringify(result));
  const work = eventsOf(result.records, mapping, Infinity);
  for (let turns = 0; ; turns++) {
    const step = work.next();
    if (step.done !== true) continue;
    assert.equal(turns, result.records.count);
    return step.value;
  }
}

function eventsIn(body: string, definition: Partial<MappingDefinition> = {}) {
  const result = mapped(body, definition);
  assert.ok(result.kind === 'batch', JSON.stringify(result));
  return partsOfEach(result.batch);
}

function errorsIn(body: string, definition: Partial<MappingDefinition> = {}): string[] {
  const result = mapped(body, definition);
  assert.ok(result.kind === 'invalid', JSON.stringify(result.kind));
  return result.errors.map(({ index, field, message }) => `${index} ${field}: ${message}`);
}

const A = '{"time":1,"a":1.50}';
const B = '{"time":2,"b":[1,{"c":18446744073709551616}]}';

test('a body may be one record, an array, lines, records with nothing in between, or wrapped in logs [COL-2]', () => {
  assert.deepEqual(textsOf(A), [A]);
  for (const body of [`[${A},${B}]`, `${A}\n${B}\n`, `${A}\r\n\r\n${B}`, `${A}${B}`, `[${A}]\n[${B}]`]) {
    assert.deepEqual(textsOf(body), [A, B], body);
    assert.deepEqual(textsOf(body.replaceAll(':', ' :\t').replaceAll(',', ' ,\n ')), [A, B], body);
  }
  assert.deepEqual(textsOf(`{"logs":[${A},${B}]}`), [A, B]);
  assert.deepEqual(textsOf(`{"\\u006cogs":[${A}]}{"logs":[${B}]}`), [A, B]);
  assert.deepEqual(textsOf('{"logs":[]}'), []);
  assert.deepEqual(textsOf('[]'), []);
});

test('an object with logs and something else is a record, and so is one whose logs are no array [COL-2]', () => {
  for (const body of [
    `{"logs":[${A},${B}],"time":3}`,
    `{"time":3,"logs":[${A}]}`,
    '{"logs":"none","time":3}',
    '{"logs":{"time":1}}',
  ]) {
    assert.deepEqual(textsOf(`${body}${A}`), [body, A], body);
  }
  // Fields are its own, not those of the records that it seemed to hold.
  const [event] = eventsIn(`{"logs":[{"time":1,"host":"inner"}],"time":3,"host":"outer"}`, {
    source: '{host}',
  });
  assert.deepEqual([event!.source, event!.timestamp], ['outer', '1970-01-01T00:00:03Z']);
});

test('records may be in a member that the mapping names; what stands beside it is passed over [COL-2]', () => {
  const definition = { records: 'batch' };
  const body = `{"sentAt":"now","batch":[${A},${B}],"x":{"batch":[1]}}`;
  assert.deepEqual(textsOf(body, definition), [A, B]);
  assert.deepEqual(textsOf(`[${A}]`, definition), [A]);
  const result = read('{"sentAt":"now"}', definition);
  assert.ok(result.kind === 'invalid');
  assert.equal(result.errors[0]!.field, 'batch');
});

test('what is no record is refused, each by its place [COL-7]', () => {
  const result = read(`[${A},1,"x",${B},{"a":1,"a":2},{"time":"\\ud800"}]`);
  assert.ok(result.kind === 'invalid');
  assert.deepEqual(
    result.errors.map(({ index, message }) => [index, message.slice(0, 28)]),
    [
      [1, 'expected an object, got a nu'],
      [2, 'expected an object, got a st'],
      [4, 'the name "a" appears twice i'],
      [5, '\\ud800 is half a surrogate p'],
    ],
  );
  for (const body of ['', ' \n', `${A}\n{"time":2,"b":[`, `[${A}`, `${A},${B}`, 'plain text', `[${A}]]`]) {
    assert.equal(read(body).kind, 'not_json', body);
  }
  const deep = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;
  assert.equal(read(`[${deep(97)}]`).kind, 'read');
  assert.equal(read(`{"logs":[${deep(97)}]}`).kind, 'read');
  assert.equal(read(`[${deep(98)}]`).kind, 'invalid');
});

test('a request holds as many records as a batch, also in a wrapper [COL-7]', () => {
  const records = (count: number) => `[${Array.from({ length: count }, () => '{}').join()}]`;
  const { batchEventsMax } = LIMITS;
  assert.equal(read(records(batchEventsMax)).kind, 'read');
  assert.equal(read(`{"logs":${records(batchEventsMax)}}`).kind, 'read');
  assert.equal(read(records(batchEventsMax + 1)).kind, 'too_many');
  assert.equal(read(`{"logs":${records(batchEventsMax + 1)}}`).kind, 'too_many');
});

test('names of events come from fields, at any depth, with defaults for those that are missing [COL-3]', () => {
  const record =
    '{"time":1,"app":{"name":"sh*p a","tags":["x"]},"a.b":"dotted","n":1.50,"ok":true,"null":null,"esc\\"":"q\\u0041"}';
  const topicOf = (topic: string) => eventsIn(record, { topic })[0]!.topic;
  assert.equal(topicOf('logs.{app.name}'), 'logs.sh_p_a');
  assert.equal(topicOf('logs.{/app/name}'), 'logs.sh_p_a');
  assert.equal(topicOf('{/a.b}.{n}.{ok}'), 'dotted.1.50.true');
  assert.equal(topicOf('{esc"}.x'), 'qA.x');
  assert.equal(topicOf('logs.{service|none}.{app|obj}.{app.tags|list}.{null|nil}'), 'logs.none.obj.list.nil');
  const inArray = '{"time":1,"list":[{"x":"inner"}],"x":[{"list":{"x":"inner"}}]}';
  assert.equal(eventsIn(inArray, { topic: '{list.x|none}' })[0]!.topic, 'none');
  assert.equal(eventsIn(record)[0]!.source, 'app');
  assert.equal(eventsIn(record, { source: '{app.name}@{n}' })[0]!.source, 'sh*p a@1.50');
  assert.deepEqual(errorsIn(`[${record},{"time":1}]`, { topic: 'logs.{service}' }), [
    '0 service: is missing, and "logs.{service}" needs it: give it a default, as in {service|unknown}, if it may be missing (topic)',
    '1 service: is missing, and "logs.{service}" needs it: give it a default, as in {service|unknown}, if it may be missing (topic)',
  ]);
});

test('the body of a record is kept digit by digit, and is all that a payload holds [COL-4]', () => {
  const record = '{"message":{"a":1},"timestamp":1e3,"big":123456789012345678901234567890,"f":1.0}';
  assert.equal(eventsIn(record)[0]!.payload, `{"body":${record}}`);
});

test('times are texts or numbers in any unit since 1970, with every digit [COL-5]', () => {
  const times: [string, string | undefined][] = [
    ['"2025-10-28T10:00:00.123456789+07:00"', '2025-10-28T10:00:00.123456789+07:00'],
    ['"2025-10-28 10:00"', '2025-10-28 10:00'],
    ['1761645600', '2025-10-28T10:00:00Z'],
    ['1761645600.120', '2025-10-28T10:00:00.120Z'],
    ['1761645600.123456789123', '2025-10-28T10:00:00.123456789123Z'],
    ['1761645600123', '2025-10-28T10:00:00.123Z'],
    ['1761645600123.5', '2025-10-28T10:00:00.1235Z'],
    ['1761645600123456', '2025-10-28T10:00:00.123456Z'],
    ['"1761645600123456789"', '2025-10-28T10:00:00.123456789Z'],
    ['1.761645600123E12', '2025-10-28T10:00:00.123Z'],
    ['1.7616456E9', '2025-10-28T10:00:00Z'],
    ['0', '1970-01-01T00:00:00Z'],
    ['0.5', '1970-01-01T00:00:00.5Z'],
    ['0.05', '1970-01-01T00:00:00.05Z'],
    ['007.25', '1970-01-01T00:00:07.25Z'],
    ['99999999999', '5138-11-16T09:46:39Z'],
    ['-1', undefined],
    ['1e99', undefined],
    ['123456789012345678901', undefined],
    [`1.${'1'.repeat(60)}`, undefined],
    ['"yesterday"', undefined],
    ['"2025-02-30"', undefined],
    ['"2025-10-28T10:00:00\\u005a"', undefined],
    ['null', undefined],
    ['true', undefined],
    ['[1]', undefined],
  ];
  for (const [json, text] of times) {
    const time = timeOf(json);
    assert.equal(time?.text, text, json);
    if (time !== undefined && !json.startsWith('"2025-10-28 ')) {
      assert.equal(time.ms, Date.parse(time.text), json);
    }
  }
});

test('without a mapping the time is where the common collectors put it; a field that is named must hold one [COL-5]', () => {
  for (const name of ['timestamp', '@timestamp', 'time', 'date', 'ts']) {
    assert.equal(eventsIn(`{"${name}":1761645600.5}`)[0]!.timestamp, '2025-10-28T10:00:00.5Z');
  }
  assert.equal(eventsIn('{"timestamp":"12 ms","time":1}')[0]!.timestamp, '1970-01-01T00:00:01Z');
  const named = { timestamp: 'a.t' };
  assert.equal(eventsIn('{"time":9,"a":{"t":1}}', named)[0]!.timestamp, '1970-01-01T00:00:01Z');
  assert.match(errorsIn('{"time":9}', named)[0]!, /^0 timestamp: is missing, and so is an id/);
  assert.deepEqual(errorsIn('{"a":{"t":"12 ms"},"time":1}', named), [
    '0 timestamp: expected a time or a number since 1970, got "12 ms"',
  ]);
});

test('a record without an id is known by its content, and equal ones of a request by their number [COL-6]', () => {
  const ids = eventsIn(`[${A},${B},${A},${A}]`).map(({ id }) => id);
  assert.equal(new Set(ids).size, 4);
  assert.deepEqual(ids.slice(2), [`${ids[0]}-2`, `${ids[0]}-3`]);
  assert.deepEqual(eventsIn(` { "time" : 1 , "a" : 1.50 } `)[0]!.id, ids[0]);
  // A change of these texts would let every retry that spans an upgrade be stored twice.
  assert.equal(ids[0], 'JZYZWs7CWyjf14YRNGX1WHQE-EOOYJt2');
});

test('fields may be named that tell records apart [COL-6]', () => {
  const digest = ['host', 'seq'];
  const records = [
    '"host":"a","seq":1,"try":1',
    '"host":"a","seq":2',
    '"host":"b","seq":1',
    '"seq":1',
    '"host":1',
  ];
  records.push('"host":12,"seq":3', '"host":1,"seq":23');
  const ids = records.map((record) => eventsIn(`{${record}}`, { digest })[0]!.id);
  assert.equal(new Set(ids).size, records.length);
  assert.equal(eventsIn('{"try":2,"seq":1,"host":"a"}', { digest })[0]!.id, ids[0]);
  assert.deepEqual(errorsIn('{"time":1}', { digest }), [
    '0 digest: none of the fields that tell records apart is there',
  ]);
});

test('an id may be made of fields; where it comes out empty, the digest counts [COL-6]', () => {
  const idOf = (record: string, id: string) => eventsIn(record, { id })[0]!.id;
  assert.equal(idOf('{"uid":"x-1","time":1}', '{uid}'), 'x-1');
  assert.equal(idOf('{"h":"a","n":18446744073709551616}', '{h}/{n}'), 'a/18446744073709551616');
  assert.equal(idOf('{"a":{"uid":7}}', '/a/uid'), '7');
  assert.equal(idOf(A, 'digest'), eventsIn(A)[0]!.id);
  assert.equal(idOf(A, '{uid|}'), eventsIn(A)[0]!.id);
  assert.match(errorsIn(A, { id: '{uid}' })[0]!, /^0 uid: is missing/);
  assert.match(errorsIn(`{"uid":"${'x'.repeat(513)}"}`, { id: '{uid}' })[0]!, /^0 id: is longer than 512/);
  assert.match(errorsIn('{"uid":"\\u0000"}', { id: '{uid}' })[0]!, /^0 id: contains a NUL/);
});

test('a record with neither id nor time is refused, for it would be one with all that are equal to it [COL-6]', () => {
  assert.match(errorsIn('{"message":"hello"}')[0]!, /^0 timestamp: is missing, and so is an id/);
  assert.equal(eventsIn('{"uid":"1"}', { id: '{uid}' })[0]!.timestamp, '1970-01-01T00:00:00Z');
});

test('a record that is too large for an event is refused with its place [COL-7]', () => {
  const fits = LIMITS.eventBytesMax - 200;
  const record = (bytes: number) => `{"time":1,"x":"${'x'.repeat(bytes)}"}`;
  assert.equal(eventsIn(record(fits)).length, 1);
  assert.match(errorsIn(`[${A},${record(fits + 200)}]`)[0]!, /^1 null: is too large/);
});

test('faults of a mapping are told by their field [COL-1]', () => {
  const faults = mappingFaults({
    topic: 'logs.{a',
    id: '{a..b}',
    source: 'x'.repeat(300),
    digest: ['/a~2', 'ok'],
    timestamp: '',
  });
  assert.deepEqual(
    faults.map(({ field }) => field),
    ['topic', 'source', 'id', 'digest', 'timestamp'],
  );
  for (const topic of ['{}', '{|x}', 'a}']) {
    assert.equal(mappingFaults({ topic, source: 'app' })[0]?.field, 'topic', topic);
  }
  assert.match(
    mappingFaults({ topic: 'logs', source: 'app', id: 'constant' })[0]!.message,
    /^names no field/,
  );
});

const records = fc.array(
  fc.record(
    {
      time: fc.nat(),
      host: fc.string({ unit: 'grapheme', maxLength: 20 }),
      x: fc.jsonValue({ maxDepth: 3 }),
    },
    { requiredKeys: ['time'] },
  ),
  { maxLength: 5 },
);
const spellings = fc.constantFrom(
  (list: string[]) => `[${list.join()}]`,
  (list: string[]) => list.map((one) => `${one}\n`).join('') || '[]',
  (list: string[]) => `{"logs":[${list.join(' , ')}]}`,
);

test('however records are sent, they make the same events, which /publish would take [COL-2, COL-4]', () => {
  fc.assert(
    fc.property(records, spellings, (list, spelling) => {
      const texts = list.map((record) => JSON.stringify(record));
      const definition = { topic: 'logs.{host|none}', source: '{host|none}' };
      const result = mapped(spelling(texts), definition);
      assert.ok(result.kind === 'batch', JSON.stringify(result));
      const { batch } = result;
      const events = Array.from({ length: batch.count }, (_, i) => partText(batch, i, TEXT));
      const again = readEvents(Buffer.from(`[${events.join()}]`));
      assert.ok(again.kind === 'batch', JSON.stringify(again));
      assert.equal(again.batch.count, list.length);
      assert.deepEqual([...again.batch.timesMs], [...batch.timesMs]);
      for (const [i, text] of texts.entries()) assert.equal(partText(batch, i, PAYLOAD), `{"body":${text}}`);
    }),
    { numRuns: 300 },
  );
});
