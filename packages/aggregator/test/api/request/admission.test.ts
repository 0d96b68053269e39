import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { booksOf } from '../../support/books.ts';
import { eventWith } from '../../support/events.ts';
import { RawConnection, requestText } from '../../support/raw-http.ts';
import { type StatsAnswer, TestServer, problemIn } from '../../support/server.ts';

const TIMEOUT = { timeout: 120_000 };
const KIB = 1024;
const JSON_TYPE = { 'content-type': 'application/json' };

/** The text of one event, about this long. */
function bodyOf(id: string, bytes: number): string {
  return JSON.stringify(eventWith({ event_id: id, payload: { message: 'x'.repeat(bytes) } }));
}

/** Sends the head of a publish and this many bytes of its body, and waits until the server holds them. */
async function begin(t: TestContext, server: TestServer, body: string, bytes: number) {
  const before = await heldBy(server);
  const connection = await RawConnection.open(t, server.url);
  const head = { ...JSON_TYPE, 'content-length': `${Buffer.byteLength(body)}` };
  connection.send(requestText('POST /publish', head) + body.slice(0, bytes));
  await untilHeld(server, before + bytes);
  return connection;
}

async function heldBy(server: TestServer): Promise<number> {
  return (await server.get<StatsAnswer & { queued_bytes: number }>('/stats')).queued_bytes;
}

async function untilHeld(server: TestServer, bytes: number): Promise<void> {
  while ((await heldBy(server)) !== bytes) await new Promise(setImmediate);
}

async function assertFull(response: Response): Promise<void> {
  assert.match(response.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  await problemIn(response, 503, 'queue_full');
}

/** A server that holds at most 1 MiB for publishers. */
function smallServer(t: TestContext): Promise<TestServer> {
  return TestServer.start(t, { QUEUE_BYTES_MAX: `${1024 * KIB}` });
}

test(
  'a body that is still arriving counts, and one that does not fit beside it is refused [PUB-11, P-7]',
  TIMEOUT,
  async (t) => {
    const server = await smallServer(t);
    const first = bodyOf('first', 800 * KIB);
    const connection = await begin(t, server, first, 600 * KIB);
    const before = await booksOf(server);
    const second = bodyOf('second', 500 * KIB);
    await assertFull(await server.post(second));
    await assertFull(await server.post(gzipSync(second), { 'content-encoding': 'gzip' }));
    // None of it would be queued, but it takes room while it is read.
    const blank = gzipSync(`${' '.repeat(500 * KIB)}{"events":[]}`);
    await assertFull(await server.post(blank, { 'content-encoding': 'gzip' }));
    const asking = await RawConnection.open(t, server.url);
    const head = { ...JSON_TYPE, 'content-length': `${second.length}`, expect: '100-continue' };
    asking.send(requestText('POST /publish', head));
    await assertFull(await asking.response());
    asking.leave();
    assert.deepEqual(await booksOf(server), before);
    assert.equal((await server.post(bodyOf('small', 100 * KIB))).status, 200);

    connection.send(first.slice(600 * KIB));
    assert.equal((await connection.response()).status, 200);
    assert.equal((await server.post(second)).status, 200);
    assert.equal(await heldBy(server), 0);
  },
);

test('a body that is only announced keeps nobody out [PUB-11]', TIMEOUT, async (t) => {
  const server = await smallServer(t);
  const connections: RawConnection[] = [];
  for (let i = 0; i < 8; i++) {
    connections.push(await RawConnection.open(t, server.url));
    connections[i]!.send(requestText('POST /publish', { ...JSON_TYPE, 'content-length': `${900 * KIB}` }));
  }
  assert.equal((await server.post(bodyOf('e', 900 * KIB))).status, 200);
  for (const connection of connections) connection.leave();
});

test(
  'a body that outgrows the room is refused before it is complete, and its connection stays open [PUB-11, ERR-5]',
  TIMEOUT,
  async (t) => {
    const server = await smallServer(t);
    const first = await begin(t, server, bodyOf('first', 800 * KIB), 600 * KIB);
    const connection = await RawConnection.open(t, server.url);
    const piece = `${(200 * KIB).toString(16)}\r\n${' '.repeat(200 * KIB)}\r\n`;
    connection.send(requestText('POST /publish', { ...JSON_TYPE, 'transfer-encoding': 'chunked' }) + piece);
    await untilHeld(server, 800 * KIB);
    connection.send(piece + piece);
    await assertFull(await connection.response());
    await untilHeld(server, 600 * KIB);
    const small = bodyOf('small', 10);
    connection.send(`${piece}0\r\n\r\n${requestText('POST /publish', JSON_TYPE, small)}`);
    assert.equal((await connection.response()).status, 200);
    first.leave();
  },
);

test('a publisher that leaves in the middle of its body releases its room [PUB-11]', TIMEOUT, async (t) => {
  const server = await smallServer(t);
  const connection = await begin(t, server, bodyOf('first', 800 * KIB), 600 * KIB);
  connection.leave();
  await untilHeld(server, 0);
  assert.equal((await server.stats()).received, 0);
  assert.equal((await server.post(bodyOf('second', 800 * KIB))).status, 200);
});

test('a body larger than all the room is accepted if it is the only one [PUB-11]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t, { QUEUE_BYTES_MAX: '1' });
  for (const encoding of ['identity', 'gzip']) {
    const body = bodyOf(encoding, 900 * KIB);
    const sent = encoding === 'gzip' ? gzipSync(body) : body;
    assert.equal((await server.post(sent, { 'content-encoding': encoding })).status, 200);
  }
  assert.equal(await heldBy(server), 0);
});

