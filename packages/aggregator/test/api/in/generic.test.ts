import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { TestSources, signed } from '../../support/sources.ts';

async function start(t: TestContext, env: Record<string, string> = {}) {
  const store = new MemoryStore();
  const server = await TestServer.startOn(t, () => store, env);
  return { server, store, sources: new TestSources(server) };
}

const SECRET = 'a secret of ours';

test('a source is created once, shown without its secrets, replaced and deleted [SRC-1, SRC-9]', async (t) => {
  const { sources } = await start(t);
  const sent = { kind: 'generic', topic: 'orders', secrets: [SECRET, 'another one'], id: '/id' };
  const shown = {
    name: 'shop',
    kind: 'generic',
    address: '/in/shop',
    topic: 'orders',
    source: 'shop',
    secrets: 2,
    max_age: null,
    id: '/id',
  };
  const created = await sources.put('shop', sent);
  assert.equal(created.status, 201);
  assert.deepEqual(await created.json(), shown);
  const again = await sources.put('shop', sent);
  assert.equal(again.status, 200);
  assert.deepEqual(await again.json(), shown);
  assert.deepEqual(await (await sources.get('shop')).json(), shown);
  assert.deepEqual(await (await sources.get()).json(), { count: 1, sources: [shown] });
  const changed = await sources.put('shop', {
    kind: 'generic',
    topic: 'bills',
    source: 'us',
    secret: SECRET,
  });
  assert.equal(changed.status, 200);
  const { id: _, ...rest } = shown;
  assert.deepEqual(await (await sources.get('shop')).json(), {
    ...rest,
    topic: 'bills',
    source: 'us',
    secrets: 1,
  });
  assert.equal((await sources.delete('shop')).status, 204);
  await problemIn(await sources.delete('shop'), 404, 'source_not_found');
  await problemIn(await sources.get('shop'), 404, 'source_not_found');
});

test('a definition is refused with every field that is wrong, and changes nothing [SRC-2, P-6]', async (t) => {
  const { sources } = await start(t);
  const wrong = {
    kind: 'generic',
    topic: 'orders.{kind',
    source: 'a\0b',
    secrets: [SECRET, SECRET],
    max_age: '5m',
  };
  const { errors, detail } = await problemIn(await sources.put('shop', wrong), 422, 'invalid_parameter');
  assert.deepEqual(
    errors!.map(({ field }) => field),
    ['topic', 'source', 'secrets', 'max_age'],
  );
  assert.ok(!detail.includes(SECRET));
  const places = {
    kind: 'generic',
    topic: '{/a~2}',
    id: 'a header',
    timestamp: '/~',
    signature: { header: 'x\ny' },
  };
  const second = await problemIn(await sources.put('shop', places), 422, 'invalid_parameter');
  assert.deepEqual(
    second.errors!.map(({ field }) => field),
    ['id', 'timestamp', 'topic', 'signature.header', 'signature'],
  );
  const secrets = { kind: 'generic', topic: '{cookie}', id: 'Authorization', timestamp: 'x-api-key' };
  const third = await problemIn(await sources.put('shop', secrets), 422, 'invalid_parameter');
  assert.deepEqual(
    third.errors!.map(({ field }) => field),
    ['id', 'timestamp', 'topic'],
  );
  await problemIn(await sources.put('-shop', { kind: 'generic', topic: 'orders' }), 422, 'invalid_parameter');
  await problemIn(await sources.put('shop', { kind: 'nobody', topic: 'orders' }), 422, 'invalid_parameter');
  assert.deepEqual(await (await sources.get()).json(), { count: 0, sources: [] });
});

test('a delivery becomes an event with the id, the time and the topic that the definition names [SRC-3, SRC-10]', async (t) => {
  const { server, sources } = await start(t);
  await sources.make('shop', {
    kind: 'generic',
    topic: 'orders.{/kind}',
    source: 'the shop',
    secret: SECRET,
    id: '/order/number',
    timestamp: '/at',
  });
  const body =
    '{ "kind": "new", "at": "2026-01-02T03:04:05+01:00", "order": {"number": 90071992547409931, "price": 1.0} }';
  const deliver = () => sources.deliver('shop', body, signed(body, SECRET));
  assert.deepEqual(await sources.taken(deliver()), [1, 0, 0]);
  assert.deepEqual(await sources.taken(deliver()), [0, 1, 0]);
  const { events } = await server.events();
  const { offset: _, received_at: __, payload, ...event } = events[0]!;
  assert.deepEqual(event, {
    event_id: '90071992547409931',
    topic: 'orders.new',
    source: 'the shop',
    timestamp: '2026-01-02T03:04:05+01:00',
  });
  assert.deepEqual(payload['headers'], { 'content-type': 'text/plain;charset=UTF-8' });
});

