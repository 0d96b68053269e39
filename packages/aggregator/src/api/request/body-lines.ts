import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { ByteBudget, Hold } from '../../queue/byte-budget.ts';
import { type BodyLimits, readPast } from './body.ts';
import { full, tooSlow } from './body-refusals.ts';
import { codingOf, notPacked, unpackedStream } from './content-coding.ts';
import { ProblemError } from './problems.ts';

/** Whole lines that have arrived, and the memory that they count for until they are released. */
export interface Lines {
  readonly bytes: Buffer;
  readonly hold: Hold;
}

/** The line after those that were handed out has more bytes than one may have, and more are coming. */
export class LineTooLong extends Error {}

/** Lines are handed out once so many bytes of them have arrived, or when the body ends. */
const PART_BYTES = 256 * 1024;

/** How long lines may wait for room that other publishes take, milliseconds, and how often they look. */
export const ROOM_MS_MAX = 10_000;
export const ROOM_LOOK_MS = 50;

/**
 * A body of lines of any length, a part at a time. In: a request whose body has not been read. Out: its whole lines,
 * unpacked, in memory of their own. What a client sends faster than it is taken waits in the network.
 *
 * The last line may lack its line feed. Throws a ProblemError, LineTooLong or QueueFull; then the rest of the body is read and dropped.
 */
export async function* linesOf(
  request: IncomingMessage,
  budget: ByteBudget,
  { bytesMax, pauseMs }: BodyLimits,
): AsyncGenerator<Lines> {
  const coding = codingOf(request);
  const source = coding === null ? request : unpackedStream(request, coding);
  const part = new PartInProgress(budget, bytesMax);
  try {
    for await (const piece of piecesOf(source, pauseMs, () =>
      coding === null || request.errored !== null ? cut() : notPacked(coding),
    )) {
      await part.add(piece);
      if (part.isFull) yield part.takeLines();
    }
    const rest = part.takeRest();
    if (rest !== null) yield rest;
  } finally {
    part.release();
    if (source !== request) source.destroy();
    readPast(request);
  }
}

function cut(): ProblemError {
  return new ProblemError('invalid_request', 'the connection closed before the body was complete');
}

/** The pieces of a stream as they come. Throws if none comes for a while, or what `faultOf` says if the stream fails. */
async function* piecesOf(
  source: Readable,
  pauseMs: number,
  faultOf: () => ProblemError,
): AsyncGenerator<Buffer> {
  // Destroying a request closes its connection, over which the answer is still to be sent.
  const pieces = source.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const next = pieces.next().catch(() => {
        throw faultOf();
      });
      const piece = await within(pauseMs, next);
      if (piece.done === true) return;
      yield piece.value;
    }
  } finally {
    // Not awaited: if a piece is still awaited, it may never come.
    pieces.return?.().catch(() => undefined);
  }
}

async function within<T>(pauseMs: number, next: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow(pauseMs)), pauseMs);
  });
  next.catch(() => undefined);
  try {
    return await Promise.race([next, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What has arrived and was not handed out. It counts against the budget. */
class PartInProgress {
  readonly #budget: ByteBudget;
  readonly #lineBytesMax: number;
  #hold: Hold;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #hasLine = false;

  constructor(budget: ByteBudget, lineBytesMax: number) {
    this.#budget = budget;
    this.#lineBytesMax = lineBytesMax;
    this.#hold = budget.open();
  }

  async add(piece: Buffer): Promise<void> {
    const untilMs = performance.now() + ROOM_MS_MAX;
    while (!this.#hold.grow(piece.length)) {
      if (performance.now() > untilMs) throw full();
      await new Promise((resolve) => setTimeout(resolve, ROOM_LOOK_MS));
    }
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#hasLine ||= piece.includes(LINE_FEED);
    if (!this.#hasLine && this.#bytes > this.#lineBytesMax) {
      throw new LineTooLong(`is more than ${this.#lineBytesMax} bytes long, which is the limit of a line`);
    }
  }

  /** Whether there are whole lines, and enough of them. */
  get isFull(): boolean {
    return this.#hasLine && this.#bytes >= PART_BYTES;
  }

  /** The whole lines so far. */
  takeLines(): Lines {
    const bytes = Buffer.concat(this.#pieces, this.#bytes);
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    const lines = { bytes: bytes.subarray(0, end), hold: this.#hold };
    // The beginning of the next line counts with these until they are released.
    this.#hold = this.#budget.open();
    const rest = bytes.subarray(end);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#hasLine = false;
    return lines;
  }

  takeRest(): Lines | null {
    if (this.#bytes === 0) return null;
    return { bytes: Buffer.concat(this.#pieces, this.#bytes), hold: this.#hold };
  }

  release(): void {
    this.#hold.release();
  }
}

const LINE_FEED = 0x0a;
