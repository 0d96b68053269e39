import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ByteBudget, Hold } from '../../queue/byte-budget.ts';
import { freeMemory, ownBuffer } from '../../released-memory.ts';
import { full, tooLarge, tooSlow } from './body-refusals.ts';
import { codingOf, unpack } from './content-coding.ts';
import { LoopTurns } from './loop-turns.ts';
import { ProblemError } from './problems.ts';

export interface BodyLimits {
  /** The most bytes of a body, both as sent and unpacked. */
  readonly bytesMax: number;
  /** The longest pause within a body, milliseconds. */
  readonly pauseMs: number;
}

/**
 * Refuses what can be refused before a body is read: throws if its coding is not supported, or if its announced size
 * exceeds the limit or the room that is free now. Only then asks for a body that waits for `100 Continue`.
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
  askForBody(request, response);
}

/** Asks for the body if its client waits to be asked. */
export function askForBody(request: IncomingMessage, response: ServerResponse): void {
  if (EXPECTS_CONTINUE.test(request.headers.expect ?? '')) response.writeContinue();
}

const EXPECTS_CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i;

/** NaN if the length is not announced. */
function announcedBytes({ headers }: IncomingMessage): number {
  return Number(headers['content-length'] ?? NaN);
}

/**
 * In: a request whose body has not been read. Out: what `use` returns for the received and unpacked body. From its first
 * byte until `use` is done, the body counts against the budget with its actual size, and is refused as soon as it
 * does not fit: an incomplete body takes memory, too. A body is unpacked only when it is complete.
 *
 * Throws a ProblemError or QueueFull; the rest of a refused body is then read and dropped.
 */
export async function withBody<T>(
  request: IncomingMessage,
  budget: ByteBudget,
  limits: BodyLimits,
  use: (body: Buffer) => T | Promise<T>,
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
    return await use(body);
  } finally {
    hold.release();
  }
}

/** The bytes that one turn of the event loop receives, and those that it parses: a few milliseconds each. */
const receiving = new LoopTurns(4 * 1024 * 1024);
const using = new LoopTurns(1024 * 1024);
/** Smaller bodies need no turn: there are never enough of them in one to matter. */
const SMALL_BYTES = 64 * 1024;

/** A client that sends more than this after a refusal is cut off. Four times the default limit of a body. */
const READ_PAST_BYTES_MAX = 64 * 1024 * 1024;

/** Reads and drops the rest of a refused body, so that its client gets to read the answer. */
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

/** Pauses the body until the next turn if this one is used up. */
function takeTurn(request: IncomingMessage, { length }: Buffer): void {
  if (receiving.take(length)) return;
  request.pause();
  receiving.later(length, () => request.resume());
}

function receive(request: IncomingMessage, hold: Hold, { bytesMax, pauseMs }: BodyLimits): Promise<Buffer> {
  const announced = announcedBytes(request);
  return new Promise((resolve, reject) => {
    // Created with the first bytes, because an announcement alone must not cost memory.
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
      refuse(new ProblemError('invalid_request', 'the connection closed before the body was complete'));
    const take = (piece: Buffer): void => {
      if (hold.bytes + piece.length > bytesMax) return refuse(tooLarge());
      if (!hold.grow(piece.length)) return refuse(full());
      body ??= new GrowingBody(announced);
      body.add(piece);
      takeTurn(request, piece);
      // Most bodies arrive in one piece and need no timer.
      if (pause !== undefined) pause.refresh();
      else if (hold.bytes !== announced) pause = setTimeout(() => refuse(tooSlow(pauseMs)), pauseMs);
    };
    const finish = (): void => {
      stop();
      resolve(body?.whole() ?? Buffer.alloc(0));
    };
    // Its client may have left while something else was waited for, and then no event says so any more.
    if (request.destroyed) cut();
    else request.on('data', take).on('end', finish).on('error', cut).on('close', cut);
  });
}

/** Smaller bodies use Node's pool. */
const POOLED_BYTES_MAX = 4096;

/** The most memory allocated with the first piece, bytes: an announced length proves nothing. */
const FIRST_BYTES_MAX = 1024 * 1024;

/**
 * A body that arrives in pieces. Each is copied at once, even a single one: the event reader consumes the bytes, and a
 * piece is a view on the socket's buffer, which would live as long. A body that is not small has memory of its own, which
 * can be freed.
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
