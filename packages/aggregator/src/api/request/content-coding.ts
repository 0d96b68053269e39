import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import {
  type BrotliOptions,
  type ZlibOptions,
  type ZstdOptions,
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createGunzip,
  createZstdDecompress,
  gunzipSync,
  zstdDecompressSync,
} from 'node:zlib';
import type { Hold } from '../../queue/byte-budget.ts';
import { full, tooLarge } from './body-refusals.ts';
import { ProblemError } from './problems.ts';

export type Coding = keyof typeof CODINGS;

/** Names of codings are case-insensitive, and x-gzip means gzip (RFC 9110, 8.4.1). */
export function codingOf({ headers }: IncomingMessage): Coding | null {
  const name = headers['content-encoding']?.toLowerCase() ?? 'identity';
  switch (name) {
    case 'identity':
      return null;
    case 'x-gzip':
      return 'gzip';
    case 'gzip':
    case 'br':
    case 'zstd':
      return name;
    default:
      throw new ProblemError('unsupported_media_type', 'Content-Encoding takes gzip, br or zstd');
  }
}

/** Bodies up to this size are unpacked in this thread, because a hand-over to another takes longer. Bytes. */
const SYNC_PACKED_MAX = 16 * 1024;
const SYNC_UNPACKED_MAX = 256 * 1024;

/** The number of Node's threads that unpack: more bodies at once would take memory without being faster. */
let unpackersFree = 4;
const unpackersAwaited: (() => void)[] = [];

export async function unpack(packed: Buffer, coding: Coding, hold: Hold, bytesMax: number): Promise<Buffer> {
  if (packed.length <= SYNC_PACKED_MAX) {
    const body = unpackSmall(packed, coding, Math.min(bytesMax, SYNC_UNPACKED_MAX));
    if (body !== null) {
      if (!hold.grow(body.length)) throw full();
      return body;
    }
  }
  if (unpackersFree > 0) unpackersFree -= 1;
  else await new Promise<void>((resolve) => unpackersAwaited.push(resolve));
  try {
    return await unpackLarge(packed, coding, hold, bytesMax);
  } finally {
    const next = unpackersAwaited.shift();
    if (next === undefined) unpackersFree += 1;
    else next();
  }
}

/** Frames with a larger window are refused (RFC 9659 allows 8 MiB), because nobody counts the window's memory. */
const ZSTD_WINDOW_LOG_MAX = 23;
const ZSTD_PARAMS = { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX };

const CODINGS = {
  gzip: {
    sync: (packed: Buffer, options: ZlibOptions) => gunzipSync(packed, options),
    stream: (options: ZlibOptions) => createGunzip(options),
  },
  br: {
    sync: (packed: Buffer, options: BrotliOptions) => brotliDecompressSync(packed, options),
    stream: (options: BrotliOptions) => createBrotliDecompress(options),
  },
  zstd: {
    sync: (packed: Buffer, options: ZstdOptions) =>
      zstdDecompressSync(packed, { ...options, params: ZSTD_PARAMS }),
    stream: (options: ZstdOptions) => createZstdDecompress({ ...options, params: ZSTD_PARAMS }),
  },
};

/** Null if it unpacks to more than that. */
function unpackSmall(packed: Buffer, coding: Coding, bytesMax: number): Buffer | null {
  try {
    // With `info` the result has more than the buffer, which the types do not say.
    const unpacked = CODINGS[coding].sync(packed, { info: true, maxOutputLength: bytesMax });
    const { buffer, engine } = unpacked as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    if (engine.bytesWritten !== packed.length) throw bytesBehind();
    return buffer;
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw notPacked(coding);
  }
}

function unpackLarge(packed: Buffer, coding: Coding, hold: Hold, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunkSize = Math.min(Math.max(4 * packed.length, 64 * 1024), 1024 * 1024);
    const stream = CODINGS[coding].stream({ chunkSize });
    const pieces: Buffer[] = [];
    let length = 0;
    const refuse = (error: Error): void => {
      stream.destroy();
      reject(error);
    };
    stream.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length > bytesMax) return refuse(tooLarge());
      if (!hold.grow(piece.length)) return refuse(full());
      pieces.push(piece);
    });
    stream.on('error', () => refuse(notPacked(coding)));
    stream.on('end', () => {
      if (stream.bytesWritten !== packed.length) return refuse(bytesBehind());
      resolve(Buffer.concat(pieces, length));
    });
    stream.end(packed);
  });
}

/** The body, unpacked as it comes. The caller reads it to its end or destroys it; the request itself is never destroyed. */
export function unpackedStream(request: IncomingMessage, coding: Coding): Transform {
  const stream = CODINGS[coding].stream({ chunkSize: STREAM_CHUNK_BYTES });
  request.on('error', (error) => stream.destroy(error)).pipe(stream);
  return stream;
}

const STREAM_CHUNK_BYTES = 64 * 1024;

export function notPacked(coding: Coding): ProblemError {
  const window = coding === 'zstd' ? ' with a window of at most 8 MiB' : '';
  return new ProblemError('invalid_encoding', `the body is not ${coding}${window}`);
}

function bytesBehind(): ProblemError {
  return new ProblemError('invalid_encoding', 'bytes follow the end of the compressed data');
}
