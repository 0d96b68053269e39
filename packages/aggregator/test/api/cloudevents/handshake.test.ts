import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestServer, problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

const SENDER = 'eventgrid.azure.net';

const ask = (server: TestServer, path: string, headers: Record<string, string>): Promise<Response> =>
  fetch(server.url + path, { method: 'OPTIONS', headers });

async function assertAllowed(response: Response, origin: string): Promise<void> {
  const { headers } = response;
  assert.deepEqual(
    [
      response.status,
      headers.get('webhook-allowed-origin'),
      headers.get('webhook-allowed-rate'),
      headers.get('allow'),
    ],
    [200, origin, '*', 'POST'],
  );
  assert.equal(await response.text(), '');
}

test('a sender that asks gets the permission to send CloudEvents [CE-11]', async () => {
  for (const path of [
    '/publish',
    '/publish?results=true',
    '/topics/orders/cloudevents',
    '/topics/%C3%BC/cloudevents',
  ]) {
    const more = {
      'webhook-request-rate': '120',
      'webhook-request-callback': 'https://example.com/confirm?id=1',
    };
    await assertAllowed(await ask(service(), path, { 'webhook-request-origin': SENDER, ...more }), SENDER);
  }
  for (const origin of ['localhost', 'events.example.com:8443', '10.0.0.1']) {
    await assertAllowed(await ask(service(), '/publish', { 'webhook-request-origin': origin }), origin);
  }
});

test('only those are allowed who say who they are, and only where CloudEvents are taken [CE-11]', async () => {
  for (const origin of ['', '*', 'https://example.com', 'a b', 'a'.repeat(254), 'a, b']) {
    const response = await ask(service(), '/publish', { 'webhook-request-origin': origin });
    assert.equal(response.headers.get('webhook-allowed-origin'), null);
    const { errors } = await problemIn(response, 422, 'invalid_parameter');
    assert.equal(errors?.[0]?.field, 'WebHook-Request-Origin');
  }
  await problemIn(await ask(service(), '/publish', {}), 405, 'method_not_allowed');
  const elsewhere = { 'webhook-request-origin': SENDER };
  await problemIn(await ask(service(), '/events', elsewhere), 405, 'method_not_allowed');
  await problemIn(await ask(service(), '/nowhere', elsewhere), 404, 'not_found');
});

test('the handshake needs no key and gives no right, also where pages of other origins are let in [CE-11, KEY-1]', async (t) => {
  const keys = new TestKeys(t, { sender: { scopes: ['publish'] } });
  const server = await TestServer.start(t, {
    API_KEYS_FILE: keys.path,
    CORS_ORIGINS: 'https://app.example.org',
  });
  await assertAllowed(await ask(server, '/publish', { 'webhook-request-origin': SENDER }), SENDER);
  const event = { specversion: '1.0', id: '1', source: '/shop', type: 'paid' };
  const send = (more: Record<string, string>): Promise<Response> =>
    server.post(event, { 'content-type': 'application/cloudevents+json', origin: SENDER, ...more });
  await problemIn(await send({}), 401, 'unauthorized');
  const taken = await send(withKey('sender'));
  assert.equal(taken.status, 200, await taken.text());
});
