import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { brotliCompressSync, constants, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import { type Event, LIMITS, type PublishAnswer } from '@chronicleweaver/protocol';
import { booksOf } from '../support/books.ts';
import { eventWith, manyEvents } from '../support/events.ts';
import { RawConnection, exchange, requestText } from '../support/raw-http.ts';
import { TestServer, problemIn } from '../support/server.ts';

const MIB = 1024 * 1024;
const BODY_BYTES_MAX = 16 * MIB;
const COMPRESSIONS = {
  gzip: gzipSync,
  br: (body: Uint8Array | string) =>
    brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: zstdCompressSync,
};

/** A frame that wants a window of 2 to the power of `windowLog` bytes, however little is in it. */
async function zstdOfWindow(text: string, windowLog: number): Promise<Buffer> {
  const packing = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
  packing.write(text.slice(0, 1));
  packing.flush(() => packing.end(text.slice(1)));
  return buffer(packing);
}

async function answerIn(response: Response): Promise<PublishAnswer> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text) as PublishAnswer;
}

/** Verdict and offset of each event, like "duplicate 3". */
function verdictsIn({ results }: PublishAnswer): string[] {
  return results!.map(({ verdict, offset }) => `${verdict} ${offset}`);
}

/** A body that is a valid publish of one event and has exactly this many bytes. */
function bodyOfBytes(bytes: number): Buffer {
  const text = JSON.stringify({ events: [eventWith()] });
  return Buffer.from(text.padEnd(bytes, ' '));
}

/** A body without a length, sent in pieces. */
function chunked(body: Buffer): RequestInit {
  const pieces = ReadableStream.from(
    (function* () {
      for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
    })(),
  );
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: pieces,
    duplex: 'half',
  };
}

test('a batch is stored in the order sent and answered with its counts [PUB-1, PUB-2]', async (t) => {
  const server = await TestServer.start(t);
  const events = manyEvents(5);
  const response = await server.post({ events });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
  assert.equal(
    await response.text(),
    '{"status":"success","message":"Published 5 events","events_count":5,"accepted":5,"duplicates":0,"conflicts":0}',
  );
  const { events: stored } = await server.events();
  assert.deepEqual(
    stored.map(({ offset, received_at: _at, ...event }) => ({ offset, event })),
    events.map((event, i) => ({ offset: i + 1, event })),
  );
});

test('one bare event is a batch of one [PUB-1]', async (t) => {
  const server = await TestServer.start(t);
  const { message, events_count: count } = await answerIn(await server.post(eventWith()));
  assert.deepEqual([message, count], ['Published 1 events', 1]);
  assert.equal((await server.events()).events[0]?.event_id, 'e-1');
});

test('the name "events" may be written with escapes and have whitespace around it [PUB-1]', async (t) => {
  const server = await TestServer.start(t);
  const body = ` {\r\n\t"\\u0065vent\\u0073" : [ ${JSON.stringify(eventWith())} ] } \n`;
  assert.equal((await answerIn(await server.post(body))).accepted, 1);
});

test('with results each event is told its verdict and offset, in the order sent [PUB-2, PUB-3]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith({ event_id: 'old' }), eventWith({ event_id: 'other' }));
  const answer = await server.publish(
    eventWith({ event_id: 'new "1"' }),
    eventWith({ event_id: 'other' }),
    eventWith({ event_id: 'old', source: 'elsewhere' }),
    eventWith({ event_id: 'new "1"' }),
    eventWith({ event_id: 'old', topic: 'é/😀' }),
  );
  assert.deepEqual(answer, {
    status: 'success',
    message: 'Published 5 events',
    events_count: 5,
    accepted: 2,
    duplicates: 3,
    conflicts: 1,
    results: [
      { event_id: 'new "1"', topic: 'orders', verdict: 'accepted', offset: 3 },
      { event_id: 'other', topic: 'orders', verdict: 'duplicate', offset: 2 },
      { event_id: 'old', topic: 'orders', verdict: 'conflict', offset: 1 },
      { event_id: 'new "1"', topic: 'orders', verdict: 'duplicate', offset: 3 },
      { event_id: 'old', topic: 'é/😀', verdict: 'accepted', offset: 4 },
    ],
  });
});

