import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS, type FieldError, type Problem, TIMESTAMP_EXPECTED } from '@chronicleweaver/protocol';
import { booksOf } from '../../support/books.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn } from '../../support/server.ts';

/** The JSON texts of a valid event's fields; bad ones are put in as text, since JSON.stringify could not write them. */
const FIELDS = {
  event_id: '"e-1"',
  topic: '"orders"',
  source: '"web"',
  payload: '{"n":1}',
  timestamp: '"2025-10-28T10:00:00Z"',
};
type Change = Partial<Record<keyof typeof FIELDS, string | null>>;

/** The text of an event with these texts for its fields (null: without it), and members behind them. */
function eventText(change: Change = {}, ...more: string[]): string {
  const fields = Object.entries({ ...FIELDS, ...change }).filter(([, text]) => text !== null);
  return `{${[...fields.map(([name, text]) => `"${name}":${text}`), ...more].join(',')}}`;
}

/** An event of exactly this many bytes, in characters of two bytes where it can. */
function eventOfBytes(bytes: number): string {
  const room = bytes - eventText({ payload: '{"x":""}' }).length;
  return eventText({ payload: `{"x":"${'é'.repeat(room / 2)}${room % 2 === 1 ? 'e' : ''}"}` });
}

const VALID = eventText();

/** What is wrong with one event: field and message. */
type Fault = [field: string | null, message: string];

/** A server with an event in it, of whose store nothing may change. */
class Refusals {
  readonly #server: TestServer;
  readonly #before: Record<string, unknown>;

  private constructor(server: TestServer, before: Record<string, unknown>) {
    this.#server = server;
    this.#before = before;
  }

  static async start(t: TestContext): Promise<Refusals> {
    const server = await TestServer.start(t);
    await server.publish(eventWith({ event_id: 'kept' }));
    return new Refusals(server, await booksOf(server));
  }

  /** Posts the body, which must be refused like this and must change nothing [P-6]. */
  async body(body: string | Uint8Array, status: number, code: string): Promise<Problem> {
    const problem = await problemIn(await this.#server.post(body), status, code);
    assert.deepEqual(await booksOf(this.#server), this.#before);
    return problem;
  }

  /** The body is JSON, and these are all its faults. */
  async errors(body: string, errors: [index: number | null, ...Fault][]): Promise<void> {
    const problem = await this.body(body, 422, 'invalid_event');
    const expected = errors.map(([index, field, message]): FieldError => ({ index, field, message }));
    assert.deepEqual(problem.errors, expected, excerpt(body));
    const [index, field, message] = errors[0]!;
    const place = [index === null ? [] : `event ${index}`, field || []].flat().join(', ');
    const more = errors.length > 1 ? ` (the first of ${errors.length} errors)` : '';
    assert.equal(problem.detail, `${place}: ${message}${more}; nothing was stored`);
  }

  /** The event has these faults, whether it comes alone or behind good ones, which are not stored either [P-3]. */
  async event(event: string, ...faults: Fault[]): Promise<void> {
    await this.errors(`{"events":[${VALID},${eventText({ event_id: '"e-2"' })},${event}]}`, at(2));
    // What stands first in a bare event decides whether it is one.
    if (event.startsWith('{') && !event.startsWith('{"events"')) await this.errors(event, at(0));

    function at(index: number): [number, ...Fault][] {
      return faults.map((fault) => [index, ...fault]);
    }
  }
}

function excerpt(body: string): string {
  return body.length <= 200 ? body : `${body.slice(0, 100)}…${body.slice(-100)}`;
}

test('a missing field is told by its name [EVT-1, ERR-3, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  for (const name of Object.keys(FIELDS)) {
    await refusals.event(eventText({ [name]: null }), [name, 'is missing']);
    await refusals.event(
      eventText({ [name]: null }, `"${name.toUpperCase()}":"x"`),
      [name.toUpperCase(), 'unknown field'],
      [name, 'is missing'],
    );
  }
  await refusals.event(
    eventText({ topic: null, payload: null }),
    ['topic', 'is missing'],
    ['payload', 'is missing'],
  );
  await refusals.event('{}', ...Object.keys(FIELDS).map((name): Fault => [name, 'is missing']));
});

test('a value of another type is told with what was expected and what came [EVT-1, ERR-3, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  const TYPES = {
    'a number': ['0', '-1.5e3', '9007199254740993'],
    null: ['null'],
    'a boolean': ['true', 'false'],
    'an array': ['[]', '["x"]'],
    'an object': ['{}', '{"topic":"x"}'],
    'a string': ['"x"'],
  };
  for (const name of Object.keys(FIELDS)) {
    const takes = name === 'payload' ? 'an object' : 'a string';
    for (const [found, texts] of Object.entries(TYPES)) {
      if (found === takes) continue;
      for (const text of texts) {
        await refusals.event(eventText({ [name]: text }), [name, `expected ${takes}, got ${found}`]);
      }
    }
  }
  for (const [found, texts] of Object.entries(TYPES)) {
    for (const text of texts) {
      if (found !== 'a string') {
        await refusals.event(eventText({ payload: `{"message":${text}}` }), [
          'payload.message',
          `expected a string, got ${found}`,
        ]);
        await refusals.event(eventText({ payload: `{"timestamp":${text}}` }), [
          'payload.timestamp',
          `expected a string, got ${found}`,
        ]);
      }
      if (found === 'an object') continue;
      await refusals.event(text, [null, `expected an event, got ${found}`]);
      await refusals.errors(text, [[null, null, `expected {"events":[…]} or one event, got ${found}`]]);
      if (found === 'an array') continue;
      await refusals.errors(`{"events":${text}}`, [
        [null, 'events', `expected an array of events, got ${found}`],
      ]);
    }
  }
  await refusals.errors(`{"events":{"0":${VALID}}}`, [
    [null, 'events', 'expected an array of events, got an object'],
  ]);
  await refusals.errors(`[${VALID}]`, [[null, null, 'expected {"events":[…]} or one event, got an array']]);
  await refusals.errors(`{"events":[[${VALID}]]}`, [[0, null, 'expected an event, got an array']]);
});

