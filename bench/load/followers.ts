import { type Socket, connect } from 'node:net';

/** Nothing for so long, though heartbeats come every 15 s: the server is stuck, and so would the run be. */
const SILENCE_MS_MAX = 60_000;

/**
 * Live streams that are read as they come: each must give every offset from the first on, none missing, none twice, none
 * out of order. When each event came is noted by the piece of the stream that completed it, since that is how a program
 * gets it.
 */
export class LiveFollowers {
  readonly count: number;
  readonly #sockets: Socket[] = [];
  readonly #offsets: Float64Array;
  /** Of each piece that held events: the offsets that it completed, and when, three numbers a piece. */
  readonly #receipts: number[] = [];
  #failure: Error | null = null;

  private constructor(count: number) {
    this.count = count;
    this.#offsets = new Float64Array(count);
  }

  /** Opens so many, each from the end of the log; resolves when all have been told where that is. */
  static async open(port: number, path: string, count: number): Promise<LiveFollowers> {
    const followers = new LiveFollowers(count);
    try {
      await Promise.all(Array.from({ length: count }, (_, i) => followers.#open(port, path, i)));
    } catch (error) {
      followers.close();
      throw error;
    }
    return followers;
  }

  /** The offset up to which all have got everything. Throws what one of them found wrong. */
  reached(): number {
    if (this.#failure !== null) throw this.#failure;
    return this.#offsets.reduce((a, b) => Math.min(a, b));
  }

  /** Calls `visit` with every offset that every follower got, and when, in milliseconds of `performance.now`. */
  forEachReceipt(visit: (offset: number, atMs: number) => void): void {
    const receipts = this.#receipts;
    for (let i = 0; i < receipts.length; i += 3) {
      for (let offset = receipts[i]!; offset <= receipts[i + 1]!; offset++) visit(offset, receipts[i + 2]!);
    }
  }

  /** Forgets what was noted so far. */
  forget(): void {
    this.#receipts.length = 0;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(port: number, path: string, place: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let rest: Buffer | null = null;
      let isOpen = false;
      const fail = (error: Error): void => {
        this.#failure ??= error;
        reject(error);
        socket.destroy();
      };
      const take = (length: number, buffer: Uint8Array): boolean => {
        const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, length);
        const piece = rest === null ? chunk : Buffer.concat([rest, chunk]);
        const end = piece.lastIndexOf('\n\n');
        // A copy: the memory is read into again.
        rest = end + 2 === piece.length ? null : Buffer.from(piece.subarray(end < 0 ? 0 : end + 2));
        if (end < 0) return true;
        try {
          if (isOpen) this.#take(place, piece, end);
          else {
            this.#offsets[place] = cursorIn(piece.toString('latin1', 0, end));
            isOpen = true;
            resolve();
          }
        } catch (error) {
          fail(error as Error);
        }
        return true;
      };
      const socket = connect({ host: '127.0.0.1', port, onread: { buffer: READ_BUFFER, callback: take } });
      this.#sockets.push(socket);
      socket.setTimeout(SILENCE_MS_MAX, () =>
        fail(new Error(`a follower got nothing for ${SILENCE_MS_MAX} ms`)),
      );
      socket.on('error', fail);
      socket.on('connect', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`));
    });
  }

  #take(place: number, piece: Buffer, end: number): void {
    const first = this.#offsets[place]! + 1;
    let next = first;
    // What stands in `data` is JSON, which has no line breaks.
    for (let at = piece.indexOf(EVENT); at >= 0 && at < end; at = piece.indexOf(EVENT, at + EVENT.length)) {
      const offset = numberBefore(piece, at);
      if (offset !== next) throw new Error(`a follower got offset ${offset} where ${next} comes next`);
      next += 1;
    }
    if (next === first) return;
    this.#offsets[place] = next - 1;
    this.#receipts.push(first, next - 1, performance.now());
  }
}

const EVENT = Buffer.from('\nevent: event\n');

/** All sockets are read into the same memory, one after the other, so that the load costs its core little. */
const READ_BUFFER = Buffer.alloc(256 * 1024);

/** The head, and the block that tells where the stream begins. */
function cursorIn(text: string): number {
  const cursor = /^HTTP\/1\.1 200 [\s\S]*\nid: (\d+)$/.exec(text)?.[1];
  if (cursor === undefined) throw new Error(`a stream began with ${JSON.stringify(text)}`);
  return Number(cursor);
}

function numberBefore(bytes: Buffer, end: number): number {
  let number = 0;
  let unit = 1;
  for (let at = end - 1; bytes[at]! >= 0x30 && bytes[at]! <= 0x39; at--) {
    number += (bytes[at]! - 0x30) * unit;
    unit *= 10;
  }
  return number;
}