test('a body that is not JSON is kept as text, or as base64; its id is a digest or in a header, and its time 1970 [SRC-3]', async (t) => {
  const { server, sources } = await start(t);
  await sources.make('bytes', { kind: 'generic', topic: 'bytes' });
  await sources.make('lines', { kind: 'generic', topic: 'lines.{x-kind}', id: 'X-Request-Id' });
  const types = { 'content-type': 'application/octet-stream' };
  const binary = Uint8Array.of(0xff, 0x00, 0x7b);
  assert.deepEqual(await sources.taken(sources.deliver('bytes', binary, types)), [1, 0, 0]);
  assert.deepEqual(await sources.taken(sources.deliver('bytes', binary, types)), [0, 1, 0]);
  const named = { 'x-request-id': 'r-1', 'x-kind': 'a *' };
  assert.deepEqual(await sources.taken(sources.deliver('lines', '{"a":1,"a":2}', named)), [1, 0, 0]);
  await problemIn(await sources.deliver('lines', 'hello'), 422, 'invalid_delivery');
  const { events } = await server.events();
  const [first, second] = events;
  const timestamp = '1970-01-01T00:00:00Z';
  assert.equal(first!.event_id, `sha256:${createHash('sha256').update(binary).digest('hex')}`);
  assert.deepEqual([first!.topic, first!.source, first!.timestamp], ['bytes', 'bytes', timestamp]);
  assert.deepEqual(first!.payload, { headers: types, body_base64: '/wB7' });
  assert.deepEqual(
    [second!.event_id, second!.topic, second!.payload['body'], second!.timestamp],
    ['r-1', 'lines.a__', '{"a":1,"a":2}', timestamp],
  );
});

test('another body under an id that is known is answered 200, and told among the conflicts [SRC-4]', async (t) => {
  const { server, sources } = await start(t);
  await sources.make('shop', { kind: 'generic', topic: 'orders', id: '/id' });
  assert.deepEqual(await sources.taken(sources.deliver('shop', '{"id":1}')), [1, 0, 0]);
  assert.deepEqual(await sources.taken(sources.deliver('shop', '{"id":1,"new":true}')), [0, 1, 1]);
  const { conflicts } = await server.get<{ conflicts: { event_id: string }[] }>('/conflicts');
  assert.deepEqual(
    conflicts.map(({ event_id }) => event_id),
    ['1'],
  );
});

test('any of the secrets signs; a wrong signature, none, and a source that there is not are answered alike, and only the log tells them apart [SRC-5, SRC-6]', async (t) => {
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const keys = new TestKeys(t, { boss: { scopes: ['admin'] }, sender: { scopes: ['publish'] } });
  const server = await TestServer.startOn(
    t,
    () => new MemoryStore(),
    { API_KEYS_FILE: keys.path },
    {},
    {},
    log,
  );
  const sources = new TestSources(server, withKey('boss'));
  await sources.make('shop', { kind: 'generic', topic: 'orders', secrets: ['old', 'new'] });
  await sources.make('open', { kind: 'generic', topic: 'orders' });
  const body = '{"order":1}';
  assert.deepEqual(await sources.taken(sources.deliver('shop', body, signed(body, 'new'))), [1, 0, 0]);
  assert.deepEqual(await sources.taken(sources.deliver('shop', body, signed(body, 'old'))), [0, 1, 0]);
  const refused = [
    await sources.deliver('shop', body, signed(body, 'guess')),
    await sources.deliver('shop', `${body} `, signed(body, 'new')),
    await sources.deliver('shop', body),
    await sources.deliver('shop', body, { 'x-signature-256': 'sha256=00' }),
    await sources.deliver('open', body),
    await sources.deliver('open', body, withKey('nobody')),
    await sources.deliver('nothing', body, withKey('nobody')),
    await sources.deliver('nothing', body, signed(body, 'new')),
    await sources.deliver('%00', body),
  ];
  const answers = await Promise.all(
    refused.map(async (one) => [await one.text(), one.status, one.headers.get('www-authenticate')] as const),
  );
  assert.equal(answers[0]![1], 401);
  assert.match(answers[0]![0], /"delivery_refused"/);
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  const told = lines.map((line) => JSON.parse(line) as { source: string; reason?: string });
  assert.deepEqual(
    told.filter(({ reason }) => reason !== undefined).map(({ source, reason }) => `${source} ${reason}`),
    ['shop wrong_signature', 'shop unsigned', 'open unsigned', 'nothing unsigned'],
  );
  assert.ok(!lines.some((line) => /"(?:old|new)"/.test(line)));
  await problemIn(await sources.deliver('nothing', body, withKey('sender')), 404, 'source_not_found');
});

