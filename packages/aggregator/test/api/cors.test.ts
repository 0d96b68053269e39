import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { newSecret } from '../../src/access/key-file.ts';
import { TestServer, problemIn } from '../support/server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const PAGE = 'https://app.example.org';
const OTHER = 'https://evil.example';

const preflight = (server: TestServer, path: string, origin: string, method = 'POST'): Promise<Response> =>
  fetch(server.url + path, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'content-type',
    },
  });

const allowed = ({ headers }: Response): string | null => headers.get('access-control-allow-origin');

test('a page of an allowed origin may call every resource, and other pages may not [CORS-1, CORS-2]', async (t) => {
  const server = await TestServer.start(t, { CORS_ORIGINS: `http://localhost:3000, ${PAGE}` });
  for (const path of ['/publish', '/events', '/subscriptions/a', '/nowhere']) {
    const asked = await preflight(server, path, PAGE);
    assert.equal(asked.status, 204, path);
    assert.equal(allowed(asked), PAGE);
    assert.match(asked.headers.get('access-control-allow-methods') ?? '', /PUT.*DELETE/);
    assert.match(asked.headers.get('access-control-allow-headers') ?? '', /authorization, content-type/);
    assert.match(asked.headers.get('vary') ?? '', /origin/i);
    assert.equal(asked.headers.get('access-control-allow-credentials'), null);
    assert.equal(allowed(await preflight(server, path, OTHER)), null, path);
  }
  const events = await fetch(`${server.url}/events`, { headers: { origin: PAGE } });
  assert.equal(allowed(events), PAGE);
  assert.match(
    events.headers.get('access-control-expose-headers') ?? '',
    /chronicle-epoch.*chronicle-expired.*link.*retry-after/,
  );
  assert.equal(allowed(await fetch(`${server.url}/events`, { headers: { origin: OTHER } })), null);
});

test('the page can also read refusals and live streams [CORS-1]', async (t) => {
  const server = await TestServer.start(t, { CORS_ORIGINS: PAGE });
  const refused = await server.post('{', { origin: PAGE });
  assert.equal(allowed(refused), PAGE);
  await problemIn(refused, 400, 'invalid_json');
  const stream = await fetch(`${server.url}/events/stream`, { headers: { origin: PAGE } });
  assert.equal(allowed(stream), PAGE);
  assert.equal(stream.headers.get('content-type'), 'text/event-stream');
  await stream.body?.cancel();
});

test('a preflight needs no key, and a page without one can read why it is refused [CORS-2, KEY-1]', async (t) => {
  const path = join(tempFolder(t), 'keys.json');
  const { secret, sha256 } = newSecret();
  const keys = [{ name: 'page', secret_sha256: sha256, scopes: ['read'] }];
  writeFileSync(path, JSON.stringify({ keys }));
  const server = await TestServer.start(t, { CORS_ORIGINS: '*', API_KEYS_FILE: path });
  assert.equal((await preflight(server, '/events', PAGE, 'GET')).status, 204);
  const stranger = await fetch(`${server.url}/events`, { headers: { origin: PAGE } });
  assert.equal(allowed(stranger), '*');
  await problemIn(stranger, 401, 'unauthorized');
  const headers = { origin: PAGE, authorization: `Bearer ${secret}` };
  assert.equal((await fetch(`${server.url}/events`, { headers })).status, 200);
});

test('by default no page is allowed, not even to send requests that need no preflight [CORS-1, SYS-5]', async (t) => {
  const server = await TestServer.start(t);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    const sent = await server.post('{"events":[]}', { origin: PAGE, 'content-type': type });
    assert.equal(allowed(sent), null);
    await problemIn(sent, 415, 'unsupported_media_type');
  }
  const asked = await preflight(server, '/publish', PAGE);
  assert.equal(allowed(asked), null);
  await problemIn(asked, 405, 'method_not_allowed');
});
