import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import type { Server } from 'node:net';

/** How long the far end goes on after the near end of its connection is gone, milliseconds. */
const LATE_MS = 150;

/** Where a server listens. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** The path of a socket where it listens. */
export interface SocketPlace {
  readonly path: string;
}

/**
 * A network between clients and one server, which can be cut at any byte and can stall. In: connections to `port`. Out:
 * connections to the server, which may become another's while it is open.
 */
export class Network implements AsyncDisposable {
  /** Where the server listens. Connections that are open stay with the one they have. */
  server: Place | SocketPlace;
  readonly port: number;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #lost = new WeakSet<Socket>();
  /** Bytes that still pass, both ways and over all connections, before the connection that carries the next one is cut. */
  #bytesToCut = Infinity;
  #isLate = false;
  #isStalled = false;
  /** Connections cut so far. */
  cuts = 0;

  private constructor(listener: Server, server: Place | SocketPlace) {
    this.#listener = listener;
    this.server = server;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (near) => this.#join(near));
  }

  static async open(server: Place | SocketPlace): Promise<Network> {
    // A client that closes its half may still be read from.
    const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new Network(listener, server);
  }

  /**
   * Cuts one connection when so many more bytes have passed, in the middle of a message if that is where it ends.
   *
   * @param isLate whether the server hears of it only a moment later, and of what the client had sent before
   */
  cutAfter(bytes: number, isLate: boolean): void {
    this.#bytesToCut = bytes;
    this.#isLate = isLate;
  }

  /** Passes nothing any more, and keeps all connections, until `flow`. */
  stall(): void {
    this.#isStalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  flow(): void {
    this.#isStalled = false;
    this.#bytesToCut = Infinity;
    for (const socket of this.#sockets) if (!this.#lost.has(socket)) socket.resume();
  }

  /** Passes nothing any more over the connections that are open, and tells neither end: as where a firewall has forgotten them. */
  lose(): void {
    for (const socket of this.#sockets) {
      this.#lost.add(socket);
      socket.pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #join(near: Socket): void {
    const far = connect({ ...this.server, allowHalfOpen: true });
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      // How a connection ends is for its two ends to tell.
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      if (this.#isStalled) socket.pause();
    }
    let isCut = false;
    const pass = (from: Socket, to: Socket) => (bytes: Buffer) => {
      if (isCut) return;
      if (bytes.length <= this.#bytesToCut) {
        this.#bytesToCut -= bytes.length;
        to.write(bytes);
        return;
      }
      isCut = true;
      this.cuts += 1;
      const passed = this.#bytesToCut;
      this.#bytesToCut = Infinity;
      to.write(bytes.subarray(0, passed));
      near.destroy();
      if (!this.#isLate) far.destroy();
      else
        setTimeout(() => {
          if (from === near) far.write(bytes.subarray(passed));
          setTimeout(() => far.destroy(), LATE_MS);
        }, LATE_MS);
    };
    near.on('data', pass(near, far));
    far.on('data', pass(far, near));
    near.on('end', () => far.end());
    far.on('end', () => near.end());
    near.on('close', () => isCut || far.destroy());
    far.on('close', () => near.destroy());
  }
}
