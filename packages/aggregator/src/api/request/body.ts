import type { IncomingMessage, ServerResponse } from 'node:http';
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
import type { ByteBudget, Hold } from '../../queue/byte-budget.ts';
import { QueueFull } from '../../queue/publish-queue.ts';
import { letGo, ownBuffer } from '../../released-memory.ts';
import { LoopTurns } from './loop-turns.ts';
import { ProblemError } from './problems.ts';

export interface BodyLimits {
  /** Bytes of a body as it came, and of what it unpacks to. */
  readonly bytesMax: number;
  /** How long nothing may come in the middle of a body, milliseconds. */
  readonly pauseMs: number;
}

/**
 * What can be said before a body is read: throws where its coding is not taken, or where it is announced to be larger
 * than may be, or than there is room for now. A body that is asked for (`Expect: 100-continue`) is sent only after that.
 */
export function admit(
  request: IncomingMessage,
  response: ServerResponse,
  budget: ByteBudget,
  bytesMax: number,
): void {
  codingOf(request);
  const announced = announcedBytes(request);
  if (announced > bytesMax) throw tooLarge();
  if (announced > 0 && !budget.fits(announced)) throw full();
  if (EXPECTS_CONTINUE.test(request.headers.expect ?? '')) response.writeContinue();
}

const EXPECTS_CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i;

/** NaN where the length is not announced. */
function announcedBytes({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? NaN);
}

/**
 * In: a request whose body has not been read. Out: what `use` makes of the body, received and unpacked. From its first
 * byte until `use` has returned, the body is counted against the budget, in the sizes that it really has, and refused
 * as soon as it does not fit: a body that waits to be whole is memory, too. Nothing is unpacked before it is whole.
 *
 * Throws a ProblemError or QueueFull; what is left of a refused body is then read past.
 */
export async function withBody<T>(
  request: IncomingMessage,
  budget: ByteBudget,
  limits: BodyLimits,
  use: (body: Buffer) => T,
): Promise<T> {
  const coding = codingOf(request);
  const hold = budget.open();
  try {
    const sent = await receive(request, hold, limits);
    const body = coding === null ? sent : await unpack(sent, coding, hold, limits.bytesMax);
    if (body !== sent) letGo(sent);
    if (body.length > SMALL_BYTES && !using.take(body.length)) {
      await new Promise<void>((resolve) => using.later(body.length, resolve));
    }
    return use(body);
  } finally {
    hold.release();
  }
}

/** A turn's worth of bodies that come in, and of bodies that are read: each a few milliseconds. */
const receiving = new LoopTurns(4 * 1024 * 1024);
const using = new LoopTurns(1024 * 1024);
/** There are not enough of these in a turn to matter. */
const SMALL_BYTES = 64 * 1024;

/** Four times the largest body, by default: a client that sends more than that in vain is cut off. */
const READ_PAST_BYTES_MAX = 64 * 1024 * 1024;

/** Reads past what is left of a refused body, so that its client comes to read the answer. */
export function readPast(request: IncomingMessage): void {
  let left = READ_PAST_BYTES_MAX;
  request
    .on('data', (piece: Buffer) => {
      left -= piece.length;
      if (left < 0) request.destroy();
      else takeTurn(request, piece);
    })
    .on('error', () => undefined)
    .resume();
}

/** Has a body come on in the next turn where this one is spent. */
function takeTurn(request: IncomingMessage, { length }: Buffer): void {
  if (receiving.take(length)) return;
  request.pause();
  receiving.later(length, () => request.resume());
}

function receive(request: IncomingMessage, hold: Hold, { bytesMax, pauseMs }: BodyLimits): Promise<Buffer> {
  const announced = announcedBytes(request);
  return new Promise((resolve, reject) => {
    // Not before something came: an announcement must not cost memory.
    let body: GrowingBody | undefined;
    let pause: NodeJS.Timeout | undefined;

    const stop = (): void => {
      clearTimeout(pause);
      request.off('data', take).off('end', finish).off('error', cut).off('close', cut);
    };
    const refuse = (error: Error): void => {
      stop();
      readPast(request);
      reject(error);
    };
    const cut = (): void =>
      refuse(new ProblemError('invalid_request', 'the connection closed before the body was whole'));
    const take = (piece: Buffer): void => {
      if (hold.bytes + piece.length > bytesMax) return refuse(tooLarge());
      if (!hold.grow(piece.length)) return refuse(full());
      body ??= new GrowingBody(announced);
      body.add(piece);
      takeTurn(request, piece);
      // Most bodies come in one piece and need no timer.
      if (pause !== undefined) pause.refresh();
      else if (hold.bytes !== announced) pause = setTimeout(() => refuse(tooSlow(pauseMs)), pauseMs);
    };
    const finish = (): void => {
      stop();
      resolve(body?.whole() ?? Buffer.alloc(0));
    };
    request.on('data', take).on('end', finish).on('error', cut).on('close', cut);
  });
}

/** Smaller bodies come out of Node's pool. */
const POOLED_BYTES_MAX = 4096;

/** Taken for a body with its first piece, bytes; what is announced is not yet sent. */
const FIRST_BYTES_MAX = 1024 * 1024;

/**
 * A body that comes in pieces. Each is copied at once, also where it is the only one: the event reader uses the bytes
 * up, and a piece is a view of what the socket gave, which would live as long. A body that is not small has memory of
 * its own, which can be given back.
 */
class GrowingBody {
  #bytes: Buffer;
  #length = 0;

  constructor(announced: number) {
    const first = Math.min(announced || 0, FIRST_BYTES_MAX);
    this.#bytes = first < POOLED_BYTES_MAX ? Buffer.allocUnsafe(first) : ownBuffer(first);
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#bytes.length) {
      const larger = ownBuffer(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      letGo(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  whole(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

type Coding = keyof typeof CODINGS;

/** A frame that wants a larger window is refused (RFC 9659 allows 8 MiB): the window is memory that nobody counts. */
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

/** Names of codings are the same in any case (RFC 9110, 8.4.1), and x-gzip is gzip. */
function codingOf({ headers }: IncomingMessage): Coding | null {
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

/** Up to here a body is unpacked at once: handing it to another thread takes longer than that. Bytes. */
const SYNC_PACKED_MAX = 16 * 1024;
const SYNC_UNPACKED_MAX = 256 * 1024;

/** As many as the threads that unpack: one more would take memory and gain nothing. */
let unpackersFree = 4;
const unpackersAwaited: (() => void)[] = [];

async function unpack(packed: Buffer, coding: Coding, hold: Hold, bytesMax: number): Promise<Buffer> {
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

/** Null where it unpacks to more than that. */
function unpackSmall(packed: Buffer, coding: Coding, bytesMax: number): Buffer | null {
  try {
    // With `info` there is more than the buffer, which the types do not know.
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

function full(): QueueFull {
  return new QueueFull('too many bytes of other publishes are on their way');
}

function tooLarge(): ProblemError {
  return new ProblemError(
    'body_too_large',
    'send fewer events at once; the limit counts what the body unpacks to',
  );
}

function tooSlow(pauseMs: number): ProblemError {
  return new ProblemError(
    'request_timeout',
    `nothing of the body came for ${pauseMs / 1000} seconds; send the request again`,
  );
}

function notPacked(coding: Coding): ProblemError {
  const window = coding === 'zstd' ? ' with a window of at most 8 MiB' : '';
  return new ProblemError('invalid_encoding', `the body is not ${coding}${window}`);
}

function bytesBehind(): ProblemError {
  return new ProblemError('invalid_encoding', 'there are bytes behind the end of what was packed');
}
