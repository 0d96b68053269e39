import { type Socket, connect } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Longer than any answer may take, so that a stuck server fails the run instead of blocking it. */
const SILENCE_MS_MAX = 60_000;

/** Finds the first answer in what was received. Throws if that cannot be the beginning of one. */
type Parser<A> = (received: string) => { readonly answer: A; readonly end: number } | null;

/** A connection with at most one request under way, which writes prepared bytes. */
export class Exchange<A> {
  readonly #socket: Socket;
  readonly #parse: Parser<A>;
  #received = '';
  #waiting: { resolve: (answer: A) => void; reject: (error: Error) => void } | null = null;
  #failure: Error | null = null;

  protected constructor(socket: Socket, parse: Parser<A>) {
    this.#socket = socket;
    this.#parse = parse;
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS_MAX, () => this.#fail(new Error(`no answer within ${SILENCE_MS_MAX} ms`)));
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => this.#take(String(chunk)));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  protected static connect(port: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(socket);
      });
    });
  }

  request(bytes: Uint8Array): Promise<A> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      if (this.#waiting !== null) return reject(new Error('a request is under way'));
      this.#waiting = { resolve, reject };
      this.#socket.write(bytes);
    });
  }

  close(): void {
    this.#waiting = null;
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received += text;
    let found: ReturnType<Parser<A>>;
    try {
      found = this.#parse(this.#received);
    } catch (error) {
      return this.#fail(error as Error);
    }
    if (found === null) return;
    this.#received = this.#received.slice(found.end);
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve(found.answer);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#waiting = null;
    this.#socket.destroy();
  }
}

/**
 * A keep-alive HTTP connection. To keep the load cheap, it understands only as much HTTP as our servers use: a status and a
 * Content-Length.
 */
export class Connection extends Exchange<Answer> {
  static async open(port: number): Promise<Connection> {
    return new Connection(await Exchange.connect(port), answerIn);
  }
}

function answerIn(received: string): { answer: Answer; end: number } | null {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = received.slice(0, headEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without a Content-Length: ${head}`);
  const end = headEnd + 4 + Number(length);
  if (received.length < end) return null;
  return { answer: { status: Number(head.slice(9, 12)), body: received.slice(headEnd + 4, end) }, end };
}

/** The bytes of a request, head and body; `target` is like "POST /publish". The body is JSON. */
export function requestBytes(target: string, body = ''): Buffer {
  const about =
    body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return Buffer.from(`${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${about}\r\n${body}`);
}

/** One `GET` on a connection of its own. */
export async function get(port: number, path: string): Promise<Answer> {
  const connection = await Connection.open(port);
  try {
    return await connection.request(requestBytes(`GET ${path}`));
  } finally {
    connection.close();
  }
}
