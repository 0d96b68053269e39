import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { booksOf } from '../../support/books.ts';
import { RawConnection, requestText } from '../../support/raw-http.ts';
import { problemIn, sharedServer } from '../../support/server.ts';
import { spelt } from '../../support/publish-way.ts';
import { MIB, answerIn, bodyOfBytes } from '../../support/publishing.ts';

const service = sharedServer();
const narrow = sharedServer({ BODY_BYTES_MAX: `${MIB}` });
const BODY_BYTES_MAX = 16 * MIB;

const COMPRESSIONS = {
  gzip: gzipSync,
  br: (body: Uint8Array | string) =>
    brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: zstdCompressSync,
};

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

test('a body of exactly the limit is accepted, and one byte more is refused [PUB-9]', async () => {
  const server = service();
  const before = await booksOf(server);
  const fits = bodyOfBytes(BODY_BYTES_MAX);
  const over = bodyOfBytes(BODY_BYTES_MAX + 1);
  await problemIn(await server.post(over), 413, 'body_too_large');
  await problemIn(await fetch(server.url + spelt('/publish'), chunked(over)), 413, 'body_too_large');
  assert.deepEqual(await booksOf(server), before);
  assert.equal((await answerIn(await server.post(fits))).accepted, 1);
  assert.equal((await answerIn(await fetch(server.url + spelt('/publish'), chunked(fits)))).duplicates, 1);
});

test('a client that sends far too much at once gets the refusal, and one that never stops is cut off [PUB-9]', async (t) => {
  const server = service();
  const over = Buffer.alloc(BODY_BYTES_MAX + 8 * MIB, ' ');
  const headers = { 'content-type': 'application/json' };
  const connection = await RawConnection.open(t, server.url);
  connection.send(requestText('POST /publish', { ...headers, 'content-length': `${over.length}` }));
  connection.send(over);
  // It reads only after sending everything, like many simple clients.
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

test('the configured limit of a body applies, and the refusal does not wait for the rest [PUB-9]', async (t) => {
  const server = narrow();
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
  // The rest is read and dropped, and the connection stays open.
  sending.send(`${piece.repeat(10)}0\r\n\r\n${requestText('POST /publish', headers, '{"events":[]}')}`);
  assert.equal((await sending.response()).status, 200);
  sending.leave();
  assert.equal((await answerIn(await server.post(bodyOfBytes(MIB)))).accepted, 1);
});

test('a small body that unpacks to too much is refused, and the server continues [PUB-9, P-6]', async () => {
  const server = narrow();
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
