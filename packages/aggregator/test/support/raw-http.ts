import { connect } from 'node:net';

/**
 * Sends these bytes as they are, and returns the responses after the server closed the connection: for what fetch
 * would not send. The last request must ask for the close; the answers must have a Content-Length.
 */
export async function exchange(url: string, ...sent: (string | Uint8Array)[]): Promise<Response[]> {
  return responsesIn(await bytesAnswered(url, sent));
}

/** The bytes of a request; `target` is like "GET /events". */
export function requestText(target: string, headers: Record<string, string> = {}, body = ''): string {
  const all = {
    host: 'localhost',
    ...(body && { 'content-length': `${Buffer.byteLength(body)}` }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

function bytesAnswered(url: string, sent: (string | Uint8Array)[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => {
      for (const piece of sent) socket.write(piece);
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error('the server did not close the connection')));
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(pieces)));
  });
}

function responsesIn(bytes: Buffer): Response[] {
  const responses: Response[] = [];
  for (let at = 0; at < bytes.length;) {
    const bodyStart = bytes.indexOf('\r\n\r\n', at) + 4;
    const [statusLine = '', ...lines] = bytes.toString('latin1', at, bodyStart - 4).split('\r\n');
    const headers = new Headers(lines.map((line) => line.split(/:\s*(.*)/).slice(0, 2) as [string, string]));
    at = bodyStart + Number(headers.get('content-length'));
    responses.push(
      new Response(bytes.subarray(bodyStart, at), { status: Number(statusLine.split(' ')[1]), headers }),
    );
  }
  return responses;
}
