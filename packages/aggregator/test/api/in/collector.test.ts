import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { define } from '../../support/collecting.ts';
import { scraped } from '../../support/metrics.ts';
import { problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

const A = '{"time":1761645600.5,"id":"a","host":"h1","big":18446744073709551616}';
const B = '{"time":"2025-10-28T10:00:01Z","id":"b"}';

interface Counts {
  events_count: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
}

async function sent(name: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
  return service().post(body, headers, `/in/${name}`);
}

async function counted(name: string, body: string | Uint8Array, headers?: Record<string, string>) {
  const response = await sent(name, body, headers);
  assert.equal(response.status, 200, await response.clone().text());
  const { accepted, duplicates, conflicts } = (await response.json()) as Counts;
  return [accepted, duplicates, conflicts];
}

test('a collector is defined with a mapping, which is told again; what is wrong with it is refused by its field [COL-1]', async () => {
  const server = service();
  const definition = {
    kind: 'collector',
    topic: 'logs.{service|none}',
    source: '{host}',
    id: '{id|}',
    timestamp: 'time',
    digest: ['host', '/log.line'],
    records: 'events',
  };
  await define(server, 'whole', definition);
  const told = await server.get<Record<string, unknown>>('/sources/whole');
  for (const [member, value] of Object.entries(definition)) assert.deepEqual(told[member], value, member);
  assert.equal(told['secrets'], 0);

  const put = (changes: object) =>
    fetch(`${server.url}/sources/bad`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'collector', topic: 'logs', ...changes }),
    });
  const bad: [object, string][] = [
    [{ topic: 'logs.{a' }, 'topic'],
    [{ topic: 'logs.{a..b}' }, 'topic'],
    [{ source: '{}' }, 'source'],
    [{ id: 'constant' }, 'id'],
    [{ id: '/a~2' }, 'id'],
    [{ timestamp: 'a.' }, 'timestamp'],
    [{ digest: ['ok', ''] }, 'digest'],
    [{ digest: [] }, 'digest'],
    [{ secret: 'x' }, 'secrets'],
    [{ kind: 'generic', digest: ['a'] }, 'digest'],
  ];
  for (const [changes, field] of bad) {
    const { errors } = await problemIn(await put(changes), 422, 'invalid_parameter');
    assert.equal(errors![0]!.field, field, JSON.stringify(changes));
  }
});

test('records are taken in any form and coding, whatever their type is called, and once [COL-2, COL-4, PUB-8]', async () => {
  const server = service();
  await define(server, 'forms', { kind: 'collector', topic: 'forms', id: '/id', source: '{host|nobody}' });
  assert.deepEqual(await counted('forms', `${A}\n`, { 'content-type': 'text/plain' }), [1, 0, 0]);
  const bodies = [`[${A},${B}]`, `${A}\n${B}\n`, `{"logs":[${A},${B}]}`, `${A}${B}`];
  const types = ['application/json', 'application/x-ndjson', 'application/x-www-form-urlencoded', 'log/none'];
  for (const [i, body] of bodies.entries()) {
    const type = { 'content-type': types[i]! };
    assert.deepEqual(await counted('forms', body, type), i === 0 ? [1, 1, 0] : [0, 2, 0], body);
    const gzip = { ...type, 'content-encoding': 'gzip' };
    assert.deepEqual(await counted('forms', gzipSync(body), gzip), [0, 2, 0]);
    const zstd = { ...type, 'content-encoding': 'zstd' };
    assert.deepEqual(await counted('forms', zstdCompressSync(body), zstd), [0, 2, 0]);
  }
  const bare = await fetch(`${server.url}/in/forms`, { method: 'POST', body: Buffer.from(`[${B}]`) });
  assert.equal(bare.status, 200);
  const stored = await (await fetch(`${server.url}/events?topic=forms`)).text();
  assert.ok(stored.includes(`"payload":{"body":${A}}`), stored);
  const { events } = await server.events('?topic=forms');
  assert.deepEqual(
    events.map(({ event_id: id, source, timestamp }) => [id, source, timestamp]),
    [
      ['a', 'h1', '2025-10-28T10:00:00.5Z'],
      ['b', 'nobody', '2025-10-28T10:00:01Z'],
    ],
  );
});