test('a refused body releases its room, whatever was wrong with it [PUB-11, P-6]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t);
  const packed = gzipSync(bodyOf('e', 1000));
  for (const [body, headers, status] of [
    ['{', {}, 400],
    ['{}', {}, 422],
    [Buffer.from([0xff]), {}, 400],
    ['{', { 'content-encoding': 'gzip' }, 400],
    [packed.subarray(0, -1), { 'content-encoding': 'gzip' }, 400],
    [gzipSync(Buffer.alloc(17 * KIB * KIB)), { 'content-encoding': 'gzip' }, 413],
    [Buffer.alloc(17 * KIB * KIB), {}, 413],
    ['{}', { 'content-type': 'text/plain' }, 415],
  ] as const) {
    const response = await server.post(body, headers);
    assert.equal(response.status, status, await response.text());
    assert.equal(await heldBy(server), 0);
  }
});

test(
  'compressed bodies that arrive together are all unpacked, including those that have to wait [PUB-8]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t);
    const packed = (id: number) => gzipSync(bodyOf(`e-${id}`, 400 * KIB));
    const post = (_: unknown, id: number) => server.post(packed(id), { 'content-encoding': 'gzip' });
    for (let round = 0; round < 2; round++) {
      const responses = await Promise.all(Array.from({ length: 12 }, post));
      for (const response of responses) assert.equal(response.status, 200, await response.text());
    }
    assert.equal((await server.stats()).unique_processed, 12);
  },
);

test('a body with a long pause is given up, and one that trickles is not [SYS-6]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t, {}, { bodyPauseMs: 1500 });
  const body = bodyOf('e', 2000);
  const silent = await begin(t, server, body, 1000);
  const slow = await begin(t, server, body, 1000);
  const trickle = async (): Promise<void> => {
    for (let at = 1000; at < body.length; at += 100) {
      slow.send(body.slice(at, at + 100));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const [refused] = await Promise.all([silent.response(), trickle()]);
  await problemIn(refused, 408, 'request_timeout');
  assert.equal(await silent.closed(), '');
  assert.equal((await slow.response()).status, 200);
  assert.equal((await server.stats()).received, 1);
});