test('results are told only where they are asked for [PUB-3]', async (t) => {
  const server = await TestServer.start(t);
  for (const [query, told] of [
    ['', false],
    ['?results=false', false],
    ['?results=true', true],
  ] as const) {
    const answer = await answerIn(await server.post(eventWith(), {}, `/publish${query}`));
    assert.equal('results' in answer, told, query);
  }
});

test('a parameter of a publish that is not right is refused before anything is stored [ERR-4, P-6]', async (t) => {
  const server = await TestServer.start(t);
  const before = await booksOf(server);
  for (const [query, field] of [
    ['results=', 'results'],
    ['results=yes', 'results'],
    ['results=1', 'results'],
    ['results=true&results=true', 'results'],
    ['result=true', 'result'],
    ['__proto__=true', '__proto__'],
  ] as const) {
    const response = await server.post(eventWith(), {}, `/publish?${query}`);
    const { errors } = await problemIn(response, 422, 'invalid_parameter');
    assert.deepEqual(
      errors?.map((error) => [error.index, error.field]),
      [[null, field]],
      query,
    );
  }
  assert.deepEqual(await booksOf(server), before);
});

test('the first event under an id is kept, in a batch, across batches and across a restart [P-2, PUB-5]', async (t) => {
  const server = await TestServer.start(t);
  const first = eventWith({ payload: { n: 1 } });
  const second = eventWith({ payload: { n: 2 } });
  assert.deepEqual(verdictsIn(await server.publish(first, second)), ['accepted 1', 'conflict 1']);
  assert.deepEqual(verdictsIn(await server.publish(second)), ['conflict 1']);
  await server.restart();
  assert.deepEqual(verdictsIn(await server.publish(second, first)), ['conflict 1', 'duplicate 1']);
  const { events } = await server.events();
  assert.deepEqual(
    events.map(({ payload }) => payload),
    [{ n: 1 }],
  );
});

test('the same id in another topic is another event, and so is one that only looks alike [PUB-5]', async (t) => {
  const server = await TestServer.start(t);
  const ids = ['id', 'ID', 'id ', ' id', 'i\u0307d', 'íd', 'i\u0301d', '1', '01', '1.0', '__proto__'];
  const events = ['orders', 'Orders', 'toString'].flatMap((topic) =>
    ids.map((id) => eventWith({ event_id: id, topic })),
  );
  assert.equal((await server.publish(...events)).accepted, events.length);
  assert.equal((await server.publish(...events)).duplicates, events.length);
});

