import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ByteBudget, Hold } from '../../queue/byte-budget.ts';
import { freeMemory, ownBuffer } from '../../released-memory.ts';
import { full, tooLarge, tooSlow } from './body-refusals.ts';
import { codingOf, unpack } from './content-coding.ts';
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
    if (body !== sent) freeMemory(sent);
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
      freeMemory(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  whole(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
