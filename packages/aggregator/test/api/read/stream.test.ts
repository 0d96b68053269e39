import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { manyEvents } from '../../support/events.ts';
import { requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';

const follow = (server: TestServer, query = '', headers: Record<string, string> = {}) =>
  StreamReader.open(`${server.url}/events/stream${query}`, headers);

const named = (prefix: string, count: number, topic = 'orders') =>
  manyEvents(count, (i) => ({ event_id: `${prefix}-${i}`, topic }));

test('a follower gets what is stored, then what is committed, each as GET /events gives it [STR-1, STR-3]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 30));
  const reader = await follow(server, '?after=earliest');
  await reader.until(30);
  for (let batch = 0; batch < 5; batch++) await server.publish(...named(`live-${batch}`, 7));
  await reader.until(65);
  const text = await (
    await fetch(`${server.url}/events`, { headers: { accept: 'application/x-ndjson' } })
  ).text();
  assert.deepEqual(reader.texts, text.trimEnd().split('\n'));
  const [, ...blocks] = reader.blocks;
  assert.deepEqual(
    blocks.map((block) => [block['id'], Object.keys(block)]),
    reader.offsets.map((offset) => [String(offset), ['id', 'data']]),
  );
});

test('the answer is an event stream that no proxy may buffer or recompress [STR-7]', async (t) => {
  const server = await TestServer.start(t);
  const { response } = await follow(server, '', { 'accept-encoding': 'gzip, br, zstd' });
  assert.deepEqual(
    ['content-type', 'cache-control', 'x-accel-buffering', 'content-encoding'].map((name) =>
      response.headers.get(name),
    ),
    ['text/event-stream', 'no-cache, no-transform', 'no', null],
  );
});

test('after is an offset, earliest, or latest, which is the default [STR-4]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 10));
  const readers = await Promise.all(
    ['?after=7', '?after=earliest', '?after=0', '?after=latest', '', '?after=10'].map((query) =>
      follow(server, query),
    ),
  );
  await server.publish(...named('live', 2));
  const first = [8, 1, 1, 11, 11, 11];
  for (const [i, reader] of readers.entries()) {
    await reader.until(13 - first[i]!);
    assert.deepEqual(
      reader.offsets,
      Array.from({ length: 13 - first[i]! }, (_, n) => first[i]! + n),
    );
  }
});

test('Last-Event-ID wins over after, so that a follower continues where it was cut off [STR-4]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 10));
  const reader = await follow(server, '?after=earliest', { 'last-event-id': '8' });
  await reader.until(2);
  assert.deepEqual(reader.offsets, [9, 10]);
  const empty = await follow(server, '?after=6', { 'last-event-id': '' });
  await empty.until(4);
});

test('the parameter lastEventId is a cursor like the header, which wins; an empty one is ignored [STR-4, STR-6]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 10));
  const cases: [string, string | undefined, number][] = [
    ['?after=earliest&lastEventId=8', undefined, 9],
    ['?after=99&lastEventId=0', undefined, 1],
    ['?lastEventId=3&after=nonsense', '6', 7],
    ['?after=earliest&lastEventId=8', '', 9],
    ['?after=6&lastEventId=', undefined, 7],
    ['?after=6&lastEventId=', '', 7],
  ];
  for (const [query, header, first] of cases) {
    const headers: Record<string, string> = header === undefined ? {} : { 'last-event-id': header };
    const reader = await follow(server, query, headers);
    await reader.until(11 - first);
    assert.equal(reader.offsets[0], first, query);
    await reader.cut();
  }
  const url = `${server.url}/events/stream?after=earliest&lastEventId=`;
  const { errors } = await problemIn(await fetch(`${url}x`), 422, 'invalid_parameter');
  assert.equal(errors?.[0]?.field, 'lastEventId');
  await problemIn(await fetch(`${url}11`), 409, 'cursor_beyond_end');
});

test('a follower cut off before its first event misses none: the stream begins with its cursor [STR-5]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 3));
  const reader = await follow(server);
  while (reader.blocks.length === 0) await new Promise(setImmediate);
  const { retry, ...first } = reader.blocks[0]!;
  assert.deepEqual(first, { id: '3' });
  assert.ok(Number(retry) >= 1000 && Number(retry) <= 2000, `retry: ${retry}`);
  await reader.cut();
  await server.publish(...named('missed', 2));
  const back = await follow(server, '', { 'last-event-id': reader.lastEventId });
  await back.until(2);
  assert.deepEqual(back.offsets, [4, 5]);
});

test('a follower of a topic gets no other topic, stored or live [STR-2]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('a', 3, 'a'), ...named('b', 3, 'b'));
  const reader = await follow(server, '?topic=b&after=earliest');
  await server.publish(...named('live', 2, 'a'));
  await server.publish(...named('live', 2, 'b'));
  await reader.until(5);
  assert.deepEqual(reader.offsets, [4, 5, 6, 9, 10]);
});