test('a collector that asks by HEAD whether anybody is there is told 200 [COL-1]', async () => {
  const server = service();
  await define(server, 'asked', { kind: 'collector', topic: 'asked' });
  assert.equal((await fetch(`${server.url}/in/asked`, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${server.url}/health`, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${server.url}/in/nobody`, { method: 'HEAD' })).status, 404);
});

test('a request is taken as a whole or not at all: half a line at its end, a record that the mapping finds nothing in [COL-7, P-3, P-6]', async () => {
  const server = service();
  await define(server, 'strict', { kind: 'collector', topic: 'strict.{service}', id: '/id' });
  const good = '{"service":"s","id":"1"}';
  const cut = await problemIn(await sent('strict', `${good}\n{"service":"s","i`), 422, 'invalid_delivery');
  assert.match(cut.detail, /is cut.*nothing was stored/);
  const missing = await problemIn(await sent('strict', `[${good},{"id":"2"}]`), 422, 'invalid_delivery');
  assert.deepEqual(
    missing.errors!.map(({ index, field }) => [index, field]),
    [[1, 'service']],
  );
  await problemIn(await sent('strict', `[${good},7]`), 422, 'invalid_delivery');
  await problemIn(await sent('strict', ''), 422, 'invalid_delivery');
  await problemIn(await sent('strict', Buffer.of(0x22, 0xff)), 422, 'invalid_delivery');
  for (const type of ['application/msgpack', 'application/x-protobuf']) {
    await problemIn(await sent('strict', good, { 'content-type': type }), 415, 'unsupported_media_type');
  }
  const snappy = { 'content-encoding': 'snappy' };
  await problemIn(await sent('strict', good, snappy), 415, 'unsupported_media_type');
  await problemIn(await sent('strict', good, { 'content-encoding': 'gzip' }), 400, 'invalid_encoding');
  assert.equal((await server.events('?topic=strict.s')).count, 0);
  assert.deepEqual(await counted('strict', good), [1, 0, 0]);
  const { text } = await scraped(server.url);
  assert.match(text, /^chronicleweaver_deliveries_total\{kind="collector",outcome="refused"\} [1-9]/m);
});

test('a request that is sent again consists of duplicates, and equal lines of one request are two [COL-6, P-2]', async () => {
  await define(service(), 'again', { kind: 'collector', topic: 'again' });
  const line = '{"date":1761645600.123456,"log":"tick"}';
  const body = `${line}\n${line}\n{"date":1761645600.123457,"log":"tick"}\n`;
  assert.deepEqual(await counted('again', body), [3, 0, 0]);
  assert.deepEqual(await counted('again', body), [0, 3, 0]);
  // Cut anew, the second of two equal lines is taken for the first.
  assert.deepEqual(await counted('again', `${line}\n`), [0, 1, 0]);
});

test('pages of other origins cannot send what they could without being asked first [COL-8, CORS-1]', async () => {
  await define(service(), 'pages', { kind: 'collector', topic: 'pages' });
  const origin = { origin: 'https://evil.example' };
  for (const type of ['text/plain', 'text/plain;charset=UTF-8', 'application/x-www-form-urlencoded', '']) {
    const headers: Record<string, string> = { ...origin, 'content-type': type };
    await problemIn(await sent('pages', B, headers), 415, 'unsupported_media_type');
  }
  assert.deepEqual(await counted('pages', B, origin), [1, 0, 0]);
});

test('a large request is taken while others get their turn [COL-2]', async () => {
  const server = service();
  await define(server, 'large', { kind: 'collector', topic: 'large' });
  const lines = Array.from({ length: 20_000 }, (_, i) => `{"time":${1e9 + i},"message":"line ${i}"}`);
  const large = counted('large', lines.join('\n'));
  const small = await Promise.all([1, 2, 3].map((n) => counted('large', `{"time":${n},"message":"small"}`)));
  assert.deepEqual(small, [[1, 0, 0], [1, 0, 0], [1, 0, 0]]); // prettier-ignore
  assert.deepEqual(await large, [20_000, 0, 0]);
});
