import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, TIMESTAMP_EXPECTED } from '@chronicleweaver/protocol';
import { TestServer, sharedServer } from '../../support/server.ts';
import { type Change, eventText, eventOfBytes, type Fault, Refusals } from '../../support/refusals.ts';

const refusals = new Refusals(sharedServer());

test('a NUL character in a name is refused, written as an escape or as a byte [EVT-3, P-6]', async () => {
  for (const name of ['event_id', 'topic', 'source'] as const) {
    for (const text of ['\\u0000', 'a\\u0000b', 'trailing\\u0000', '😀\\u0000']) {
      const fault: Fault = [name, 'contains a NUL character, which names must not contain'];
      await refusals.event(eventText({ [name]: `"${text}"` }), fault);
    }
    await refusals.body(eventText({ [name]: '"a\0b"' }), 400, 'invalid_json');
  }
  await refusals.body(eventText({ timestamp: '"2025-10-28\\u0000"' }), 422, 'invalid_event');
});

test('half a surrogate pair is refused everywhere [EVT-4, P-6]', async () => {
  for (const [text, half] of [
    ['\\ud800', 'd800'],
    ['\\uDBFF tail', 'dbff'],
    ['lead \\udc00', 'dc00'],
    ['\\udfff\\ud800', 'dfff'],
    ['\\ud83d\\ud83d\\ude00', 'd83d'],
    ['\\ud83d\\u0041', 'd83d'],
    ['\\ud83d\\n', 'd83d'],
    ['\\ud83dude00', 'd83d'],
  ] as const) {
    const message = `\\u${half} is half a surrogate pair, which text must not contain`;
    for (const name of ['event_id', 'topic', 'source']) {
      await refusals.event(eventText({ [name]: `"${text}"` }), [name, message]);
    }
    for (const payload of [
      `{"x":"${text}"}`,
      `{"${text}":0}`,
      `{"x":[[{"y":{"${text}":[]}}]]}`,
      `{"message":"${text}"}`,
    ]) {
      await refusals.event(eventText({ payload }), ['payload', message]);
    }
  }
});

test('an invalid or impossible time is refused and quoted [EVT-7, P-6]', async () => {
  const BAD = [
    'yesterday',
    'now',
    '1761645600',
    '1761645600.5',
    'NaN',
    '20251028',
    '20251028T100000Z',
    '2025-10',
    '2025',
    '10:00:00',
    '2025-W44-2',
    '2025-301',
    '28.10.2025',
    '10/28/2025',
    '2025/10/28',
    'Tue, 28 Oct 2025 10:00:00 GMT',
    '2025-02-29',
    '2025-02-30',
    '1900-02-29',
    '2025-04-31',
    '2025-00-10',
    '2025-13-01',
    '2025-01-00',
    '2025-01-32',
    '0000-00-00',
    '2025-10-28T24:00',
    '2025-10-28T24:00:00Z',
    '2025-10-28T25:00:00Z',
    '2025-10-28T10:60:00Z',
    '2025-10-28T10:00:61Z',
    '2025-10-28T10:00:60Z',
    '2025-10-28T10:58:60Z',
    '2025-10-28T99:99:99Z',
    '2025-10-28T',
    '2025-10-28T10',
    '2025-10-28T10Z',
    '2025-10-28T10:00:',
    '2025-10-28T10:00:00.',
    '2025-10-28T10:00.5',
    '2025-10-28Z',
    '2025-10-28T10:00:00+7',
    '2025-10-28T10:00:00+070',
    '2025-10-28T10:00:00+07:0',
    '2025-10-28T10:00:00+24:00',
    '2025-10-28T10:00:00+07:60',
    '2025-10-28T10:00:00ZZ',
    '2025-10-28T10:00:00 Z',
    '2025-10-28T10:00:00−07:00',
    '2025-10-28  10:00',
    '2025-10-28_10:00',
    ' 2025-10-28',
    '2025-10-28 ',
    '2025-10-28\n',
    '10000-01-01',
    '999-01-01',
    '-2025-10-28',
    '+2025-10-28',
    '+002025-10-28',
    '２０２５-10-28',
    '2025-1-1',
    '2025-10-28T1:00',
    '2025‐10‐28',
    '9'.repeat(64),
  ];
  for (const text of BAD) {
    const json = JSON.stringify(text);
    const message = `expected ${TIMESTAMP_EXPECTED}, got ${json}`;
    await refusals.event(eventText({ timestamp: json }), ['timestamp', message]);
    await refusals.event(eventText({ payload: `{"timestamp":${json}}` }), ['payload.timestamp', message]);
  }
  // A time of 65 characters, which would be valid except for its length.
  const long = `2025-10-28T10:00:00.${'0'.repeat(45)}`;
  await refusals.event(eventText({ timestamp: `"${long}"` }), [
    'timestamp',
    'expected 1 to 64 characters, got 65',
  ]);
  const message = `expected ${TIMESTAMP_EXPECTED}, got "${long.slice(0, 64)}…"`;
  await refusals.event(eventText({ payload: `{"timestamp":"${long}"}` }), ['payload.timestamp', message]);
});

