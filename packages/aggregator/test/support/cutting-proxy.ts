import { type Socket, connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

/**
 * Where a commit is cut: before the server gets it, after the server has done it and before its answer arrives, or with the
 * connection gone at once and the server doing it a moment later. Or its answer is held up, until `answer` is called.
 */
export type Cut = 'before' | 'after' | 'late' | 'unanswered';

const LATE_MS = 150;

/** How the client library names the statement that commits an append, where its parameters are bound. */
const COMMIT = '\0commit\0';

/** Stands between a client and its server, and cuts the connections of commits or of other requests. */
export class CuttingProxy {
  /** What happens to the next commits, in order; afterwards all pass. */
  readonly cuts: Cut[] = [];
  /** How many were cut. */
  done = 0;
  /** While it is set, nobody can connect. */
  isClosed = false;
  readonly port: number;
  /** Passes on an answer that is held up. */
  answer = (): void => {};
  /** Cuts the connection whose answer is held up. */
  drop = (): void => {};
  readonly #marker: Buffer;

  private constructor(port: number, marker: string) {
    this.port = port;
    this.#marker = Buffer.from(marker);
  }

  /**
   * @param to the path of the server's socket, or its port on this machine
   * @param marker what is in the bytes of what is cut
   */
  static async start(t: TestContext, to: string | number, marker = COMMIT): Promise<CuttingProxy> {
    const server = createServer();
    const open = new Set<Socket>();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new CuttingProxy((server.address() as AddressInfo).port, marker);
    server.on('connection', (near) => {
      if (proxy.isClosed) return void near.destroy();
      const far = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
      for (const one of [near, far]) {
        open.add(one);
        one.on('error', () => {});
        one.on('close', () => open.delete(one));
      }
      proxy.#join(near, far);
    });
    t.after(() => {
      for (const one of open) one.destroy();
      server.close();
    });
    return proxy;
  }

  #join(near: Socket, far: Socket): void {
    let cut: Cut | undefined;
    near.on('data', (bytes: Buffer) => {
      if (cut === undefined && bytes.includes(this.#marker)) {
        cut = this.cuts.shift();
        if (cut !== undefined) this.done += 1;
      }
      if (cut === undefined || cut === 'after' || cut === 'unanswered') {
        far.write(bytes);
        return;
      }
      near.destroy();
      if (cut === 'before') far.destroy();
      else setTimeout(() => far.write(bytes), LATE_MS);
    });
    far.on('data', (bytes: Buffer) => {
      if (cut === undefined) near.write(bytes);
      else if (cut === 'unanswered') {
        far.pause();
        this.answer = () => {
          cut = undefined;
          near.write(bytes);
          far.resume();
        };
        this.drop = () => {
          near.destroy();
          far.destroy();
        };
      } else if (cut === 'after') {
        near.destroy();
        far.destroy();
      }
    });
    near.on('end', () => cut === 'late' || far.end());
    near.on('close', () => cut === 'late' || far.destroy());
    far.on('close', () => near.destroy());
  }
}