test('several topics and patterns can be followed, stored or live [STR-2]', async (t) => {
  const server = await TestServer.start(t);
  const topics = [
    'orders',
    'orders.eu',
    'orders.eu.paid',
    'payments.eu',
    'orders.',
    '.eu',
    'orders*',
    'größe',
  ];
  const send = (prefix: string) => server.publish(...topics.map((topic) => named(prefix, 1, topic)[0]!));
  await send('stored');
  const cases: [string, string[]][] = [
    ['topic=orders.*', ['orders.eu', 'orders.']],
    ['topic=orders.%3E', ['orders.eu', 'orders.eu.paid', 'orders.']],
    ['topic=*.eu&topic=orders', ['orders', 'orders.eu', 'payments.eu', '.eu']],
    ['topic=*.*.paid&topic=orders*', ['orders.eu.paid', 'orders*']],
    ['topic=%3E', topics],
    ['topic=gr%C3%B6%C3%9Fe&topic=nowhere', ['größe']],
  ];
  const readers = await Promise.all(cases.map(([query]) => follow(server, `?after=earliest&${query}`)));
  await Promise.all(readers.map((reader, i) => reader.until(cases[i]![1].length)));
  await send('live');
  for (const [i, reader] of readers.entries()) {
    const [query, expected] = cases[i]!;
    const events = await reader.until(expected.length * 2);
    assert.deepEqual(
      events.map(({ topic }) => topic),
      [...expected, ...expected],
      query,
    );
  }
});

test('an invalid pattern and too many patterns are refused and named [STR-2, ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  for (const query of [
    'topic=a.%3E.b',
    'topic=ok&topic=%3E.a',
    'topic=',
    'topic=a%00b',
    `topic=${'x'.repeat(257)}`,
    `topic=a&`.repeat(65),
  ]) {
    const response = await fetch(`${server.url}/events/stream?${query}`);
    const { errors } = await problemIn(response, 422, 'invalid_parameter');
    assert.deepEqual([errors?.length, errors?.[0]?.field], [1, 'topic'], query);
  }
});

test('an invalid cursor is refused and named [STR-6, ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  for (const after of [
    '',
    'first',
    '-1',
    '1.5',
    '1e3',
    '0x10',
    ' 1',
    '9007199254740993',
    '99999999999999999',
  ]) {
    const response = await fetch(`${server.url}/events/stream?after=${encodeURIComponent(after)}`);
    const { errors } = await problemIn(response, 422, 'invalid_parameter');
    assert.equal(errors?.[0]?.field, 'after', after);
    assert.match(errors[0].message, /earliest or latest/);
  }
  for (const id of ['x', '-1', '1,2']) {
    const response = await fetch(`${server.url}/events/stream`, { headers: { 'last-event-id': id } });
    const { errors } = await problemIn(response, 422, 'invalid_parameter');
    assert.equal(errors?.[0]?.field, 'Last-Event-ID');
  }
  const unknown = await fetch(`${server.url}/events/stream?from=1`);
  await problemIn(unknown, 422, 'invalid_parameter');
});

test('a cursor beyond the end of the log is refused, with the end of the log [STR-6]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 3));
  const url = `${server.url}/events/stream`;
  for (const response of [
    await fetch(`${url}?after=4`),
    await fetch(url, { headers: { 'last-event-id': '9007199254740991' } }),
  ]) {
    const { detail } = await problemIn(response, 409, 'cursor_beyond_end');
    assert.match(detail, /the log ends at 3/);
  }
  const atTheEnd = await follow(server, '?after=3');
  await server.publish(...named('live', 1));
  await atTheEnd.until(1);
});

test('followers beyond the limit are refused, and one that leaves makes room [STR-9, SYS-3]', async (t) => {
  const server = await TestServer.start(t, { FOLLOWERS_MAX: '2' });
  const first = await follow(server);
  const second = await follow(server);
  const refused = await fetch(`${server.url}/events/stream`);
  assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  await problemIn(refused, 503, 'followers_full');
  assert.equal((await server.get<{ followers: number }>('/stats')).followers, 2);
  // A HEAD request takes no place.
  assert.equal((await fetch(`${server.url}/events/stream`, { method: 'HEAD' })).status, 200);
  await first.cut();
  for (;;) {
    const response = await fetch(`${server.url}/events/stream`);
    await response.body?.cancel();
    if (response.status === 200) break;
  }
  await server.publish(...named('live', 1));
  await second.until(1);
});

test('a reader that pauses holds up nobody and gets the same events, once each [STR-8]', async (t) => {
  const server = await TestServer.start(t);
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(requestText('GET /events/stream?after=earliest'));
  // More than the kernel buffers at both ends.
  const text = 'x'.repeat(20_000);
  for (let batch = 0; batch < 12; batch++) {
    await server.publish(...manyEvents(50, (i) => ({ event_id: `${batch}-${i}`, payload: { text } })));
  }
  let got = '';
  socket.setEncoding('utf8').on('data', (piece: string) => (got += piece));
  socket.resume();
  while (!/^id: 600\ndata.*\n\n/m.test(got.slice(-50_000))) await once(socket, 'data');
  const ids = [...got.matchAll(/^id: (\d+)\ndata/gm)].map(([, id]) => Number(id));
  assert.deepEqual(
    ids,
    Array.from({ length: 600 }, (_, i) => i + 1),
  );
});

test('a close ends every stream at once [STR-10]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...named('stored', 3));
  const readers = await Promise.all(Array.from({ length: 20 }, () => follow(server, '?after=earliest')));
  for (const reader of readers) await reader.until(3);
  const startMs = performance.now();
  await server.close();
  await Promise.all(readers.map((reader) => reader.ended));
  // A connection that does not end by itself would be closed after 5 s.
  assert.ok(performance.now() - startMs < 4000, `${performance.now() - startMs} ms`);
});