test('events that only look invalid are accepted and returned as they were sent [EVT-1, EVT-2, EVT-3, EVT-6, EVT-7, EVT-8, EVT-9]', async (t) => {
  const server = await TestServer.start(t);
  const { payloadDepthMax, eventBytesMax, eventIdCharsMax, topicCharsMax, sourceCharsMax } = LIMITS;
  const deep = '['.repeat(payloadDepthMax - 1) + ']'.repeat(payloadDepthMax - 1);
  const changes: Change[] = [
    { payload: '{}' },
    {
      payload:
        '{"n":9007199254740993,"m":-0,"f":1.0,"e":1E+2,"huge":1e400,"long":3.14159265358979323846264338327950288}',
    },
    { payload: `{"digits":${'1234567890'.repeat(1000)}}` },
    { payload: '{"__proto__":{"polluted":true},"constructor":null,"toString":"x","":[]}' },
    { payload: '{"z":1,"a":2,"1":3,"0":4}' },
    { payload: '{"text":"\\u0000 \\ud83d\\ude00 \\/ \\u0041 \\"","\\u0061":0,"b":{"\\u0061":0}}' },
    { payload: '{"message":"","timestamp":"2025-10-28","nested":{"message":1,"timestamp":2}}' },
    { payload: '{"offset":-1,"received_at":"never","event_id":null}' },
    { payload: `{"deep":${deep}}` },
    { payload: `{"wide":[${Array.from({ length: 50_000 }, (_, i) => `{"${i}":{}}`).join()}]}` },
    { payload: `{${Array.from({ length: 50_000 }, (_, i) => `"${i}":${i}`).join()}}` },
    { topic: `"${'😀'.repeat(topicCharsMax)}"`, source: `"${'\\u0041'.repeat(sourceCharsMax)}"` },
    { topic: '" "', source: '"\\u0001\\t"' },
    { event_id: `"${'é'.repeat(eventIdCharsMax)}"` },
    { event_id: '"null"', topic: '"undefined"', source: '"[object Object]"' },
    ...[
      '2025-10-28',
      '0000-01-01',
      '9999-12-31T23:59:59.999999999Z',
      '2024-02-29',
      '2000-02-29T00:00',
      '2025-10-28T10:00',
      '2025-10-28 10:00:00',
      '2025-10-28t10:00:00z',
      '2025-10-28T10:00:00,5+0700',
      '2025-10-28T10:00:00.123456789-12:34',
      '2025-10-28T10:00-07',
      '2016-12-31T23:59:60Z',
      '2025-10-28T10:59:60+05:30',
      '0000-01-01T00:00:00+23:59',
      '2025-10-28T10:00:00-00:00',
      `2025-10-28T10:00:00.${'1'.repeat(44)}`,
    ].map((time) => ({ timestamp: `"${time}"`, payload: `{"timestamp":"${time}"}` })),
    { timestamp: '"2025\\u002d10-28"' },
  ];
  const texts = changes.map((change, i) => eventText({ event_id: `"taken-${i + 10}"`, ...change }));
  const spaced = texts.map((text) => text.replace('{', '{ \r\n\t').replace(/}$/, '\n}'));
  // Whitespace between tokens does not count, however much it is.
  spaced.push(`{${' '.repeat(eventBytesMax)}${eventOfBytes(eventBytesMax).slice(1)}`);
  texts.push(eventOfBytes(eventBytesMax));
  const response = await server.post(`{"events":[${spaced.join()}]}`);
  assert.equal(response.status, 200, await response.clone().text());

  const lines = await fetch(`${server.url}/events`, { headers: { accept: 'application/x-ndjson' } });
  const stored = (await lines.text()).trimEnd().split('\n');
  assert.deepEqual(
    stored.map((line) => line.replace(/,"offset":\d+,"received_at":"[^"]+"\}$/, '}')),
    texts,
  );
});
