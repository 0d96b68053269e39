import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Problem } from '@chronicleweaver/protocol';
import Fastify from 'fastify';
import { SCOPES, type Scope } from '../../../src/access/principal.ts';
import { guardRoutes } from '../../../src/api/request/access.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { withKey } from '../../support/keys.ts';
import { statusIn } from '../../support/otlp.ts';
import { RawConnection, requestText } from '../../support/raw-http.ts';
import { type EventsAnswer, TestServer, problemIn } from '../../support/server.ts';
import { type Rights, withKeys, ask } from '../../support/keyed-server.ts';

const ALL: Rights = {
  publish: { scopes: ['publish'] },
  read: { scopes: ['read'] },
  admin: { scopes: ['admin'] },
  inspect: { scopes: ['inspect'] },
};

interface Operation {
  security?: Record<string, Scope[]>[];
}

/** Every resource in the document and the hidden ones, with its scopes; undefined means any key. */
async function resources(
  server: TestServer,
): Promise<[method: string, path: string, scopes: Scope[] | undefined | 'open'][]> {
  const document = (await (await ask(server, '/openapi.json', 'read')).json()) as {
    paths: Record<string, Record<string, Operation>>;
  };
  // Of what sources send, the signature decides (test/api/in).
  const paths = Object.entries(document.paths).filter(([path]) => path !== '/in/{name}');
  const documented = paths.flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security }]) => {
      assert.ok(security !== undefined, `${method} ${path} does not mention keys`);
      const scopes = security.flatMap(({ key }) => key ?? []);
      return [
        method.toUpperCase(),
        path.replaceAll(/\{\w+\}/g, 'x'),
        security.length === 0 ? 'open' : scopes,
      ] as const;
    }),
  );
  assert.ok(documented.length >= 8);
  const hidden = ['/openapi.json', '/docs', '/docs/json', '/docs/static/index.html', '/redoc', '/redoc/redoc.standalone.js', '/nothing/there', '/events/']; // prettier-ignore
  return [...documented.map((one) => [...one] as [string, string, Scope[] | 'open']), ...hidden.map((path) => ['GET', path, undefined] as [string, string, undefined]), ['DELETE', '/events', undefined], ['OPTIONS', '/publish', undefined]]; // prettier-ignore
}

/** Asserts that the answer is this refusal, in the form of its address, and returns what it says. */
async function refusalIn(path: string, response: Response, status: number, code: string): Promise<string> {
  if (path === '/v1/logs') return (await statusIn(response, status, code)).message;
  return (await problemIn(response, status, code)).detail;
}

test('with keys in force, only /, /health and /ready answer without a valid key [KEY-1, KEY-2]', async (t) => {
  const { server } = await withKeys(t, ALL);
  const open: string[] = [];
  for (const [method, path, scopes] of await resources(server)) {
    if (scopes === 'open') {
      open.push(`${method} ${path}`);
      assert.equal((await ask(server, path, undefined, method)).status, 200, path);
      continue;
    }
    const bare = await ask(server, path, undefined, method);
    assert.equal(bare.headers.get('www-authenticate'), 'Bearer realm="ChronicleWeaver"');
    await refusalIn(path, bare, 401, 'unauthorized');
    for (const authorization of [
      'Bearer wrong',
      'Bearer',
      'Basic c2VjcmV0',
      `${withKey('read').authorization} x`,
      'secret-of-read',
      `Bearer ${'x'.repeat(8000)}`,
    ]) {
      const wrong = await fetch(server.url + path, { method, headers: { authorization } });
      assert.match(wrong.headers.get('www-authenticate') ?? '', /^Bearer realm="ChronicleWeaver", error="invalid_token"$/); // prettier-ignore
      await refusalIn(path, wrong, 401, 'unauthorized');
    }
  }
  assert.deepEqual(open.toSorted(), ['GET /', 'GET /health', 'GET /ready']);
  assert.equal((await fetch(`${server.url}/topics`, { headers: { authorization: withKey('read').authorization.replace('Bearer', 'bearer ') } })).status, 200); // prettier-ignore
  assert.equal((await ask(server, '/health', 'wrong')).status, 200);
});

