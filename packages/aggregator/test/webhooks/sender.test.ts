import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type RequestListener, createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { isPublicAddress } from '../../src/webhooks/public-address.ts';
import { WebhookSender, webhookSecretFault, webhookUrlFault } from '../../src/webhooks/sender.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const MESSAGE = {
  id: 'msg-1',
  type: 'application/json',
  body: Buffer.from('{"topic":"orders","text":"Größe ✓"}'),
};

test('the library of Standard Webhooks verifies a sent message, and rejects a changed body', async (t) => {
  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  const url = await receiver(t, (request, response) => {
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      response.end('thanks');
    });
  });
  assert.deepEqual(await send(t, url), { status: 200, retryAfter: undefined });
  const { headers, body } = received[0]!;
  const verifier = new Webhook(SECRET);
  assert.deepEqual(verifier.verify(body, headers as Record<string, string>), JSON.parse(body));
  assert.throws(() => verifier.verify(`${body} `, headers as Record<string, string>));
  assert.equal(headers['webhook-id'], 'msg-1');
  assert.equal(headers['content-type'], 'application/json');
});

test('a message signed by several secrets verifies with each of them alone [HOOK-3]', async (t) => {
  const secrets = [1, 2, 3].map((n) => `whsec_${Buffer.alloc(32, n).toString('base64')}`);
  let received: Record<string, string> = {};
  const url = await receiver(t, (request, response) => {
    received = request.headers as Record<string, string>;
    request.resume().on('end', () => response.end());
  });
  assert.deepEqual(await send(t, url, { secrets }), { status: 200, retryAfter: undefined });
  assert.match(received['webhook-signature']!, /^v1,[\w+/]{43}= v1,[\w+/]{43}= v1,[\w+/]{43}=$/);
  for (const secret of secrets) new Webhook(secret).verify(MESSAGE.body, received);
  assert.throws(() => new Webhook(SECRET).verify(MESSAGE.body, received));
});

test('a refusal and its Retry-After are reported, and a redirect is not followed', async (t) => {
  let asked = 0;
  const url = await receiver(t, (request, response) => {
    asked += 1;
    request.resume();
    if (request.url === '/busy') response.writeHead(503, { 'retry-after': '7' }).end();
    else response.writeHead(307, { location: '/busy' }).end();
  });
  assert.deepEqual(await send(t, `${url}/busy`), { status: 503, retryAfter: '7' });
  assert.deepEqual(await send(t, `${url}/moved`), { status: 307, retryAfter: undefined });
  assert.equal(asked, 2);
});

test('an endless answer is cut off and counts, and a missing answer times out', async (t) => {
  const url = await receiver(t, (request, response) => {
    request.resume();
    if (request.url === '/silent') return;
    const pour = (): void => {
      while (!response.destroyed && response.write('x'.repeat(4096)));
    };
    response.on('drain', pour);
    pour();
  });
  assert.deepEqual(await send(t, `${url}/endless`), { status: 200, retryAfter: undefined });
  assert.deepEqual(await send(t, `${url}/silent`, { allowPrivate: true, timeoutMs: 100 }), {
    fault: 'no answer within 0.1 s',
  });
});

test('a message under way ends at once when its sender stops', async (t) => {
  const stopped = new AbortController();
  const url = await receiver(t, (request) => {
    request.resume();
    stopped.abort();
  });
  const sender = new WebhookSender({ allowPrivate: true, timeoutMs: 2000 });
  t.after(() => sender.close());
  const outcome = await sender.send({ url, secrets: [SECRET] }, MESSAGE, stopped.signal);
  assert.ok('fault' in outcome);
  assert.doesNotMatch(outcome.fault, /no answer within/);
});

test('a kept connection that the other end closes at the moment of reuse is no failure: a new one is opened', async (t) => {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections += 1;
    const isFirst = connections === 1;
    let requests = 0;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      if (!bytes.includes('POST ')) return;
      requests += 1;
      if (isFirst && requests === 2) socket.resetAndDestroy();
      else socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sender = new WebhookSender({ allowPrivate: true, timeoutMs: 5000 });
  t.after(() => sender.close());
  for (let i = 0; i < 2; i++) {
    const outcome = await sender.send({ url, secrets: [SECRET] }, MESSAGE, new AbortController().signal);
    assert.deepEqual(outcome, { status: 204, retryAfter: undefined });
  }
  assert.equal(connections, 2);
});

test('no connection is made to a private address, given by number or by name', async (t) => {
  let asked = 0;
  const url = await receiver(t, (_request, response) => {
    asked += 1;
    response.end();
  });
  const { port } = new URL(url);
  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433']) {
    const outcome = await send(t, `http://${host}:${port}/`, { allowPrivate: false, timeoutMs: 5000 });
    assert.match('fault' in outcome ? outcome.fault : 'sent', /not public; WEBHOOK_ALLOW_PRIVATE=true/, host);
  }
  assert.equal(asked, 0);
});

test('only globally reachable addresses are public', () => {
  const special =
    '127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 240.0.0.1 ' +
    '192.0.2.1 198.18.0.1 ::1 :: fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 64:ff9b::a00:1 2002:a00:1:: ' +
    '2001:db8::1 localhost';
  for (const address of special.split(' ')) assert.equal(isPublicAddress(address), false, address);
  for (const address of ['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111']) assert.ok(isPublicAddress(address));
});

test('an unusable target or secret is refused with the reason', () => {
  assert.equal(webhookUrlFault('https://hooks.example.org/x?y=1', false), undefined);
  for (const url of ['ftp://example.org', 'example.org', `https://example.org/${'x'.repeat(2048)}`]) {
    assert.match(webhookUrlFault(url, true) ?? '', /http or https URL/);
  }
  for (const secret of ['user:word', 'user', ':word'])
    assert.match(webhookUrlFault(`https://${secret}@example.org`, true) ?? '', /without user/);
  for (const url of ['https://example.org/\0', 'https://example.org/\n', 'https://example.org/\ud800'])
    assert.match(webhookUrlFault(url, true) ?? '', /control character/);
  assert.match(webhookUrlFault('http://0x7f.1/', false) ?? '', /not public/);
  assert.equal(webhookUrlFault('http://0x7f.1/', true), undefined);
  const secretOf = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
  for (const bytes of [24, 32, 64]) assert.equal(webhookSecretFault(secretOf(bytes)), undefined);
  for (const bytes of [23, 65])
    assert.match(webhookSecretFault(secretOf(bytes)) ?? '', /24 to 64 random bytes/);
  for (const secret of [
    '',
    'whsec_',
    'whsec_c2hvcnQ=',
    SECRET.slice(6),
    `${SECRET}!`,
    `whsec_${'A'.repeat(200)}`,
  ]) {
    assert.match(webhookSecretFault(secret) ?? '', /24 to 64 random bytes/);
  }
});

async function receiver(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function send(
  t: TestContext,
  url: string,
  { allowPrivate = true, timeoutMs = 5000, secrets = [SECRET] } = {},
) {
  const sender = new WebhookSender({ allowPrivate, timeoutMs });
  t.after(() => sender.close());
  return sender.send({ url, secrets }, MESSAGE, new AbortController().signal);
}
