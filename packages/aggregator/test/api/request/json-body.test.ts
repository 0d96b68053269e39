import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Document } from '../../support/api-document.ts';
import { eventWith } from '../../support/events.ts';
import { Group } from '../../support/group.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn } from '../../support/server.ts';

/** One service for all tests, each of which uses its own group. */
const server = await TestServer.start({ after });
const { json } = await Document.of(server);

/** Every resource that takes a body, like ["POST", "/publish", "application/json"]. */
const BODIED = Object.entries(json.paths).flatMap(([path, methods]) =>
  Object.entries(methods)
    // OTLP has refusals of its own (test/api/otlp), and sources send what they like (test/api/in).
    .filter(([, { requestBody }]) => requestBody !== undefined && !/^\/(v1|in|loki)\//.test(path))
    .map(([method, { requestBody }]) => {
      const [type] = Object.keys(requestBody!.content);
      return [method.toUpperCase(), path.replace('{name}', 'anybody'), type!] as const;
    }),
);

/** Those whose body is no events: their errors are about fields of their own. */
const PLAIN = BODIED.filter(([, path, type]) => path !== '/publish' && type === 'application/json');

function send(
  method: string,
  path: string,
  body: Uint8Array | string,
  type = 'application/json',
): Promise<Response> {
  return fetch(server.url + path, {
    method,
    headers: { 'content-type': type },
    body: body as NonNullable<RequestInit['body']>,
  });
}

const TEXT = '{"events":[],"nobody takes":"this"}';

test('every resource ignores a byte order mark in front of a body [BODY-1]', async () => {
  assert.ok(BODIED.length >= 7, JSON.stringify(BODIED));
  for (const [method, path, type] of BODIED) {
    const plain = await (await send(method, path, TEXT, type)).json();
    const marked = await (await send(method, path, `\ufeff${TEXT}`, type)).json();
    assert.deepEqual(marked, plain, path);
    assert.equal((marked as { status: number }).status, 422, path);
    await problemIn(await send(method, path, `\ufeff\ufeff${TEXT}`, type), 400, 'invalid_json');
  }
  const event = JSON.stringify(eventWith({ event_id: 'marked' }));
  assert.equal((await send('POST', '/publish', `\ufeff${event}`)).status, 200);
  const group = new Group(server.url, 'marked');
  assert.equal((await group.put('\ufeff{"topics":[">"],"start":"earliest"}')).status, 201);
  assert.equal((await group.post('pull', '\ufeff{"max":1}')).status, 200);
});

test('every resource refuses a body in UTF-16 and names the encoding [BODY-1, P-6]', async () => {
  const little = Buffer.from(`\ufeff${TEXT}`, 'utf16le');
  const latin1 = Buffer.from('{"topics":["größe"]}', 'latin1');
  for (const [method, path, type] of BODIED) {
    for (const [body, detail] of [
      [little, 'the body is UTF-16: send it as UTF-8'],
      [Buffer.from(little).swap16(), 'the body is UTF-16: send it as UTF-8'],
      [latin1, 'the body is not UTF-8: send it as UTF-8'],
    ] as const) {
      const problem = await problemIn(await send(method, path, body, type), 400, 'invalid_encoding');
      assert.equal(problem.detail, detail, path);
    }
  }
});

/** What HTTP clients send if a program gives them no body. */
const TYPES = [
  'application/x-www-form-urlencoded',
  'text/plain;charset=UTF-8',
  'application/octet-stream',
  'application/json; charset=latin1',
  'application/json',
  'none',
  '',
];
/** All ways to send an empty body. */
const EMPTY: [Record<string, string>, string][] = [
  [{ 'content-length': '0' }, ''],
  [{}, ''],
  [{ 'transfer-encoding': 'chunked' }, '0\r\n\r\n'],
];

async function answered(path: string, headers: Record<string, string>, body: string): Promise<Response> {
  const text = requestText(`POST ${path}`, { connection: 'close', ...headers }, '') + body;
  const [response] = await exchange(server.url, text);
  return response!;
}

test('an empty body counts as missing, whatever its type [BODY-2]', async () => {
  await new Group(server.url, 'empty').make();
  const secret = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
  const push = { url: 'https://webhook.invalid/', secret };
  await new Group(server.url, 'pushed').make({ topics: ['nothing.here'], push });
  for (const [path, expected] of [
    ['/subscriptions/empty/pull', 200],
    ['/subscriptions/empty/dead/replay', 200],
    ['/subscriptions/pushed/pause', 200],
    ['/subscriptions/pushed/resume', 200],
    // A body is needed here, so its fields are reported as missing.
    ['/subscriptions/empty/ack', 422],
    ['/subscriptions/empty/seek', 422],
  ] as const) {
    const { status } = await answered(path, {}, '');
    assert.ok(status === expected || (expected === 200 && status === 204), `${path} ${status}`);
    for (const type of TYPES) {
      for (const [headers, body] of EMPTY) {
        const response = await answered(path, { 'content-type': type, ...headers }, body);
        assert.equal(response.status, status, `${path} ${type} ${JSON.stringify(headers)}`);
      }
    }
  }
  const listed = await fetch(`${server.url}/subscriptions`, { headers: { 'content-type': 'text/plain' } });
  assert.equal(listed.status, 200, 'a GET that names a type');
});

test('a non-empty body of another type is still refused, and the connection stays open [BODY-2, P-6]', async () => {
  const group = new Group(server.url, 'bytes');
  await group.make();
  const path = '/subscriptions/bytes/pull';
  for (const type of TYPES.filter((one) => one !== 'application/json')) {
    for (const [headers, body] of [
      [{ 'content-length': '2' }, '{}'],
      [{ 'transfer-encoding': 'chunked' }, '2\r\n{}\r\n0\r\n\r\n'],
    ] as const) {
      const first = requestText(`POST ${path}`, { 'content-type': type, ...headers });
      const last = requestText('GET /health', { connection: 'close' });
      const [refused, next] = await exchange(server.url, first + body + last);
      await problemIn(refused!, 415, 'unsupported_media_type');
      assert.equal(next?.status, 200, `${type} ${JSON.stringify(headers)}`);
    }
    // Refused before it is sent.
    const asks = { 'content-type': type, 'transfer-encoding': 'chunked', expect: '100-continue' };
    await problemIn(await answered(path, asks, ''), 415, 'unsupported_media_type');
  }
});

test('every resource refuses a member that appears twice, at any depth [BODY-3, EVT-5, P-6]', async () => {
  for (const [method, path] of PLAIN) {
    const twice = '{"topics":["a"],"\\u0074opics":["b"],"push":{"url":1,"url":2},"topics":[]}';
    const { errors } = await problemIn(await send(method, path, twice), 422, 'invalid_parameter');
    assert.deepEqual(
      errors,
      ['topics', 'push.url', 'topics'].map((field) => ({ index: null, field, message: 'appears twice' })),
      path,
    );
  }
  assert.equal((await fetch(`${server.url}/subscriptions/anybody`)).status, 404);
  assert.equal((await fetch(`${server.url}/retention/anybody`)).status, 404);
});

test('every resource says what is wrong with JSON that is none, and refuses half a character [BODY-3, ERR-2]', async () => {
  const deep = `${'['.repeat(101)}${']'.repeat(101)}`;
  for (const [method, path] of PLAIN) {
    for (const [text, detail] of [
      ['{', 'expected a name in double quotes, but the text ends at byte 1'],
      ['{"topics":[a]}', 'expected a value, but found "a" at byte 11'],
      ['{} x', 'expected the end of the body, but found "x" at byte 3'],
      ['  ', 'expected a value, but the text ends at byte 2'],
    ] as const) {
      const problem = await problemIn(await send(method, path, text), 400, 'invalid_json');
      assert.equal(problem.detail, detail, path);
    }
    for (const [text, field, message] of [
      ['{"a":"\\ud800"}', 'a', '\\ud800 is half a surrogate pair, which text must not contain'],
      [`{"a":${deep}}`, 'a', 'is nested more than 100 deep'],
      ['[]', null, 'expected an object, got an array'],
    ] as const) {
      const { errors } = await problemIn(await send(method, path, text), 422, 'invalid_parameter');
      assert.deepEqual(errors, [{ index: null, field, message }], path);
    }
  }
});