test('a field that is not in the table is told by its name [EVT-1, PUB-1, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  for (const [json, name] of [
    ['level', 'level'],
    ['', ''],
    ['topic ', 'topic '],
    ['Topic', 'Topic'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['toString', 'toString'],
    ['offset', 'offset'],
    ['received_at', 'received_at'],
    ['events', 'events'],
    ['\\u0000', '\0'],
    ['a\\"b\\\\', 'a"b\\'],
    ['top\\u0131c', 'topıc'],
    ['😀'.repeat(100), `${'😀'.repeat(32)}…`],
  ] as const) {
    for (const value of ['1', '{"topic":{"a":[]}}', 'null']) {
      await refusals.event(eventText({}, `"${json}":${value}`), [name, 'unknown field']);
    }
  }
  // Beside `events` no other member may stand, before it or behind it.
  await refusals.errors(`{"events":[${VALID}],"source":"web"}`, [[null, 'source', 'unknown field']]);
  await refusals.errors(`{"events":[],"__proto__":[]}`, [[null, '__proto__', 'unknown field']]);
  await refusals.errors(`{"version":1,"events":[]}`, [
    [0, 'version', 'unknown field'],
    [0, 'events', 'unknown field'],
    ...Object.keys(FIELDS).map((name): [number, ...Fault] => [0, name, 'is missing']),
  ]);
});

test('a field that stands twice is told by its name, however it is written [EVT-1, EVT-5, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  for (const [name, text] of Object.entries(FIELDS)) {
    await refusals.event(eventText({}, `"${name}":${text}`), [name, 'stands twice']);
    const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
    await refusals.event(eventText({}, `"${escaped}":${text}`), [name, 'stands twice']);
  }
  await refusals.errors('{"events":[],"events":[]}', [[null, 'events', 'stands twice']]);
  await refusals.errors(`{"events":[${VALID}],"\\u0065vents":[${VALID}]}`, [
    [null, 'events', 'stands twice'],
  ]);
});

test('a name twice in an object of the payload is refused at any depth [EVT-5, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  const wide = Array.from({ length: 200 }, (_, i) => `"m${i}":${i}`).join();
  for (const [payload, name] of [
    ['{"a":1,"a":1}', 'a'],
    ['{"a":1,"\\u0061":2}', 'a'],
    ['{"":1,"b":2,"":3}', ''],
    ['{"x":{"y":[0,{"z":{"a":1,"b":2,"a":3}}]}}', 'a'],
    ['{"__proto__":{},"__proto__":{}}', '__proto__'],
    [`{${wide},"m0":0}`, 'm0'],
    [`{${wide},"m199":0}`, 'm199'],
    [`{"x":{${wide},"\\u006d7":0}}`, 'm7'],
    ['{"message":"a","message":"b"}', 'message'],
  ] as const) {
    await refusals.event(eventText({ payload }), [
      'payload',
      `the name "${name}" stands twice in one object`,
    ]);
  }
});