test('a dropped event is a conflict where source, timestamp or payload differ, else a duplicate [PUB-6]', async (t) => {
  const server = await TestServer.start(t);
  const FIRST =
    '{"event_id":"e","topic":"t","source":"s/1","payload":{"a":1.0,"b":["x",{}]},"timestamp":"2025-10-28T10:00:00Z"}';
  assert.equal((await answerIn(await server.post(FIRST))).accepted, 1);
  const rows: [what: string, from: string, to: string, verdict: string][] = [
    ['the same again', '', '', 'duplicate'],
    [
      'whitespace in the payload',
      '{"a":1.0,"b":["x",{}]}',
      ' {\n"a" :\t1.0 , "b": [ "x" , { } ] } ',
      'duplicate',
    ],
    ['whitespace in the event', ',"', ' , \r\n"', 'duplicate'],
    [
      'the order of the event’s members',
      '{"event_id":"e","topic":"t"',
      '{"topic":"t","event_id":"e"',
      'duplicate',
    ],
    ['a field’s name with an escape', '"source"', '"sour\\u0063e"', 'duplicate'],
    ['the id with an escape', '"e"', '"\\u0065"', 'duplicate'],
    ['the topic with an escape', '"t"', '"\\u0074"', 'duplicate'],
    ['the source with an escape', '"s/1"', '"\\u0073\\/1"', 'duplicate'],
    ['the timestamp with an escape', '2025-10', '2025\\u002d10', 'duplicate'],
    ['another source', '"s/1"', '"S/1"', 'conflict'],
    ['the same instant in another form', '10:00:00Z', '10:00:00.000Z', 'conflict'],
    ['the same instant in another zone', '10:00:00Z', '17:00:00+07:00', 'conflict'],
    ['another number', '1.0', '1.01', 'conflict'],
    ['the same number in another spelling', '1.0', '1', 'conflict'],
    ['the order of the payload’s members', '"a":1.0,"b":["x",{}]', '"b":["x",{}],"a":1.0', 'conflict'],
    ['a string of the payload with an escape', '"x"', '"\\u0078"', 'conflict'],
    ['whitespace inside a string', '"x"', '"x "', 'conflict'],
    ['one member more', '{"a"', '{"c":null,"a"', 'conflict'],
    ['an empty payload', '{"a":1.0,"b":["x",{}]}', '{}', 'conflict'],
    ['a nested change', '{}]', '{"x":0}]', 'conflict'],
    ['the border between source and timestamp', '"s/1"', '"s/12"', 'conflict'],
  ];
  for (const [what, from, to, verdict] of rows) {
    const body = FIRST.replace(from, to);
    if (from !== '') assert.notEqual(body, FIRST, what);
    const answer = await answerIn(await server.post(body, {}, '/publish?results=true'));
    assert.deepEqual(verdictsIn(answer), [`${verdict} 1`], what);
    assert.deepEqual([answer.accepted, answer.duplicates], [0, 1], what);
    assert.equal(answer.conflicts, verdict === 'conflict' ? 1 : 0, what);
  }
  const stats = await server.stats();
  const conflicts = rows.filter(([, , , verdict]) => verdict === 'conflict').length;
  assert.deepEqual(
    [stats.received, stats.unique_processed, stats.duplicated_dropped, stats.conflicts],
    [rows.length + 1, 1, rows.length, conflicts],
  );
});

test('an empty batch is a 200 of zeros and changes nothing [PUB-4]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith());
  const before = await booksOf(server);
  assert.deepEqual(await server.publish(), {
    status: 'success',
    message: 'Published 0 events',
    events_count: 0,
    accepted: 0,
    duplicates: 0,
    conflicts: 0,
    results: [],
  });
  assert.deepEqual(await answerIn(await server.post(' { "events" : [ ] } ')), {
    status: 'success',
    message: 'Published 0 events',
    events_count: 0,
    accepted: 0,
    duplicates: 0,
    conflicts: 0,
  });
  assert.deepEqual(await booksOf(server), before);
});

test('a batch of 100,000 events is taken, and retried it is all duplicates; one more is refused [PUB-4, PUB-10, P-3]', async (t) => {
  const server = await TestServer.start(t);
  const eventText = (i: number) =>
    `{"event_id":"${i}","topic":"t","source":"s","payload":{},"timestamp":"2025-10-28"}`;
  const texts = Array.from({ length: LIMITS.batchEventsMax + 1 }, (_, i) => eventText(i));
  const tooMany = `{"events":[${texts.join()}]}`;
  texts.pop();
  const batch = `{"events":[${texts.join()}]}`;

  const { detail } = await problemIn(await server.post(tooMany), 413, 'batch_too_large');
  assert.match(detail, /at most 100000 events/);
  assert.equal((await server.stats()).received, 0);

  const first = await answerIn(await server.post(batch, {}, '/publish?results=true'));
  assert.deepEqual([first.events_count, first.accepted, first.duplicates], [100_000, 100_000, 0]);
  assert.ok(first.results!.every(({ event_id: id, offset }, i) => id === `${i}` && offset === i + 1));
  const again = await answerIn(await server.post(batch, {}, '/publish?results=true'));
  assert.deepEqual([again.events_count, again.accepted, again.duplicates], [100_000, 0, 100_000]);
  assert.equal(again.conflicts, 0);
  assert.ok(again.results!.every(({ offset, verdict }, i) => offset === i + 1 && verdict === 'duplicate'));
  assert.equal((await server.stats()).unique_processed, 100_000);
});

