import assert from 'node:assert/strict';
import { test } from 'node:test';
import { booksOf } from '../../support/books.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { problemIn, sharedServer } from '../../support/server.ts';
import { VALID, Refusals, excerpt } from '../../support/refusals.ts';

const service = sharedServer();
const refusals = new Refusals(service);

test('a body that is not JSON is refused with what was expected, what was found, and the byte [ERR-2, P-6]', async () => {
  const rows: [body: string, detail: string][] = [
    ['', 'the body is empty'],
    [' \r\n\t ', 'the body is empty'],
    ['{', 'expected a name in double quotes, but the text ends at byte 1'],
    ['}', 'expected a value, but found "}" at byte 0'],
    ['nul', 'expected a value, but found "n" at byte 0'],
    ['undefined', 'expected a value, but found "u" at byte 0'],
    ['events=[]', 'expected a value, but found "e" at byte 0'],
    ['<events/>', 'expected a value, but found "<" at byte 0'],
    ["{'events':[]}", 'expected a name in double quotes, but found "\'" at byte 1'],
    ['{events:[]}', 'expected a name in double quotes, but found "e" at byte 1'],
    ['{"events" []}', 'expected ":", but found "[" at byte 10'],
    ['{"events":}', 'expected a value, but found "}" at byte 10'],
    ['{"events":[', 'expected a value, but the text ends at byte 11'],
    ['{"events":[]', 'expected "," or "}", but the text ends at byte 12'],
    ['{"events":[]]', 'expected "," or "}", but found "]" at byte 12'],
    ['{"events":[],}', 'expected a name in double quotes, but found "}" at byte 13'],
    ['{"events":[,]}', 'expected a value, but found "," at byte 11'],
    ['{"events":[]}{}', 'expected the end of the body, but found "{" at byte 13'],
    ['{"events":[]} // none', 'expected the end of the body, but found "/" at byte 14'],
    [`{"events":[${VALID},]}`, `expected a value, but found "]" at byte ${VALID.length + 12}`],
    [`{"events":[${VALID}${VALID}]}`, `expected "," or "]", but found "{" at byte ${VALID.length + 11}`],
    [`{"events":[${VALID}}`, `expected "," or "]", but found "}" at byte ${VALID.length + 11}`],
    [VALID.slice(0, -1), `expected "," or "}", but the text ends at byte ${VALID.length - 1}`],
    [VALID.slice(0, 5), 'expected the end of a string, but the text ends at byte 5'],
    [`${VALID}\0`, `expected the end of the body, but found byte 0x00 at byte ${VALID.length}`],
    ['{"event_id":01}', 'expected "," or "}", but found "1" at byte 13'],
    ['{"event_id":+1}', 'expected a value, but found "+" at byte 12'],
    ['{"event_id":.5}', 'expected a value, but found "." at byte 12'],
    ['{"event_id":1.}', 'expected a digit, but found "}" at byte 14'],
    ['{"event_id":1e}', 'expected a digit, but found "}" at byte 14'],
    ['{"event_id":-}', 'expected a digit, but found "}" at byte 13'],
    ['{"event_id":NaN}', 'expected a value, but found "N" at byte 12'],
    ['{"event_id":0x10}', 'expected "," or "}", but found "x" at byte 13'],
    [
      '{"event_id":"\t"}',
      'expected no control character in a string (escape it), but found byte 0x09 at byte 13',
    ],
    ['{"event_id":"\\x41"}', 'expected an escape, but found "x" at byte 14'],
    ['{"event_id":"\\u12"}', 'expected four hexadecimal digits, but found """ at byte 17'],
    ['{"event_id":"é\u2028\\"}', 'expected the end of a string, but the text ends at byte 21'],
    ['{"event_id":\u00a01}', 'expected a value, but found byte 0xc2 at byte 12'],
  ];
  for (const [body, detail] of rows) {
    assert.throws(() => JSON.parse(body) as unknown, excerpt(body));
    const problem = await refusals.body(body, 400, 'invalid_json');
    assert.equal(problem.detail, detail, body);
    assert.equal('errors' in problem, false);
  }
});

test('a missing body is refused like an empty one [ERR-2, P-6]', async () => {
  const server = service();
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

test('every refusal is a problem document with type, status, title, detail and code [ERR-1]', async () => {
  const server = service();
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