test('a key may do what its scopes say and nothing else [KEY-3]', async (t) => {
  const { server } = await withKeys(t, ALL);
  for (const [method, path, scopes] of await resources(server)) {
    if (scopes === 'open') continue;
    for (const scope of SCOPES) {
      const response = await ask(server, path, scope, method);
      if (scopes === undefined || scopes.includes(scope)) {
        assert.ok(![401, 403].includes(response.status), `${method} ${path} with ${scope}`);
        await response.body?.cancel();
      } else {
        assert.equal(response.headers.get('www-authenticate'), `Bearer realm="ChronicleWeaver", error="insufficient_scope", scope="${scopes.join(' ')}"`); // prettier-ignore
        const detail = await refusalIn(path, response, 403, 'forbidden');
        assert.ok(detail.includes(scope) && detail.includes(scopes.join(' or ')), detail);
      }
    }
  }
});

test('a publish without permission is refused before any of its body is read [KEY-2]', async (t) => {
  const { server } = await withKeys(t, { read: { scopes: ['read'] }, slow: { scopes: ['publish'], rate_limit: { events_per_second: 0.001, burst: 1 } } }); // prettier-ignore
  assert.equal((await server.post({ events: [] }, withKey('slow'))).status, 200);
  for (const [headers, status] of [
    [{}, 401],
    [withKey('nobody'), 401],
    [withKey('read'), 403],
    [withKey('slow'), 429],
  ] as const) {
    // prettier-ignore
    // A compressed body that is announced and never sent.
    const request = requestText('POST /publish?results=true', {
      'content-type': 'application/json',
      'content-encoding': 'gzip',
      'content-length': '1000000',
      ...headers,
    });
    assert.match(await firstAnswer(server.url, request), new RegExp(`^HTTP/1.1 ${status} `));
  }
});

function firstAnswer(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(request));
    socket.once('error', reject);
    socket.setTimeout(60_000, () => socket.destroy(new Error('no answer without the body')));
    socket.once('data', (piece: Buffer) => {
      socket.destroy();
      resolve(piece.toString('latin1'));
    });
  });
}

test('beyond its rate a key gets 429 with the time to wait, and publishes count by the event [KEY-7]', async (t) => {
  const slow = { events_per_second: 0.1, burst: 10 };
  const { server, keys } = await withKeys(t, {
    requests: { scopes: ['read'], rate_limit: slow },
    batches: { scopes: ['publish'], rate_limit: slow },
    free: { scopes: ['read', 'publish'] },
  });
  for (let i = 0; i < 10; i++) assert.equal((await ask(server, '/topics', 'requests')).status, 200);
  const refused = await ask(server, '/topics', 'requests');
  const waitS = Number(refused.headers.get('retry-after'));
  assert.ok(waitS >= 1 && waitS <= 10, `${waitS} s`);
  await problemIn(refused, 429, 'rate_limited');

  // A batch larger than the burst is accepted at once, and the next request waits until that is made up for.
  assert.equal((await server.post({ events: manyEvents(110) }, withKey('batches'))).status, 200);
  const later = await server.post({ events: manyEvents(1) }, withKey('batches'));
  const debtS = Number(later.headers.get('retry-after'));
  assert.ok(debtS > 900 && debtS <= 1010, `${debtS} s`);
  await problemIn(later, 429, 'rate_limited');

  // Rereading the file changes nothing; a different limit starts over.
  await server.reload();
  assert.equal((await ask(server, '/topics', 'requests')).status, 429);
  keys.write({ requests: { scopes: ['read'], rate_limit: { events_per_second: 1000, burst: 1 } } });
  await server.reload();
  assert.equal((await ask(server, '/topics', 'requests')).status, 200);
});

