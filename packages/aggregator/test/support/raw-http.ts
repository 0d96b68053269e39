import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import type { TestContext } from 'node:test';
import { spelt } from './publish-way.ts';

/**
 * Sends these bytes unchanged, and returns the responses once the server has closed the connection: for requests
 * that fetch would not send. The last request must ask for the close; the answers must have a Content-Length.
 */
export async function exchange(url: string, ...sent: (string | Uint8Array)[]): Promise<Response[]> {
  return responsesIn(await bytesAnswered(url, sent));
}

/** A connection to write and read piece by piece. It is closed with the test. */
export class RawConnection {
  readonly #socket: Socket;
  #pieces: Buffer[] = [];
  #closed = false;
  #changed: () => void = () => undefined;

  private constructor(t: TestContext, socket: Socket) {
    this.#socket = socket;
    t.after(() => socket.destroy());
    socket.on('data', (piece: Buffer) => {
      this.#pieces.push(piece);
      this.#changed();
    });
    // The server decides how a connection ends; `closed` says that it ended.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#closed = true;
      this.#changed();
    });
  }

  static async open(t: TestContext, url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawConnection(t, socket);
  }

  send(bytes: string | Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Waits until the kernel has everything that was sent, or the connection is closed. */
  async sent(): Promise<void> {
    // At least one turn: a broken connection has nothing to send, and reports its end in the next turn.
    do await new Promise(setImmediate);
    while (this.#socket.writableLength > 0 && !this.#closed);
  }

  /** Reads nothing until `resume`: what the server sends stays with it and the kernel. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Waits until this arrives next, and skips it. */
  async received(text: string): Promise<void> {
    while (this.#received().length < text.length && !this.#closed) await this.#change();
    assert.equal(this.#received().toString('latin1', 0, text.length), text);
    this.#passOver(text.length);
  }

  /** Leaves with a reset, without waiting for anything. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  leave(): void {
    this.#socket.destroy();
  }

  /** The next response, once it is complete; it must have a Content-Length. */
  async response(): Promise<Response> {
    for (;;) {
      const found = responseAt(this.#received(), 0);
      if (found !== null) {
        this.#passOver(found.end);
        return found.response;
      }
      assert.ok(!this.#closed, `closed with ${JSON.stringify(this.#received().toString('latin1'))} received`);
      await this.#change();
    }
  }

  /** Waits until the server has closed the connection; returns any bytes that are not part of a response. */
  async closed(): Promise<string> {
    while (!this.#closed) await this.#change();
    return this.#received().toString('latin1');
  }

  /** Bytes received and not yet taken. */
  #received(): Buffer {
    const [first, ...more] = this.#pieces;
    if (first === undefined || more.length > 0) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0]!;
  }

  #passOver(bytes: number): void {
    this.#pieces = [this.#received().subarray(bytes)];
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#changed = resolve));
  }
}

/** The bytes of a request; `target` is like "GET /events". */
export function requestText(target: string, headers: Record<string, string> = {}, body = ''): string {
  const all = {
    host: 'localhost',
    ...(body && { 'content-length': `${Buffer.byteLength(body)}` }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${spelt(target)} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

function bytesAnswered(url: string, sent: (string | Uint8Array)[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => {
      for (const piece of sent) socket.write(piece);
    });
    socket.setTimeout(60_000, () => socket.destroy(new Error('the server did not close the connection')));
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(pieces)));
  });
}

function responsesIn(bytes: Buffer): Response[] {
  const responses: Response[] = [];
  for (let at = 0; at < bytes.length;) {
    const found = responseAt(bytes, at);
    assert.ok(found !== null, `not a complete response: ${JSON.stringify(bytes.toString('latin1', at))}`);
    responses.push(found.response);
    at = found.end;
  }
  return responses;
}

/** The response that begins at this byte and where it ends, or null if it is incomplete. */
function responseAt(bytes: Buffer, start: number): { response: Response; end: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n', start);
  if (headEnd < 0) return null;
  const [statusLine = '', ...lines] = bytes.toString('latin1', start, headEnd).split('\r\n');
  const headers = new Headers(lines.map((line) => line.split(/:\s*(.*)/).slice(0, 2) as [string, string]));
  const bodyStart = headEnd + 4;
  const end = bodyStart + Number(headers.get('content-length'));
  if (end > bytes.length) return null;
  const status = Number(statusLine.split(' ')[1]);
  return { response: new Response(bytes.subarray(bodyStart, end), { status, headers }), end };
}