test('a string that is empty or too long is told with its length in characters [EVT-2, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  for (const [name, max] of [
    ['event_id', LIMITS.eventIdCharsMax],
    ['topic', LIMITS.topicCharsMax],
    ['source', LIMITS.sourceCharsMax],
    ['timestamp', LIMITS.timestampCharsMax],
  ] as const) {
    const expected = `expected 1 to ${max} characters, got`;
    await refusals.event(eventText({ [name]: '""' }), [name, `${expected} 0`]);
    for (const char of ['x', 'é', '漢', '😀', '\\n', '\\u0041', '\\ud83d\\ude00', ' ']) {
      await refusals.event(eventText({ [name]: `"${char.repeat(max + 1)}"` }), [
        name,
        `${expected} ${max + 1}`,
      ]);
    }
    await refusals.event(eventText({ [name]: `"${'x'.repeat(100_000)}"` }), [name, `${expected} 100000`]);
  }
});

test('a NUL in a name is refused, written as an escape or as a byte [EVT-3, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  for (const name of ['event_id', 'topic', 'source'] as const) {
    for (const text of ['\\u0000', 'a\\u0000b', 'trailing\\u0000', '😀\\u0000']) {
      const fault: Fault = [name, 'holds a NUL character, which no name may hold'];
      await refusals.event(eventText({ [name]: `"${text}"` }), fault);
    }
    await refusals.body(eventText({ [name]: '"a\0b"' }), 400, 'invalid_json');
  }
  await refusals.body(eventText({ timestamp: '"2025-10-28\\u0000"' }), 422, 'invalid_event');
});

test('half a surrogate pair is refused wherever it stands [EVT-4, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
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
    const message = `\\u${half} is half a surrogate pair, which no text may hold`;
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

test('a time that is none, or does not exist, is told with what came [EVT-7, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
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
  // A time of 65 characters, though each of them could be a decimal.
  const long = `2025-10-28T10:00:00.${'0'.repeat(45)}`;
  await refusals.event(eventText({ timestamp: `"${long}"` }), [
    'timestamp',
    'expected 1 to 64 characters, got 65',
  ]);
  const message = `expected ${TIMESTAMP_EXPECTED}, got "${long.slice(0, 64)}…"`;
  await refusals.event(eventText({ payload: `{"timestamp":"${long}"}` }), ['payload.timestamp', message]);
});

test(
  'a payload that is nested too deep is refused, a million deep as soon as one too deep [EVT-8, P-6]',
  { timeout: 10_000 },
  async (t) => {
    const refusals = await Refusals.start(t);
    const arrays = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    const objects = (depth: number) => '{"a":'.repeat(depth) + '0' + '}'.repeat(depth);
    const fault: Fault = ['payload', `is nested more than ${LIMITS.payloadDepthMax} deep`];
    await refusals.event(eventText({ payload: `{"a":${arrays(LIMITS.payloadDepthMax)}}` }), fault);
    await refusals.event(eventText({ payload: objects(LIMITS.payloadDepthMax + 1) }), fault);
    await refusals.event(eventText({ payload: `{"a":${arrays(1_000_000)}}` }), fault);
    await refusals.event(eventText({ payload: objects(1_000_000) }), fault);
    // Elsewhere the place is told, and nothing is said about a payload.
    const deep = arrays(LIMITS.payloadDepthMax + 1);
    const message = fault[1];
    for (const [body, index, field] of [
      [deep, null, null],
      [`{"events":{"a":${deep}}}`, null, 'events'],
      [`{"events":[],"more":${deep}}`, null, 'more'],
      [`{"events":[${deep}]}`, 0, null],
      [`{"events":[${VALID},${deep}]}`, 1, null],
      [`{"more":${deep}}`, 0, 'more'],
      [`{"topic":${deep}}`, 0, 'topic'],
      [`{"payload":${deep}}`, 0, 'payload'],
    ] as const) {
      await refusals.errors(body, [[index, field, message]]);
    }
    // Never closed: as JSON it would not end, but it is too deep before it does not.
    for (const body of [
      '['.repeat(1_000_000),
      '{"events":'.repeat(500_000),
      `{"events":[${'['.repeat(1_000_000)}`,
      '{"a":'.repeat(1_000_000),
    ]) {
      await refusals.body(body, 422, 'invalid_event');
    }
  },
);

