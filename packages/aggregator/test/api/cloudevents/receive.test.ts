import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { LIMITS } from '@chronicleweaver/protocol';
import { Document } from '../../support/api-document.ts';
import { booksOf } from '../../support/books.ts';
import { cloudEventWith, sendBinary, sendStructured, verdictOf } from '../../support/cloud-events.ts';
import { eventWith } from '../../support/events.ts';
import { withKeys } from '../../support/keyed-server.ts';
import { withKey } from '../../support/keys.ts';
import { MIB, answerIn } from '../../support/publishing.ts';
import { type TestServer, problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

const REQUIRED = { specversion: '1.0', id: '1', source: '/shop', type: 'binary' };

/** The text of a topic's events, as stored. */
async function textOf(server: TestServer, topic: string): Promise<string> {
  const response = await fetch(`${server.url}/events?topic=${encodeURIComponent(topic)}`, {
    headers: { accept: 'application/x-ndjson' },
  });
  return response.text();
}

test('a CloudEvent is stored under its type, and sent again it is a duplicate [CE-1, CE-2]', async () => {
  const server = service();
  const event = cloudEventWith({ type: 'one' });
  assert.equal(await verdictOf(sendStructured(server, event)), '1 0 0');
  assert.equal(await verdictOf(sendStructured(server, event)), '0 1 0');
  assert.equal(await verdictOf(sendStructured(server, { ...event, data: 2 })), '0 1 1');
  assert.equal(await verdictOf(sendStructured(server, { ...event, source: '/other' })), '1 0 0');
  const { events } = await server.events('?topic=one');
  assert.deepEqual(
    events.map(({ offset: _offset, received_at: _at, ...sent }) => sent),
    [
      { event_id: '/shop 1', topic: 'one', source: '/shop', payload: { cloudevent: event }, timestamp: '2025-10-28T10:00:00Z' }, // prettier-ignore
      { event_id: '/other 1', topic: 'one', source: '/other', payload: { cloudevent: { ...event, source: '/other' } }, timestamp: '2025-10-28T10:00:00Z' }, // prettier-ignore
    ],
  );
});

test('a CloudEvent without a time can be sent again, too [CE-3]', async () => {
  const server = service();
  const { time: _time, ...event } = cloudEventWith({ type: 'timeless' });
  assert.equal(await verdictOf(sendStructured(server, event)), '1 0 0');
  assert.equal(await verdictOf(sendStructured(server, { ...event, time: null })), '0 1 1');
  assert.equal(await verdictOf(sendStructured(server, event)), '0 1 0');
  assert.equal((await server.events('?topic=timeless')).events[0]!.timestamp, '1970-01-01T00:00:00Z');
});

test('what came is kept member by member and digit by digit [CE-3]', async () => {
  const server = service();
  const text =
    '{"data":{"n":1.0,"big":123456789012345678901234567890,"e":1E+2,"__proto__":null},"type":"kept","specversion":"1.0",' +
    '"id":"\\u0031","source":"/s","ext":12345678901,"flag":true,"subject":null}';
  const spaced = ` ${text.replaceAll(',"', ' ,\n\t"')} `;
  assert.equal(await verdictOf(sendStructured(server, spaced)), '1 0 0');
  assert.ok((await textOf(server, 'kept')).includes(`"payload":{"cloudevent":${text}}`));
  assert.equal(await verdictOf(sendStructured(server, text)), '0 1 0');
});

test('an address of its own names the topic, whatever the type [CE-1]', async () => {
  const server = service();
  const path = '/topics/own%20topic%2F1/cloudevents';
  const type = 't'.repeat(1000);
  assert.equal(await verdictOf(sendStructured(server, cloudEventWith({ type }), { path })), '1 0 0');
  assert.equal(await verdictOf(sendBinary(server, { ...REQUIRED, type, id: '2' }, '1', { path })), '1 0 0');
  assert.equal(await verdictOf(sendStructured(server, [cloudEventWith({ type })], { path })), '0 1 0');
  const { events } = await server.events(`?topic=${encodeURIComponent('own topic/1')}`);
  assert.deepEqual(events.map(({ event_id: id }) => id), ['/shop 1', '/shop 2']); // prettier-ignore
  for (const [type, at] of [
    ['application/json', path],
    ['text/plain', path],
    ['application/cloudevents+avro', path],
    ['application/cloudevents+avro', '/publish'],
    ['application/cloudevents', '/publish'],
  ] as const) {
    const refused = await server.post('{}', { 'content-type': type }, at);
    const { detail } = await problemIn(refused, 415, 'unsupported_media_type');
    assert.match(detail, /application\/cloudevents\+json/);
  }
});

test('a batch is told event by event, and stored whole or not at all [CE-1, P-3, PUB-3, PUB-4]', async () => {
  const server = service();
  const batch = ['1', '2', '1'].map((id) => cloudEventWith({ type: `batch.${id}`, id }));
  const response = await sendStructured(server, batch, { path: '/publish?results=true' });
  const { results } = await answerIn(response);
  assert.deepEqual(results!.map(({ topic, event_id: id, verdict }) => [topic, id, verdict]), [['batch.1', '/shop 1', 'accepted'], ['batch.2', '/shop 2', 'accepted'], ['batch.1', '/shop 1', 'duplicate']]); // prettier-ignore
  const before = await booksOf(server);
  const bad = [cloudEventWith({ id: 'new' }), cloudEventWith({ id: 7 })];
  const { errors } = await problemIn(await sendStructured(server, bad), 422, 'invalid_event');
  assert.deepEqual(errors, [{ index: 1, field: 'id', message: 'expected a string, got a number' }]);
  const many = `[${`${JSON.stringify({ ...REQUIRED, type: 'x' })},`.repeat(LIMITS.batchEventsMax)}0]`;
  const headers = { 'content-type': 'application/cloudevents-batch+json' };
  await problemIn(await sendStructured(server, many, { headers }), 413, 'batch_too_large');
  assert.equal(await verdictOf(sendStructured(server, [])), '0 0 0');
  assert.deepEqual(await booksOf(server), before);
});

const SHA = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

const IDENTITIES: readonly [source: string, id: string, eventId: string][] = [
  ['a b', 'c', 'a%20b c'],
  ['a', 'b c', 'a b c'],
  ['a%20b', 'c', 'a%2520b c'],
  ['😀', 'é "\\', '😀 é "\\'],
  ['s', 'x'.repeat(510), `s ${'x'.repeat(510)}`],
  ['s', 'x'.repeat(511), SHA(`s ${'x'.repeat(511)}`)],
  ['😀'.repeat(256), 'x'.repeat(255), `${'😀'.repeat(256)} ${'x'.repeat(255)}`],
  ['s'.repeat(257), 'x', `${'s'.repeat(257)} x`],
];

test('source and id together are the identity, however long they are [CE-2]', async () => {
  const server = service();
  const batch = IDENTITIES.map(([source, id]) => cloudEventWith({ type: 'identities', source, id }));
  assert.equal(await verdictOf(sendStructured(server, batch)), `${IDENTITIES.length} 0 0`);
  assert.equal(await verdictOf(sendStructured(server, batch)), `0 ${IDENTITIES.length} 0`);
  const { events } = await server.events('?topic=identities');
  assert.deepEqual(
    events.map(({ event_id: eventId }) => eventId),
    IDENTITIES.map(([, , eventId]) => eventId),
  );
  assert.equal(events.at(-1)!.source, SHA('s'.repeat(257)));
  assert.deepEqual(events[0]!.source, 'a b');
});

const DATA: readonly [type: string | null, body: string | Uint8Array<ArrayBuffer>, member: string][] = [
  ['application/json', ' { "n": 1.0 } ', '"datacontenttype":"application/json","data":{"n":1.0}'],
  ['application/vnd.x+json; charset=utf-8', '"å"', '"data":"å"'],
  ['text/json', '[1]', '"data":[1]'],
  ['application/json', 'no JSON', '"data_base64":"bm8gSlNPTg=="'],
  ['application/json', '{"a":1,"a":2}', '"data_base64":"eyJhIjoxLCJhIjoyfQ=="'],
  ['application/json', '1},"id":"2"', '"data_base64":"MX0sImlkIjoiMiI="'],
  ['application/json', `${'['.repeat(98)}${']'.repeat(98)}`, `"data":${'['.repeat(98)}`],
  ['application/json', `${'['.repeat(99)}${']'.repeat(99)}`, '"data_base64":"W1tb'],
  ['text/plain', 'hello "you"\n', '"datacontenttype":"text/plain","data":"hello \\"you\\"\\n"'],
  ['text/plain; charset=latin1', 'hi', '"data_base64":"aGk="'],
  ['text/plain', Uint8Array.of(0xff), '"data_base64":"/w=="'],
  ['application/atom+xml', '<a/>', '"data":"<a/>"'],
  ['application/octet-stream', 'hi', '"data_base64":"aGk="'],
  ['application/x-ndjson', '{}\n{}', '"data_base64":"e30Ke30="'],
  [null, 'hi', '"data_base64":"aGk="'],
  [null, '{"a": 1}', '"data":{"a":1}'],
  ['application/json', '', '"datacontenttype":"application/json"}}'],
];

test('in binary mode headers are attributes, and the body is data of its type [CE-4]', async () => {
  const server = service();
  for (const [i, [type, body, member]] of DATA.entries()) {
    const attributes = { ...REQUIRED, id: `data-${i}`, comext: '5' };
    // Bytes without a type of their own are sent without one.
    const bytes = typeof body === 'string' && type === null ? Uint8Array.from(Buffer.from(body)) : body;
    const sending = { headers: type === null ? {} : { 'content-type': type } };
    assert.equal(await verdictOf(sendBinary(server, attributes, bytes, sending)), '1 0 0', `${i}`);
    assert.equal(await verdictOf(sendBinary(server, attributes, bytes, sending)), '0 1 0', `${i}`);
    const stored = (await textOf(server, 'binary')).trimEnd().split('\n').at(-1)!;
    const head = `{"cloudevent":{"specversion":"1.0","id":"data-${i}","source":"/shop","type":"binary","comext":"5",`;
    assert.ok(stored.includes(head), stored);
    assert.ok(stored.includes(member), stored);
  }
});

test('headers are read without their quotes and percent-decoded once [CE-4]', async () => {
  const server = service();
  const rows = [
    ['Euro%20%E2%82%AC%20%F0%9F%98%80', 'Euro € 😀'],
    ['"a \\"b\\" \\\\"', 'a "b" \\'],
    ['%2541', '%41'],
    ['50%', '50%'],
    ['100%zz', '100%zz'],
    ['half a quote"', 'half a quote"'],
    [Buffer.from('å').toString('latin1'), 'å'],
  ] as const;
  for (const [sent, read] of rows) {
    const attributes = { ...REQUIRED, type: 'headers', id: sent };
    const { results } = await answerIn(
      await sendBinary(server, attributes, 'x', { path: '/publish?results=true' }),
    );
    assert.equal(results![0]!.event_id, `/shop ${read}`);
  }
  for (const id of ['%C0%A0', '%ff', '%07']) {
    const { errors } = await problemIn(
      await sendBinary(server, { ...REQUIRED, id }, 'x'),
      422,
      'invalid_event',
    );
    assert.equal(errors![0]!.field, 'id', id);
  }
});

const BAD: readonly [change: Record<string, unknown>, field: string | null, message: RegExp][] = [
  [{ id: undefined }, 'id', /missing/],
  [{ id: null }, 'id', /missing/],
  [{ id: '' }, 'id', /empty/],
  [{ id: 'a\u0000b' }, 'id', /control character/],
  [{ source: 5 }, 'source', /expected a string, got a number/],
  [{ type: undefined }, 'type', /missing/],
  [{ type: 'x'.repeat(257) }, 'type', /topic.*256/],
  [{ specversion: undefined }, 'specversion', /missing/],
  [{ specversion: '0.3' }, 'specversion', /expected "1.0", got "0.3"/],
  [{ specversion: 1.0 }, 'specversion', /expected a string/],
  [{ data_base64: 'AAAA' }, 'data_base64', /beside data/],
  [{ data: undefined, data_base64: 'AAA' }, 'data_base64', /base64/],
  [{ data: undefined, data_base64: 'A_-=' }, 'data_base64', /base64/],
  [{ data: undefined, data_base64: 5 }, 'data_base64', /expected a string/],
  [{ time: '2025-10-28' }, 'time', /RFC 3339/],
  [{ time: '2025-02-30T10:00:00Z' }, 'time', /RFC 3339/],
  [{ time: '2025-10-28T10:00:00' }, 'time', /RFC 3339/],
  [{ time: 5 }, 'time', /expected a string/],
  [{ subject: '' }, 'subject', /empty/],
  [{ subject: 'a\u007f' }, 'subject', /control character/],
  [{ ext: 'a\u0085' }, 'ext', /control character/],
  [{ dataschema: 'a\n' }, 'dataschema', /control character/],
  [{ ext: { a: 1 } }, 'ext', /expected a string, a boolean or a number, got an object/],
  [{ myExt: 1 }, 'myExt', /lower-case/],
  [{ my_ext: 1 }, 'my_ext', /lower-case/],
  [{ data: JSON.parse('['.repeat(99) + ']'.repeat(99)) as unknown }, 'data', /98 deep/],
  [{ data: '\ud800' }, 'data', /surrogate/],
  [{ data: 'x'.repeat(LIMITS.eventBytesMax) }, null, /bytes long/],
];

test('a bad CloudEvent is refused by the name of its attribute [CE-5, P-6]', async () => {
  const server = service();
  const before = await booksOf(server);
  for (const [change, field, message] of BAD) {
    const what = JSON.stringify(change).slice(0, 100);
    const refused = await sendStructured(server, cloudEventWith(change));
    const { errors } = await problemIn(refused, 422, 'invalid_event').catch((cause: unknown) => {
      throw new Error(what, { cause });
    });
    assert.equal(errors![0]!.index, 0, what);
    assert.equal(errors![0]!.field, field, what);
    assert.match(errors![0]!.message, message);
    assert.equal(errors!.length, 1, what);
  }
  const twice = JSON.stringify(cloudEventWith()).replace('{', '{"id":"0",');
  const { errors } = await problemIn(await sendStructured(server, twice), 422, 'invalid_event');
  assert.deepEqual(errors, [{ index: 0, field: 'id', message: 'appears twice' }]);
  for (const body of ['', '{', '{}{}', '{"data":01}']) {
    await problemIn(await sendStructured(server, body), 400, 'invalid_json');
  }
  for (const body of ['[]', '5', '[{"id":"x"}]']) {
    await problemIn(await sendStructured(server, body), 422, 'invalid_event');
  }
  const noArray = { headers: { 'content-type': 'application/cloudevents-batch+json' } };
  await problemIn(await sendStructured(server, cloudEventWith(), noArray), 422, 'invalid_event');
  const binary: [Record<string, string>, string][] = [
    [{ ...REQUIRED, specversion: '0.3' }, 'specversion'],
    [{ id: '1', source: '/s', type: 't' }, 'specversion'],
    [{ specversion: '1.0', source: '/s', type: 't' }, 'id'],
    [{ ...REQUIRED, datacontenttype: 'text/plain' }, 'datacontenttype'],
    [{ ...REQUIRED, data: '1' }, 'data'],
    [{ ...REQUIRED, 'my-ext': '1' }, 'my-ext'],
    [{ ...REQUIRED, time: 'now' }, 'time'],
    [{ ...REQUIRED, type: 'x'.repeat(257) }, 'type'],
  ];
  for (const [attributes, field] of binary) {
    const problem = await problemIn(await sendBinary(server, attributes, 'x'), 422, 'invalid_event');
    assert.deepEqual(
      problem.errors!.map((error) => error.field),
      [field],
    );
  }
  assert.deepEqual(await booksOf(server), before);
});

test('types, codings, limits and keys are as for any publish [CE-1, PUB-8, PUB-9, KEY-3, KEY-5]', async (t) => {
  const { server } = await withKeys(
    t,
    {
      reader: { scopes: ['read'] },
      narrow: { scopes: ['publish'], topics: ['orders.>'] },
      slow: { scopes: ['publish'], rate_limit: { events_per_second: 0.01, burst: 2 } },
    },
    { BODY_BYTES_MAX: `${MIB}` },
  );
  const narrow = withKey('narrow');
  const event = cloudEventWith();
  await problemIn(await sendStructured(server, event), 401, 'unauthorized');
  const path = '/topics/payments/cloudevents';
  for (const at of [{}, { path }]) {
    const reader = { ...at, headers: withKey('reader') };
    await problemIn(await sendStructured(server, event, reader), 403, 'forbidden');
  }
  await problemIn(await sendStructured(server, event, { path, headers: narrow }), 403, 'forbidden_topic');
  const charset = { ...narrow, 'content-type': 'application/cloudevents+json; charset=utf-16' };
  await problemIn(await sendStructured(server, event, { headers: charset }), 415, 'unsupported_media_type');
  const long = cloudEventWith({ data: 'x'.repeat(MIB) });
  await problemIn(await sendStructured(server, long, { headers: narrow }), 413, 'body_too_large');
  const packed = Uint8Array.from(gzipSync(JSON.stringify(event)));
  const response = await fetch(`${server.url}/publish`, {
    method: 'POST',
    headers: { ...narrow, 'content-type': 'application/cloudevents+json', 'content-encoding': 'gzip' },
    body: packed,
  });
  assert.equal((await answerIn(response)).accepted, 1);
  const slow = { headers: withKey('slow') };
  await sendStructured(server, [event, event, event], slow);
  await problemIn(await sendStructured(server, event, slow), 429, 'rate_limited');
});

test('other resources take no CloudEvents [PUB-7, BODY-2]', async () => {
  const response = await fetch(`${service().url}/subscriptions/g`, {
    method: 'PUT',
    headers: { 'content-type': 'application/cloudevents+json' },
    body: '{"topics":["x"]}',
  });
  await problemIn(response, 415, 'unsupported_media_type');
});

test('an event of our own with headers of others is published as before [PUB-1]', async () => {
  const server = service();
  const response = await server.post(eventWith({ topic: 'plain' }), { 'ce-custom': 'x' });
  assert.equal((await answerIn(response)).accepted, 1);
});

test('answers on the address of CloudEvents are as documented [SYS-4, CE-1]', async (t) => {
  const { server } = await withKeys(
    t,
    {
      publisher: { scopes: ['publish'] },
      reader: { scopes: ['read'] },
      slow: { scopes: ['publish'], rate_limit: { events_per_second: 0.01, burst: 1 } },
    },
    { BODY_BYTES_MAX: `${MIB}` },
  );
  const json = await fetch(`${server.url}/openapi.json`, { headers: withKey('reader') });
  const document = new Document((await json.json()) as ConstructorParameters<typeof Document>[0]);
  const path = '/topics/{topic}/cloudevents';
  const send = (event: unknown, key: string, at = '/topics/t/cloudevents', headers = {}) =>
    sendStructured(server, event, { path: at, headers: { ...withKey(key), ...headers } });
  const checked: string[] = [];
  for (const response of [
    await send(cloudEventWith(), 'publisher', '/topics/t/cloudevents?results=true'),
    await send('{', 'publisher'),
    await send(cloudEventWith(), 'nobody'),
    await send(cloudEventWith(), 'reader'),
    await send(cloudEventWith({ data: 'x'.repeat(MIB) }), 'publisher'),
    await send(cloudEventWith(), 'publisher', undefined, { 'content-type': 'application/json' }),
    await send({}, 'publisher'),
    await send(cloudEventWith(), 'slow').then(() => send(cloudEventWith(), 'slow')),
  ]) {
    checked.push(await document.check('post', path, response));
  }
  assert.deepEqual(
    checked.map((name) => name.split(' ').at(-1)),
    ['200', '400', '401', '403', '413', '415', '422', '429'],
  );
});
