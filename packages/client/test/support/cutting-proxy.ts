import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import type { TestContext } from 'node:test';

/** Passes bytes on to a server. The test can cut all connections at any moment. */
export class CuttingProxy {
  readonly url: string;
  cuts = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(url: string) {
    this.url = url;
  }

  /** @param target returns the URL of the server; called for each connection */
  static async start(t: TestContext, target: () => string): Promise<CuttingProxy> {
    const server = createServer((near) => {
      const far = connect(Number(new URL(target()).port), '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        proxy.#sockets.add(from);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          proxy.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new CuttingProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    t.after(() => {
      proxy.cut();
      server.close();
    });
    return proxy;
  }

  cut(): void {
    this.cuts++;
    for (const socket of this.#sockets) socket.destroy();
  }
}