test(
  'an event that is too large is refused with its size, whitespace not counted [EVT-9, P-6]',
  { timeout: 10_000 },
  async (t) => {
    const refusals = await Refusals.start(t);
    const max = LIMITS.eventBytesMax;
    const tooLong = (bytes: number): Fault => [null, `is ${bytes} bytes long, at most ${max} are taken`];
    await refusals.event(eventOfBytes(max + 1), tooLong(max + 1));
    await refusals.event(eventOfBytes(2 * max), tooLong(2 * max));
    await refusals.event(` {\n${' '.repeat(max)}${eventOfBytes(max + 1).slice(1)}`, tooLong(max + 1));
  },
);

test(
  'objects with a million members are judged at once [EVT-5, EVT-9, P-6]',
  { timeout: 10_000 },
  async (t) => {
    const refusals = await Refusals.start(t);
    const members = Array.from({ length: 1_000_000 }, (_, i) => `"${i}":0`).join();
    const payload = `{${members}}`;
    const length = eventText({ payload }).length;
    await refusals.errors(eventText({ payload }), [
      [0, null, `is ${length} bytes long, at most 1048576 are taken`],
    ]);
    const equal = `{${'"a":0,'.repeat(199_999)}"a":0}`;
    await refusals.errors(eventText({ payload: equal }), [
      [0, 'payload', 'the name "a" stands twice in one object'],
      [0, null, `is ${eventText({ payload: equal }).length} bytes long, at most 1048576 are taken`],
    ]);
    const fields = `{${members}}`;
    const problem = await refusals.body(fields, 422, 'invalid_event');
    assert.equal(problem.errors?.length, LIMITS.problemErrorsMax);
    assert.match(problem.detail, /^event 0, 0: unknown field \(the first of 1000006 errors\)/);
  },
);

test('what is not JSON is told with what was expected, what stands there, and the byte [ERR-2, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  const rows: [body: string, detail: string][] = [
    ['', 'the body is empty'],
    [' \r\n\t ', 'the body is empty'],
    ['{', 'expected a name in double quotes, but the text ends at byte 1'],
    ['}', 'expected a value, but there is "}" at byte 0'],
    ['nul', 'expected a value, but there is "n" at byte 0'],
    ['undefined', 'expected a value, but there is "u" at byte 0'],
    ['events=[]', 'expected a value, but there is "e" at byte 0'],
    ['<events/>', 'expected a value, but there is "<" at byte 0'],
    ["{'events':[]}", 'expected a name in double quotes, but there is "\'" at byte 1'],
    ['{events:[]}', 'expected a name in double quotes, but there is "e" at byte 1'],
    ['{"events" []}', 'expected ":", but there is "[" at byte 10'],
    ['{"events":}', 'expected a value, but there is "}" at byte 10'],
    ['{"events":[', 'expected a value, but the text ends at byte 11'],
    ['{"events":[]', 'expected "," or "}", but the text ends at byte 12'],
    ['{"events":[]]', 'expected "," or "}", but there is "]" at byte 12'],
    ['{"events":[],}', 'expected a name in double quotes, but there is "}" at byte 13'],
    ['{"events":[,]}', 'expected a value, but there is "," at byte 11'],
    ['{"events":[]}{}', 'expected the end of the body, but there is "{" at byte 13'],
    ['{"events":[]} // none', 'expected the end of the body, but there is "/" at byte 14'],
    [`{"events":[${VALID},]}`, `expected a value, but there is "]" at byte ${VALID.length + 12}`],
    [`{"events":[${VALID}${VALID}]}`, `expected "," or "]", but there is "{" at byte ${VALID.length + 11}`],
    [`{"events":[${VALID}}`, `expected "," or "]", but there is "}" at byte ${VALID.length + 11}`],
    [VALID.slice(0, -1), `expected "," or "}", but the text ends at byte ${VALID.length - 1}`],
    [VALID.slice(0, 5), 'expected the end of a string, but the text ends at byte 5'],
    [`${VALID}\0`, `expected the end of the body, but there is byte 0x00 at byte ${VALID.length}`],
    ['{"event_id":01}', 'expected "," or "}", but there is "1" at byte 13'],
    ['{"event_id":+1}', 'expected a value, but there is "+" at byte 12'],
    ['{"event_id":.5}', 'expected a value, but there is "." at byte 12'],
    ['{"event_id":1.}', 'expected a digit, but there is "}" at byte 14'],
    ['{"event_id":1e}', 'expected a digit, but there is "}" at byte 14'],
    ['{"event_id":-}', 'expected a digit, but there is "}" at byte 13'],
    ['{"event_id":NaN}', 'expected a value, but there is "N" at byte 12'],
    ['{"event_id":0x10}', 'expected "," or "}", but there is "x" at byte 13'],
    [
      '{"event_id":"\t"}',
      'expected no control character in a string (write it as an escape), but there is byte 0x09 at byte 13',
    ],
    ['{"event_id":"\\x41"}', 'expected an escape, but there is "x" at byte 14'],
    ['{"event_id":"\\u12"}', 'expected four hexadecimal digits, but there is """ at byte 17'],
    ['{"event_id":"é\u2028\\"}', 'expected the end of a string, but the text ends at byte 21'],
    ['{"event_id":\u00a01}', 'expected a value, but there is byte 0xc2 at byte 12'],
  ];
  for (const [body, detail] of rows) {
    assert.throws(() => JSON.parse(body) as unknown, excerpt(body));
    const problem = await refusals.body(body, 400, 'invalid_json');
    assert.equal(problem.detail, detail, body);
    assert.equal('errors' in problem, false);
  }
});