test('a retried batch is all duplicates with the first offsets [PUB-10]', async (t) => {
  const server = await TestServer.start(t);
  const batch = manyEvents(100);
  const first = await server.publish(...batch);
  await server.publish(...manyEvents(10, (i) => ({ event_id: `between-${i}` })));
  for (const retry of [batch, batch.toReversed()]) {
    const { accepted, duplicates, conflicts, results } = await server.publish(...retry);
    assert.deepEqual([accepted, duplicates, conflicts], [0, 100, 0]);
    const offsets = new Map(results!.map(({ event_id: id, offset }) => [id, offset]));
    for (const { event_id: id, offset } of first.results!) assert.equal(offsets.get(id), offset);
  }
});

test('publishes whose answer was never read may be sent again, and each event stands once [PUB-10, P-2]', async (t) => {
  const server = await TestServer.start(t);
  const batches = Array.from({ length: 20 }, (_, i) => manyEvents(20, (n) => ({ event_id: `${i}-${n}` })));
  const { hostname, port } = new URL(server.url);
  for (const [i, events] of batches.entries()) {
    const text = requestText(
      'POST /publish',
      { 'content-type': 'application/json' },
      JSON.stringify({ events }),
    );
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        // Cut in the body, right behind it, or a little later.
        const sent = i % 3 === 0 ? text.slice(0, -10) : text;
        socket.write(sent, () => setTimeout(() => socket.destroy(), i % 5));
      });
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve());
    });
  }
  const answers = await Promise.all(batches.map((events) => server.publish(...events)));
  for (const { accepted, duplicates, conflicts } of answers) {
    assert.ok(
      (accepted === 0 || duplicates === 0) && conflicts === 0,
      'a batch is stored whole or not at all',
    );
  }
  const { count, events } = await server.events();
  assert.deepEqual([count, new Set(events.map(({ event_id: id }) => id)).size], [400, 400]);
});

test('of 32 clients that publish the same events at once, one is heard for each [P-2, PUB-5, P-5]', async (t) => {
  const server = await TestServer.start(t);
  const events = manyEvents(40);
  const answers = await Promise.all(
    Array.from({ length: 32 }, (_, client) => {
      // Each its own order and its own source, so that the kept one can be told.
      const turned = [...events.slice(client), ...events.slice(0, client)];
      return server.publish(...turned.map((event) => ({ ...event, source: `client-${client}` })));
    }),
  );
  const { events: stored, count } = await server.events();
  assert.equal(count, 40);
  for (const event of stored) {
    const results = answers.map(({ results }) => results!.find(({ event_id: id }) => id === event.event_id)!);
    const accepted = results.flatMap(({ verdict }, client) => (verdict === 'accepted' ? [client] : []));
    assert.deepEqual(
      accepted.map((client) => `client-${client}`),
      [event.source],
    );
    assert.ok(results.every(({ offset, verdict }) => offset === event.offset && verdict !== 'duplicate'));
  }
  const stats = await server.stats();
  assert.deepEqual(
    [stats.received, stats.unique_processed, stats.duplicated_dropped, stats.conflicts],
    [32 * 40, 40, 31 * 40, 31 * 40],
  );
});

test('a reader sees a batch whole or not at all [P-3]', async (t) => {
  const server = await TestServer.start(t);
  const state = { publishing: true };
  const publishers = Array.from({ length: 4 }, async (_, p) => {
    for (let i = 0; i < 10; i++)
      await server.publish(...manyEvents(250, (n) => ({ event_id: `${p}-${i}-${n}` })));
  });
  const reader = async (): Promise<void> => {
    while (state.publishing) {
      const { count, events } = await server.events();
      assert.deepEqual([count % 250, events.length], [0, count]);
      const { received, last_offset: last } = await server.stats();
      assert.deepEqual([received % 250, last], [0, received]);
    }
  };
  const reading = reader();
  await Promise.all(publishers);
  state.publishing = false;
  await reading;
  assert.equal((await server.events()).count, 10_000);
});