test('reread keys apply at once: a new one is accepted, a revoked one is refused, and its reads are cut [KEY-8]', async (t) => {
  const { server, keys } = await withKeys(t, {
    old: { scopes: ['read'] },
    kept: { scopes: ['read', 'publish'] },
  });
  const large = 'x'.repeat(100_000);
  for (let from = 0; from < 150; from += 50) {
    const events = manyEvents(50, (i) => ({ event_id: `${from + i}`, payload: { large: large + i } }));
    assert.equal((await server.post({ events }, withKey('kept'))).status, 200);
  }
  // More than the sockets buffer, so both answers are under way for as long as nobody reads.
  const [cut, whole] = await Promise.all([ask(server, '/events', 'old'), ask(server, '/events', 'kept')]);
  keys.write({ kept: { scopes: ['read', 'publish'] }, new: { scopes: ['read'] } });
  await server.reload();
  await assert.rejects(cut.text());
  assert.equal(((await whole.json()) as EventsAnswer).events.length, 150);
  assert.equal((await ask(server, '/topics', 'old')).status, 401);
  assert.equal((await ask(server, '/topics', 'new')).status, 200);

  keys.write({ kept: { scopes: ['publish'] } });
  await server.reload();
  assert.equal((await ask(server, '/topics', 'kept')).status, 403);
  keys.write({ kept: { scopes: [] } });
  await assert.rejects(server.reload(), /\/keys\/0\/scopes/);
  assert.equal((await server.post({ events: [] }, withKey('kept'))).status, 200);
});

test('an admitted publish is answered even if its key is revoked while its body arrives [KEY-8]', async (t) => {
  const { server, keys } = await withKeys(t, { old: { scopes: ['publish'] } });
  const body = JSON.stringify(eventWith());
  const connection = await RawConnection.open(t, server.url);
  const headers = { ...withKey('old'), 'content-type': 'application/json', expect: '100-continue' };
  connection.send(
    requestText('POST /publish', { ...headers, 'content-length': `${Buffer.byteLength(body)}` }),
  );
  await connection.received('HTTP/1.1 100 Continue\r\n\r\n');
  keys.write({ new: { scopes: ['read'] } });
  await server.reload();
  connection.send(body);
  assert.equal((await connection.response()).status, 200);
  assert.equal((await ask(server, '/events', 'old')).status, 401);
});

test('without a key file everyone may do everything, and keys that are sent are ignored [KEY-1]', async (t) => {
  const server = await TestServer.start(t);
  for (const key of [undefined, 'whatever']) {
    for (const path of ['/events', '/topics', '/stats', '/docs', '/openapi.json']) {
      assert.equal((await ask(server, path, key)).status, 200, path);
    }
  }
  assert.equal((await server.post(eventWith(), withKey('whatever'))).status, 200);
});

test('a route that declares no scope keeps the service from starting', async () => {
  const api = Fastify();
  guardRoutes(api, undefined);
  api.get('/declared', { config: { scope: 'read' } }, () => 'declared');
  api.get('/forgotten', () => 'forgotten');
  await assert.rejects(async () => await api.ready(), /no scope is declared for .*\/forgotten/);
});

test('the OpenAPI document describes the scheme of the keys and the refusals of each route [KEY-1, KEY-2]', async (t) => {
  const server = await TestServer.start(t);
  const document = (await (await ask(server, '/openapi.json')).json()) as {
    components: { securitySchemes: Record<string, unknown> };
    paths: Record<string, Record<string, { responses: Record<string, { content: Record<string, { schema: Problem }> }> }>>; // prettier-ignore
  };
  const { description: _, ...scheme } = document.components.securitySchemes['key'] as Record<string, string>;
  assert.deepEqual(scheme, { type: 'http', scheme: 'bearer' });
  const { responses } = document.paths['/publish']!['post']!;
  for (const status of ['401', '403', '429']) assert.ok(responses[status] !== undefined, status);
});

test('what publishes takes a key as a password, or as a user name without one; what reads does not [KEY-9]', async (t) => {
  const { server } = await withKeys(t, { both: { scopes: ['publish', 'read'] } });
  const secret = withKey('both').authorization.replace('Bearer ', '');
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
  for (const text of [`${secret}:`, `anybody:${secret}`, `:${secret}`]) {
    assert.equal((await server.post(eventWith(), basic(text))).status, 200, text);
    await problemIn(await fetch(`${server.url}/events`, { headers: basic(text) }), 401, 'unauthorized');
  }
  for (const text of [secret, ':', `${secret}:wrong`, `wrong:${secret}x`, '']) {
    await problemIn(await server.post(eventWith(), basic(text)), 401, 'unauthorized');
  }
  for (const authorization of ['Basic', 'Basic %', `Basic ${secret}`]) {
    await problemIn(await server.post(eventWith(), { authorization }), 401, 'unauthorized');
  }
});