test('no body at all is refused like an empty one [ERR-2, P-6]', async (t) => {
  const server = await TestServer.start(t);
  const before = await booksOf(server);
  for (const headers of [
    {},
    { 'content-length': '0' },
    { 'content-length': '0', 'content-type': 'application/json' },
  ]) {
    const [response] = await exchange(
      server.url,
      requestText('POST /publish', { ...headers, connection: 'close' }),
    );
    assert.equal((await problemIn(response!, 400, 'invalid_json')).detail, 'the body is empty');
  }
  assert.deepEqual(await booksOf(server), before);
});

test('a fault in the last of many events keeps all of them out [P-3, P-6, ERR-2, ERR-3]', async (t) => {
  const refusals = await Refusals.start(t);
  const good = manyEvents(20_000).map((event) => JSON.stringify(event));
  const batch = (last: string) => `{"events":[${good.join()},${last}`;
  const at = batch('').length;
  const rows: [tail: string, detail: string][] = [
    [
      `${VALID.replace('"web"', 'web')}]}`,
      `expected a value, but there is "w" at byte ${at + VALID.indexOf('"web"')}`,
    ],
    [`${VALID}]`, `expected "," or "}", but the text ends at byte ${at + VALID.length + 1}`],
    [`${VALID}]}]`, `expected the end of the body, but there is "]" at byte ${at + VALID.length + 2}`],
  ];
  for (const [tail, detail] of rows) {
    assert.equal((await refusals.body(batch(tail), 400, 'invalid_json')).detail, detail);
  }
  await refusals.errors(batch(`${eventText({ source: null })}]}`), [[20_000, 'source', 'is missing']]);
  await refusals.errors(batch(`${VALID}],"more":1}`), [[null, 'more', 'unknown field']]);
});

test('of many faults the first hundred are listed, and all are counted [ERR-3, P-6]', async (t) => {
  const refusals = await Refusals.start(t);
  const bad = Array.from({ length: 5000 }, (_, i) =>
    i % 2 === 0 ? VALID : eventText({ topic: '7', source: null }),
  );
  const problem = await refusals.body(`{"events":[${bad.join()}]}`, 422, 'invalid_event');
  assert.deepEqual(
    problem.errors,
    Array.from({ length: 100 }, (_, i) => ({
      index: Math.floor(i / 2) * 2 + 1,
      field: i % 2 === 0 ? 'topic' : 'source',
      message: i % 2 === 0 ? 'expected a string, got a number' : 'is missing',
    })),
  );
  assert.match(problem.detail, /\(the first of 5000 errors\)/);
});

test('every refusal is a problem document with type, status, title, detail and code [ERR-1]', async (t) => {
  const server = await TestServer.start(t);
  const responses = [
    [await server.post('{'), 400, 'invalid_json'],
    [await server.post('{}'), 422, 'invalid_event'],
    [await server.post('{}', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type'],
    [await fetch(`${server.url}/nowhere`), 404, 'not_found'],
    [await fetch(`${server.url}/events/a/b`), 404, 'event_not_found'],
    [await fetch(`${server.url}/events?limit=x`), 422, 'invalid_parameter'],
    [await fetch(`${server.url}/publish`), 405, 'method_not_allowed'],
  ] as const;
  for (const [response, status, code] of responses) {
    const { errors: _errors, ...members } = await problemIn(response, status, code);
    assert.deepEqual(Object.keys(members), ['type', 'status', 'title', 'detail', 'code']);
    assert.equal(members.type, 'about:blank');
  }
});

test('what only looks bad is taken, and comes back as it was sent [EVT-1, EVT-2, EVT-3, EVT-6, EVT-7, EVT-8, EVT-9]', async (t) => {
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
  // Whitespace between tokens counts for nothing, however much it is.
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
