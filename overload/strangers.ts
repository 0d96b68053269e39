import { type Socket, connect } from 'node:net';

/**
 * Clients that hold connections and contribute nothing. When the server closes one, another takes its place, until
 * `leave`.
 */
export class Strangers {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #left = false;
  /** Connections that the server closed. */
  closed = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** They ask for everything and read none of it. */
  readersThatDoNotRead(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#come((socket) => {
        socket.pause();
        socket.write('GET /events HTTP/1.1\r\nhost: a\r\n\r\n');
      });
    }
  }

  /** They send a header every second, and never the last one. */
  slowHeaders(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#come((socket) => {
        socket.write('GET /health HTTP/1.1\r\nhost: a\r\n');
        this.#each(socket, 1000, () => socket.write('x-more: y\r\n'));
      });
    }
  }

  /** They send half of a large body, and nothing more. */
  halfBodies(count: number, bodyBytes: number): void {
    const half = Buffer.alloc(bodyBytes / 2, ' ');
    for (let i = 0; i < count; i++) {
      this.#come((socket) => {
        socket.write(
          'POST /publish HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n' +
            `content-length: ${bodyBytes}\r\n\r\n`,
        );
        socket.write(half);
      });
    }
  }

  /** They open a connection and say nothing. */
  silent(count: number): void {
    for (let i = 0; i < count; i++) this.#come(() => undefined);
  }

  leave(): void {
    this.#left = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #come(begin: (socket: Socket) => void): void {
    const socket = connect(this.#port, '127.0.0.1');
    this.#sockets.add(socket);
    socket.once('connect', () => begin(socket));
    socket.resume();
    // It does not matter how the server ends it.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#left) return;
      this.closed += 1;
      setTimeout(() => {
        if (!this.#left) this.#come(begin);
      }, 100);
    });
  }

  #each(socket: Socket, everyMs: number, work: () => void): void {
    const timer = setInterval(work, everyMs);
    this.#timers.add(timer);
    socket.once('close', () => {
      clearInterval(timer);
      this.#timers.delete(timer);
    });
  }
}
