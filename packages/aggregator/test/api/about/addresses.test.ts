import assert from 'node:assert/strict';
import { test } from 'node:test';
import { booksOf } from '../../support/books.ts';
import { eventWith } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

const JSON_TYPE = { 'content-type': 'application/json' };

test('every path with GET answers HEAD as well, and other methods with 405 and Allow [SYS-5, ERR-1]', async () => {
  const server = service();
  await server.publish(eventWith());
  const gets = [
    '/',
    '/health',
    '/ready',
    '/stats',
    '/topics',
    '/events',
    '/events/orders/e-1',
    '/events/stream',
    '/openapi.json',
    '/docs',
    '/docs/json',
    '/docs/yaml',
    '/redoc',
    '/dashboard',
  ];
  for (const path of gets) {
    const get = await fetch(server.url + path);
    const head = await fetch(server.url + path, { method: 'HEAD' });
    assert.deepEqual([get.status, head.status], [200, 200], path);
    assert.equal(head.headers.get('content-type'), get.headers.get('content-type'));
    assert.equal(await head.text(), '');
    const { value: piece } = await get.body!.getReader().read();
    assert.ok(piece !== undefined && piece.length > 0, path);
  }
  const before = await booksOf(server);
  for (const [path, allow, methods] of [
    ...gets.map((path) => {
      const others = ['POST', 'PUT', 'PATCH', 'OPTIONS', 'QUERY', 'PROPFIND'];
      return path === '/events/orders/e-1'
        ? ([path, 'GET, HEAD, DELETE', others] as const)
        : ([path, 'GET, HEAD', ['DELETE', ...others]] as const);
    }),
    ['/publish', 'POST', ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']] as const,
  ]) {
    for (const method of methods) {
      const hasBody = ['POST', 'PUT', 'PATCH'].includes(method);
      const response = await fetch(server.url + path, {
        method,
        ...(hasBody && { headers: JSON_TYPE, body: JSON.stringify(eventWith({ event_id: 'new' })) }),
      });
      assert.equal(response.headers.get('allow'), allow, `${method} ${path}`);
      await problemIn(response, 405, 'method_not_allowed');
    }
    const [traced] = await exchange(server.url, requestText(`TRACE ${path}`, { connection: 'close' }));
    await problemIn(traced!, 405, 'method_not_allowed');
  }
  assert.equal((await fetch(`${server.url}/publish`, { method: 'HEAD' })).status, 405);
  assert.deepEqual(await booksOf(server), before);
});

test('an unknown path is 404, whatever the method and the body [ERR-1]', async () => {
  const server = service();
  const before = await booksOf(server);
  for (const path of [
    '/nowhere',
    '/Events',
    '/events/',
    '/health/',
    '/publish/',
    '//',
    '/stats/x',
    '/events/a/b/c',
    '/docs/none',
    '/redoc/none.js',
    '/dashboard/none.js',
    '/dashboard/live/x',
    '/dashboard/%2e%2e%2fpackage.json',
    '/index.html',
    '/favicon.ico',
    '/redoc/../package.json',
    '/redoc/%2e%2e%2fpackage.json',
    '/docs/static/..%2f..%2fpackage.json',
    '/events%2Forders',
    '/%00',
    '/😀',
  ]) {
    for (const [method, body] of [
      ['GET', ''],
      ['POST', JSON.stringify(eventWith())],
      ['DELETE', ''],
    ] as const) {
      const [response] = await exchange(
        server.url,
        requestText(
          `${method} ${encodeURI(path).replaceAll('%25', '%')}`,
          { ...JSON_TYPE, connection: 'close' },
          body,
        ),
      );
      const { detail } = await problemIn(response!, 404, 'not_found').catch((cause: unknown) => {
        throw new Error(`${method} ${path}`, { cause });
      });
      assert.match(detail, /see \/docs$/);
    }
  }
  assert.deepEqual(await booksOf(server), before);
});

test('a stray % in the address is refused [ERR-1]', async () => {
  const server = service();
  for (const path of [
    '/%',
    '/%zz',
    '/events/%/a',
    '/events/a/%f',
    '/events/a/%ff',
    '/events/a/%C0%AF',
    '/events/a/%ED%A0%80',
    '/events/100%/e',
  ]) {
    const [response] = await exchange(server.url, requestText(`GET ${path}`, { connection: 'close' }));
    const { detail } = await problemIn(response!, 400, 'invalid_request');
    assert.match(detail, /contains a %/, path);
  }
});

test('requests that are not HTTP or have too large headers are refused with a problem, too [ERR-1]', async () => {
  const server = service();
  for (const [sent, status, code] of [
    ['hello\r\n\r\n', 400, 'invalid_request'],
    ['GET /health HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n', 400, 'invalid_request'],
    ['GET /health HTTP/9.9\r\n\r\n', 400, 'invalid_request'],
    [requestText('POST /publish', { ...JSON_TYPE, 'content-length': 'ten' }), 400, 'invalid_request'],
    [
      requestText('POST /publish', { ...JSON_TYPE, 'content-length': '2', 'transfer-encoding': 'chunked' }),
      400,
      'invalid_request',
    ],
    [requestText('GET /health', { 'x-large': 'x'.repeat(20_000) }), 431, 'headers_too_large'],
    [requestText(`GET /${'x'.repeat(20_000)}`), 431, 'headers_too_large'],
    [Buffer.from([0x16, 0x03, 0x01, 0x00, 0xa5, 0x01, 0x00]), 400, 'invalid_request'],
  ] as const) {
    const [response] = await exchange(server.url, sent);
    await problemIn(response!, status, code);
    assert.equal(response!.headers.get('connection'), 'close');
  }
  assert.deepEqual(await server.get('/health'), { message: 'healthy' });
});
