import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Listens on any port, logs it as the service does, and on SIGTERM stops and calls `close`. */
export function listen(server: Server, close: () => void = () => {}): void {
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo;
    const line = { level: 30, port, msg: `listening on http://127.0.0.1:${port}` };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  });
  process.once('SIGTERM', () => {
    server.close();
    server.closeAllConnections();
    close();
  });
}
