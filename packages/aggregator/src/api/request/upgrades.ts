import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Bytes that a connection had given when its last upgrade request was complete. */
const readBefore = new WeakMap<Socket, number>();

/**
 * Guards connections on which a client asks for another protocol (RFC 9110, 7.8), as Java's HttpClient does for HTTP/2 in
 * every request. The request itself is answered as usual. But Node.js drops whatever its packet holds behind it: part of a
 * request would be missing, and the next one would be read from its middle, or take its answer. So unless all bytes so far
 * belong to this request, the connection ends with its answer, and nothing more is read from it.
 */
export function guardUpgrades(server: Server): void {
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.upgrade === undefined || !UPGRADE.test(request.headers.connection ?? '')) return;
    const { socket } = request;
    const expected =
      (readBefore.get(socket) ?? 0) + headBytes(request) + Number(request.headers['content-length'] ?? 0);
    const check = (): void => {
      if (socket.bytesRead === expected) readBefore.set(socket, expected);
      else endAfter(response, socket);
    };
    if (socket.bytesRead >= expected) check();
    else request.once('end', check);
  });
}

function endAfter(response: ServerResponse, socket: Socket): void {
  socket.pause();
  // The server itself reads on once it has all of a body, however long the answer takes.
  socket.resume = () => socket;
  if (response.headersSent) socket.destroySoon();
  else response.shouldKeepAlive = false;
}

const UPGRADE = /(?:^|[\s,])upgrade(?:$|[\s,])/i;

/** The length of the head as clients usually write it. Another spelling is longer, and counts as bytes of something else. */
function headBytes({ method, url, httpVersion, rawHeaders }: IncomingMessage): number {
  let bytes = `${method} ${url} HTTP/${httpVersion}\r\n\r\n`.length;
  for (const part of rawHeaders) bytes += part.length + 2;
  return bytes;
}
