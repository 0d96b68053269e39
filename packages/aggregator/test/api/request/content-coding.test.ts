import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { brotliCompressSync, constants, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import { booksOf } from '../../support/books.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { problemIn, sharedServer } from '../../support/server.ts';
import { MIB, answerIn } from '../../support/publishing.ts';

const service = sharedServer();

const COMPRESSIONS = {
  gzip: gzipSync,
  br: (body: Uint8Array | string) =>
    brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: zstdCompressSync,
};

/** A frame that declares a window of 2 to the power of `windowLog` bytes, however small it is. */
async function zstdOfWindow(text: string, windowLog: number): Promise<Buffer> {
  const packing = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
  packing.write(text.slice(0, 1));
  packing.flush(() => packing.end(text.slice(1)));
  return buffer(packing);
}

test('an unsupported encoding gets 415, and a body that is not in its encoding gets 400 [PUB-8, P-6]', async () => {
  const server = service();
  const before = await booksOf(server);
  const body = Buffer.from(JSON.stringify(eventWith()));
  for (const encoding of ['deflate', 'compress', 'x-zip', 'gzip, br', 'zip']) {
    const response = await server.post(gzipSync(body), { 'content-encoding': encoding });
    await problemIn(response, 415, 'unsupported_media_type');
  }
  for (const [encoding, pack] of Object.entries(COMPRESSIONS)) {
    const packed = pack(body);
    // Hexadecimal digits compress to half of their size, so this body is not unpacked at once like small ones.
    const large = JSON.stringify(eventWith({ payload: { message: randomBytes(50_000).toString('hex') } }));
    const bodies = {
      plain: body,
      empty: Buffer.alloc(0),
      truncated: packed.subarray(0, -5),
      'of one byte': packed.subarray(0, 1),
      'followed by a byte': Buffer.concat([packed, Buffer.from(' ')]),
      'followed by zeros': Buffer.concat([packed, Buffer.alloc(4)]),
      'followed by another body': Buffer.concat([packed, body]),
      'large, followed by a byte': Buffer.concat([pack(large), Buffer.from(' ')]),
      'in a different encoding': encoding === 'gzip' ? zstdCompressSync(body) : gzipSync(body),
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
  // RFC 9659 allows a window of 8 MiB, which the decoder must hold for each frame.
  for (const [windowLog, status] of [
    [23, 200],
    [24, 400],
  ] as const) {
    const wide = await zstdOfWindow('{"events":[]}', windowLog);
    const response = await server.post(wide, { 'content-encoding': 'zstd' });
    assert.equal(response.status, status, `${windowLog} ${await response.clone().text()}`);
  }
  // Compressed, but declared as plain.
  await problemIn(await server.post(gzipSync(body)), 400, 'invalid_encoding');
  assert.deepEqual(await booksOf(server), before);
});

test('bodies compressed with gzip, br and zstd are accepted [PUB-8]', async () => {
  const server = service();
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

test(
  'several decompression bombs at once take the memory of a few bodies [PUB-9, P-7]',
  { timeout: 120_000 },
  async () => {
    const server = service();
    const before = await booksOf(server);
    const plain = Buffer.alloc(200 * MIB, ' ');
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
    const bombs = {
      gzip: gzipSync(plain),
      br: brotliCompressSync(plain, quality),
      zstd: zstdCompressSync(plain),
    };
    const restBytes = process.memoryUsage.rss();
    let peakBytes = 0;
    const watching = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), 5);
    await Promise.all(
      Object.entries(bombs).flatMap(([coding, bomb]) =>
        Array.from({ length: 8 }, async () =>
          problemIn(await server.post(bomb, { 'content-encoding': coding }), 413, 'body_too_large'),
        ),
      ),
    );
    clearInterval(watching);
    assert.ok(
      peakBytes - restBytes < 300 * MIB,
      `it grew by ${Math.round((peakBytes - restBytes) / MIB)} MiB`,
    );

    // Nested encodings are not supported.
    const nested = gzipSync(bombs.gzip);
    await problemIn(
      await server.post(nested, { 'content-encoding': 'gzip, gzip' }),
      415,
      'unsupported_media_type',
    );
    await problemIn(await server.post(nested, { 'content-encoding': 'gzip' }), 400, 'invalid_encoding');
    assert.deepEqual(await booksOf(server), before);
  },
);