test('bodies packed with gzip, br and zstd are taken [PUB-8]', async (t) => {
  const server = await TestServer.start(t);
  for (const [encoding, pack] of Object.entries(COMPRESSIONS)) {
    const events = manyEvents(1000, (i) => ({ event_id: `${encoding}-${i}` }));
    const response = await server.post(pack(JSON.stringify({ events })), { 'content-encoding': encoding });
    assert.equal((await answerIn(response)).accepted, 1000, encoding);
  }
  const plain = await server.post(eventWith(), { 'content-encoding': 'identity' });
  assert.equal((await answerIn(plain)).accepted, 1);
  for (const name of ['GZIP', 'x-gzip', 'X-GZip']) {
    const again = await server.post(gzipSync(JSON.stringify(eventWith())), { 'content-encoding': name });
    assert.equal((await answerIn(again)).duplicates, 1, name);
  }
  assert.equal((await server.events()).count, 3001);
});

test('an encoding that is not taken is 415, a body that is not what it says is 400 [PUB-8, P-6]', async (t) => {
  const server = await TestServer.start(t);
  const before = await booksOf(server);
  const body = Buffer.from(JSON.stringify(eventWith()));
  for (const encoding of ['deflate', 'compress', 'x-zip', 'gzip, br', 'zip']) {
    const response = await server.post(gzipSync(body), { 'content-encoding': encoding });
    await problemIn(response, 415, 'unsupported_media_type');
  }
  for (const [encoding, pack] of Object.entries(COMPRESSIONS)) {
    const packed = pack(body);
    // Hexadecimal digits pack to half of their size: it is not unpacked at once as small ones are.
    const large = JSON.stringify(eventWith({ payload: { message: randomBytes(50_000).toString('hex') } }));
    const bodies = {
      plain: body,
      empty: Buffer.alloc(0),
      truncated: packed.subarray(0, -5),
      'of one byte': packed.subarray(0, 1),
      'with a byte behind it': Buffer.concat([packed, Buffer.from(' ')]),
      'with zeros behind it': Buffer.concat([packed, Buffer.alloc(4)]),
      'with another body behind it': Buffer.concat([packed, body]),
      'large, with a byte behind it': Buffer.concat([pack(large), Buffer.from(' ')]),
      'packed otherwise': encoding === 'gzip' ? zstdCompressSync(body) : gzipSync(body),
    };
    for (const [what, sent] of Object.entries(bodies)) {
      const response = await server.post(sent, { 'content-encoding': encoding });
      await problemIn(response, 400, 'invalid_encoding').catch((cause: unknown) => {
        throw new Error(`${encoding}, ${what}`, { cause });
      });
    }
  }
  const corrupt = gzipSync(body);
  corrupt[corrupt.length - 6]! ^= 0xff;
  await problemIn(await server.post(corrupt, { 'content-encoding': 'gzip' }), 400, 'invalid_encoding');
  // RFC 9659 allows a window of 8 MiB: what a decoder must hold for a frame is its own.
  for (const [windowLog, status] of [
    [23, 200],
    [24, 400],
  ] as const) {
    const wide = await zstdOfWindow('{"events":[]}', windowLog);
    const response = await server.post(wide, { 'content-encoding': 'zstd' });
    assert.equal(response.status, status, `${windowLog} ${await response.clone().text()}`);
  }
  // Packed, but said to be plain.
  await problemIn(await server.post(gzipSync(body)), 400, 'invalid_encoding');
  assert.deepEqual(await booksOf(server), before);
});

