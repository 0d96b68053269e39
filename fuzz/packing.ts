import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { SeededRandom } from '../lab/random.ts';

export const CODINGS = ['gzip', 'x-gzip', 'BR', 'br', 'zstd', 'deflate', 'identity', 'gzip, br'] as const;

/** Compresses as the coding says, or not quite. */
export function packedBy(
  random: SeededRandom,
  coding: (typeof CODINGS)[number],
  plain: Buffer,
): { packed: Buffer; isWhole: boolean } {
  const packed = packers[coding](plain);
  const isTaken = coding !== 'deflate' && coding !== 'gzip, br';
  switch (random.whole(0, 5)) {
    case 0:
      return { packed: packed.subarray(0, random.whole(0, packed.length)), isWhole: false };
    case 1:
      return {
        packed: Buffer.concat([packed, Buffer.from(random.of([' ', '\0', '}', 'x'.repeat(20_000)]))]),
        isWhole: false,
      };
    case 2: {
      const bomb = Buffer.alloc(random.of([1, 15, 16, 17, 40] as const) * 1024 * 1024, ' ');
      return random.chance(0.05)
        ? { packed: packers[coding](bomb), isWhole: false }
        : { packed, isWhole: isTaken };
    }
    default:
      return { packed, isWhole: isTaken };
  }
}

const brotli = (plain: Buffer): Buffer =>
  brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
const packers: Readonly<Record<(typeof CODINGS)[number], (plain: Buffer) => Buffer>> = {
  gzip: (plain) => gzipSync(plain),
  'x-gzip': (plain) => gzipSync(plain),
  br: brotli,
  BR: brotli,
  zstd: (plain) => zstdCompressSync(plain),
  deflate: (plain) => deflateSync(plain),
  identity: (plain) => plain,
  'gzip, br': (plain) => brotli(gzipSync(plain)),
};

/** Splits a body into chunks, almost always correctly. */
export function chunked(random: SeededRandom, body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const size = random.of([1, 7, 100, 5000, 65_536] as const);
    const piece = body.subarray(at, at + Math.max(size, Math.ceil(body.length / 50)));
    const extension = random.chance(0.05) ? ';a=b' : '';
    pieces.push(Buffer.from(`${piece.length.toString(16)}${extension}\r\n`), piece, Buffer.from('\r\n'));
    at += piece.length;
  }
  pieces.push(Buffer.from(random.chance(0.05) ? '0\r\nX-Trailer: y\r\n\r\n' : '0\r\n\r\n'));
  return Buffer.concat(pieces);
}
