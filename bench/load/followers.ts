import { type Socket, connect } from 'node:net';

/** Heartbeats come every 15 s, so after this much silence the server is stuck. */
const SILENCE_MS_MAX = 60_000;

/**
 * Live streams that are read as they arrive. Each must deliver every offset from its first on: none missing, repeated or
 * out of order. An event's time of receipt is that of the piece that completed it, which is when a program gets it.
 */
export class LiveFollowers {
  readonly count: number;
  readonly #sockets: Socket[] = [];
  readonly #offsets: Float64Array;
  /** Three numbers for each piece with events: the first and last offset that it completed, and when. */
  readonly #receipts: number[] = [];
  #failure: Error | null = null;

  private constructor(count: number) {
    this.count = count;
    this.#offsets = new Float64Array(count);
  }

  /** Opens streams from the end of the log; resolves when all know where that is. */
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

  /** The offset up to which all have received everything. Throws if one of them found a fault. */
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
        // A copy, because the buffer is reused.
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
    // `data` is JSON, which has no line breaks.
    for (let at = piece.indexOf(DATA); at >= 0 && at < end; at = piece.indexOf(DATA, at + DATA.length)) {
      const offset = numberAt(piece, piece.lastIndexOf(ID, at) + ID.length);
      if (offset !== next) throw new Error(`a follower got offset ${offset} where ${next} comes next`);
      next += 1;
    }
    if (next === first) return;
    this.#offsets[place] = next - 1;
    this.#receipts.push(first, next - 1, performance.now());
  }
}

const ID = Buffer.from('id: ');
const DATA = Buffer.from('\ndata: ');

/** All sockets share one read buffer, which keeps the load cheap. */
const READ_BUFFER = Buffer.alloc(256 * 1024);

/** Reads the head and the first block, which says where the stream begins. */
function cursorIn(text: string): number {
  const cursor = /^HTTP\/1\.1 200 [\s\S]*\nid: (\d+)$/.exec(text)?.[1];
  if (cursor === undefined) throw new Error(`a stream began with ${JSON.stringify(text)}`);
  return Number(cursor);
}

function numberAt(bytes: Buffer, start: number): number {
  let number = 0;
  for (let at = start; bytes[at]! >= 0x30 && bytes[at]! <= 0x39; at++)
    number = number * 10 + bytes[at]! - 0x30;
  return number;
}