test('a small body that unpacks to too much is refused, and the server goes on [PUB-9, P-6]', async (t) => {
  const server = await TestServer.start(t, { BODY_BYTES_MAX: `${MIB}` });
  const before = await booksOf(server);
  const bodies = [bodyOfBytes(64 * MIB), bodyOfBytes(MIB + 1)];
  for (const [encoding, pack] of Object.entries(COMPRESSIONS)) {
    const headers = { 'content-encoding': encoding };
    for (const body of bodies) {
      const packed = pack(body);
      assert.ok(packed.length < MIB / 2, `${encoding}: ${packed.length} bytes`);
      await problemIn(await server.post(packed, headers), 413, 'body_too_large');
    }
    await problemIn(await server.post(pack('{}'), headers), 422, 'invalid_event');
  }
  assert.deepEqual(await booksOf(server), before);
  for (const [encoding, pack] of Object.entries(COMPRESSIONS)) {
    const response = await server.post(pack(bodyOfBytes(MIB)), { 'content-encoding': encoding });
    assert.equal((await answerIn(response)).events_count, 1, encoding);
  }
});

test('a body of exactly the limit is taken, with one byte more it is refused [PUB-9]', async (t) => {
  const server = await TestServer.start(t);
  const before = await booksOf(server);
  const fits = bodyOfBytes(BODY_BYTES_MAX);
  const over = bodyOfBytes(BODY_BYTES_MAX + 1);
  await problemIn(await server.post(over), 413, 'body_too_large');
  await problemIn(await fetch(`${server.url}/publish`, chunked(over)), 413, 'body_too_large');
  assert.deepEqual(await booksOf(server), before);
  assert.equal((await answerIn(await server.post(fits))).accepted, 1);
  assert.equal((await answerIn(await fetch(`${server.url}/publish`, chunked(fits)))).duplicates, 1);
});

test('the limit of a body is the one that was set, and the answer does not wait for the rest [PUB-9]', async (t) => {
  const server = await TestServer.start(t, { BODY_BYTES_MAX: `${MIB}` });
  const headers = { 'content-type': 'application/json' };
  const announcing = await RawConnection.open(t, server.url);
  announcing.send(requestText('POST /publish', { ...headers, 'content-length': `${MIB + 1}` }));
  await problemIn(await announcing.response(), 413, 'body_too_large');
  announcing.leave();

  const piece = `10000\r\n${' '.repeat(65_536)}\r\n`;
  const sending = await RawConnection.open(t, server.url);
  sending.send(
    requestText('POST /publish', { ...headers, 'transfer-encoding': 'chunked' }) + piece.repeat(17),
  );
  await problemIn(await sending.response(), 413, 'body_too_large');
  // The rest is read past, and the connection goes on.
  sending.send(`${piece.repeat(10)}0\r\n\r\n${requestText('POST /publish', headers, '{"events":[]}')}`);
  assert.equal((await sending.response()).status, 200);
  sending.leave();
  assert.equal((await answerIn(await server.post(bodyOfBytes(MIB)))).accepted, 1);
});

test('a client that sends far too much in one go reads the refusal, and one that never ends is cut off [PUB-9]', async (t) => {
  const server = await TestServer.start(t);
  const over = Buffer.alloc(BODY_BYTES_MAX + 8 * MIB, ' ');
  const headers = { 'content-type': 'application/json' };
  const connection = await RawConnection.open(t, server.url);
  connection.send(requestText('POST /publish', { ...headers, 'content-length': `${over.length}` }));
  connection.send(over);
  // It reads only when it has sent everything, like many a simple client.
  await connection.sent();
  await problemIn(await connection.response(), 413, 'body_too_large');
  connection.send(requestText('GET /health', { connection: 'close' }));
  assert.equal((await connection.response()).status, 200);

  const endless = await RawConnection.open(t, server.url);
  endless.send(requestText('POST /publish', { ...headers, 'transfer-encoding': 'chunked' }));
  while (!endless.isClosed) {
    endless.send(`100000\r\n${' '.repeat(MIB)}\r\n`);
    await endless.sent();
  }
});