test('a source without secrets takes what comes with a key that may publish on its topic [SRC-7]', async (t) => {
  const keys = new TestKeys(t, {
    boss: { scopes: ['admin'] },
    sender: { scopes: ['publish'], topics: ['orders.>'] },
    reader: { scopes: ['read'] },
  });
  const server = await TestServer.startOn(t, () => new MemoryStore(), { API_KEYS_FILE: keys.path });
  const sources = new TestSources(server, withKey('boss'));
  await sources.make('open', { kind: 'generic', topic: 'orders.eu' });
  await sources.make('other', { kind: 'generic', topic: 'bills' });
  assert.deepEqual(await sources.taken(sources.deliver('open', 'a', withKey('sender'))), [1, 0, 0]);
  await problemIn(await sources.deliver('other', 'a', withKey('sender')), 403, 'forbidden_topic');
  await problemIn(await sources.deliver('open', 'b', withKey('reader')), 403, 'forbidden');
  await problemIn(await new TestSources(server, withKey('sender')).get(), 403, 'forbidden');
});

test('a body that is longer than an event, or packed, is refused, and nothing is stored [SRC-8, P-6]', async (t) => {
  const { server, sources } = await start(t);
  await sources.make('shop', { kind: 'generic', topic: 'orders' });
  await problemIn(await sources.deliver('shop', 'x'.repeat(1_048_577)), 413, 'body_too_large');
  await problemIn(await sources.deliver('shop', '\0'.repeat(1_000_000)), 413, 'body_too_large');
  const packed = await sources.deliver('shop', 'x', { 'content-encoding': 'gzip' });
  await problemIn(packed, 415, 'unsupported_media_type');
  assert.equal((await server.stats()).received, 0);
  const page = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(page, /chronicleweaver_deliveries_total\{kind="generic",outcome="refused"\} 3/);
});

test('while the store is not available, deliveries are answered 503, and may come again [SRC-4, P-7]', async (t) => {
  const { server, store, sources } = await start(t);
  await sources.make('shop', { kind: 'generic', topic: 'orders' });
  await store.close();
  await problemIn(await sources.deliver('shop', 'x'), 503, 'store_unavailable');
  const page = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(page, /chronicleweaver_deliveries_total\{kind="generic",outcome="unavailable"\} 1/);
});

test('a page cannot send to a source without secrets what it could without being asked first [SRC-7, CORS-1]', async (t) => {
  const { server, sources } = await start(t);
  const origin = { origin: 'https://evil.example' };
  await sources.make('open', { kind: 'generic', topic: 'orders' });
  for (const type of ['text/plain', 'text/plain;charset=UTF-8', 'application/x-www-form-urlencoded', '']) {
    const answer = await sources.deliver('open', '{"a":1}', { ...origin, 'content-type': type });
    await problemIn(answer, 415, 'unsupported_media_type');
  }
  assert.equal((await server.stats()).received, 0);
  const json = { ...origin, 'content-type': 'application/json' };
  assert.deepEqual(await sources.taken(sources.deliver('open', '{"a":1}', json)), [1, 0, 0]);
  await sources.make('shop', { kind: 'generic', topic: 'orders', secret: SECRET });
  const headers = { ...origin, ...signed('text', SECRET) };
  assert.deepEqual(await sources.taken(sources.deliver('shop', 'text', headers)), [1, 0, 0]);
});

test('a name that every object has is that of a header like any other [SRC-5, SRC-8, SRC-10]', async (t) => {
  const { sources } = await start(t);
  for (const name of ['constructor', '__proto__']) {
    await sources.make(name, { kind: 'generic', topic: 'orders', id: name });
    await problemIn(await sources.deliver(name, 'a'), 422, 'invalid_delivery');
    await sources.make(`${name}.signed`, {
      kind: 'generic',
      topic: 'orders',
      secret: SECRET,
      signature: { header: name },
    });
    await problemIn(await sources.deliver(`${name}.signed`, 'a'), 401, 'delivery_refused');
  }
});

test('no header of a refusal tells whether there is a source [SRC-5]', async (t) => {
  const keys = new TestKeys(t, { boss: { scopes: ['admin'] } });
  const server = await TestServer.startOn(t, () => new MemoryStore(), { API_KEYS_FILE: keys.path });
  const sources = new TestSources(server, withKey('boss'));
  await sources.make('shop', { kind: 'generic', topic: 'orders', secret: SECRET });
  for (const [body, headers] of [
    ['x', { 'content-encoding': 'gzip' }],
    ['x'.repeat(1_048_577), {}],
    ['x', {}],
  ] as const) {
    const [known, unknown] = await Promise.all(
      ['shop', 'nobody'].map(async (name) => {
        const answer = await sources.deliver(name, body, headers);
        return [answer.status, answer.headers.get('www-authenticate'), await answer.text()];
      }),
    );
    assert.deepEqual(unknown, known);
  }
});