test('the type of the body is JSON in UTF-8 [PUB-7]', async (t) => {
  const server = await TestServer.start(t);
  const rows: [type: string | null, taken: boolean][] = [
    ['application/json', true],
    ['application/json; charset=utf-8', true],
    ['application/json;charset=UTF-8', true],
    ['application/json; charset="utf-8"', true],
    ['APPLICATION/JSON; Charset=utf-8', true],
    ['application/json; version=1', true],
    ['application/cloudevents+json', true],
    ['application/cloudevents-batch+json; charset=utf-8', true],
    ['application/vnd.log.v1+json', true],
    [null, false],
    ['text/plain', false],
    ['text/json', false],
    ['application/x-www-form-urlencoded', false],
    ['application/jsonp', false],
    ['application/x-json', false],
    ['application/xml', false],
    ['json', false],
    ['multipart/form-data; boundary=x', false],
    ['application/json; charset=latin1', false],
    ['application/json; charset=iso-8859-1', false],
    ['application/json; charset=utf-16', false],
    ['application/json; version=1; charset=us-ascii', false],
    ['application/cloudevents+json; charset=utf-16', false],
    ['application/json; charset=utf-8; charset=latin1', false],
    ['application/json; charset=latin1; charset=utf-8', false],
    ['application/json; charset=utf-8; charset="utf-8"', true],
    ['application/json; charset=', false],
    ['application/json; charset="utf-8', false],
    ['application/json; charset=utf-8x', false],
    ['application/json; charset=utf-8 ; version=1', true],
  ];
  let expected = 0;
  for (const [i, [type, taken]] of rows.entries()) {
    const body = JSON.stringify(eventWith({ event_id: `row-${i}` }));
    const headers = { ...(type !== null && { 'content-type': type }), connection: 'close' };
    const [response] = await exchange(server.url, requestText('POST /publish', headers, body));
    if (taken) {
      assert.equal((await answerIn(response!)).accepted, 1, type ?? 'none');
      expected += 1;
    } else {
      await problemIn(response!, 415, 'unsupported_media_type').catch((cause: unknown) => {
        throw new Error(`content-type: ${type}`, { cause });
      });
    }
  }
  assert.equal((await server.events()).count, expected);
});

test('bytes that are not UTF-8 are refused wherever they stand [PUB-7, P-6]', async (t) => {
  const server = await TestServer.start(t);
  const before = await booksOf(server);
  const BYTES = {
    'a byte that begins nothing': [0xff],
    'latin1 é': [0xe9],
    'a continuation alone': [0x80],
    'an overlong /': [0xc0, 0xaf],
    'a surrogate half': [0xed, 0xa0, 0x80],
    'a surrogate pair, each half by itself': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
    'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
    'a character cut short': [0xf0, 0x9f, 0x98],
  };
  for (const [what, bytes] of Object.entries(BYTES)) {
    for (const place of ['e-1', 'orders', 'web', 'order placed', '2025', '"message', '{']) {
      const text = JSON.stringify({ events: [eventWith({ event_id: 'valid' }), eventWith()] });
      const at = text.lastIndexOf(place) + place.length;
      const body = Buffer.concat([
        Buffer.from(text.slice(0, at)),
        Buffer.from(bytes),
        Buffer.from(text.slice(at)),
      ]);
      await problemIn(await server.post(body), 400, 'invalid_encoding').catch((cause: unknown) => {
        throw new Error(`${what} behind ${place}`, { cause });
      });
    }
  }
  assert.deepEqual(await booksOf(server), before);
});

test('text of every width comes back as it was sent [PUB-7, EVT-6]', async (t) => {
  const server = await TestServer.start(t);
  const text = 'aé漢😀\u{10ffff}\u2028\ufeff\u0085\u007f';
  const event: Event = eventWith({ event_id: text, topic: text, source: text, payload: { [text]: text } });
  await server.publish(event);
  const { events } = await server.events();
  const { offset: _offset, received_at: _at, ...stored } = events[0]!;
  assert.deepEqual(stored, event);
});
