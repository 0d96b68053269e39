import { once } from 'node:events';
import { type RequestListener, type Server, type ServerResponse, createServer } from 'node:http';
import { type ServerOptions, createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { Webhook } from 'standardwebhooks';

/** `whsec_` and 32 bytes. */
export const SECRET = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;

/** A different secret for each number up to 255. */
export function secretOf(n: number): string {
  return `whsec_${Buffer.alloc(32, n).toString('base64')}`;
}

/** A message as it arrived, verified. */
export interface Received {
  readonly id: string;
  readonly event: StoredEvent;
  readonly atMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

type Answer = number | ((response: ServerResponse) => void);

/**
 * The target of a webhook: it verifies each message with a third-party library, records it, and answers as the test
 * says, by default with 200.
 */
export class Receiver {
  readonly received: Received[] = [];
  /** Of messages that could not be verified. */
  readonly faults: string[] = [];
  connections = 0;
  readonly #server: Server;
  readonly #answerTo: (message: Received) => Answer;
  #webhook = new Webhook(SECRET);
  readonly #scheme: 'http' | 'https';

  private constructor(answerTo: (message: Received) => Answer, tls: ServerOptions | undefined) {
    this.#answerTo = answerTo;
    const listener: RequestListener = (request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () =>
        this.#take(Buffer.concat(pieces), request.headers as Record<string, string>, response),
      );
    };
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
    this.#server.on('connection', () => (this.connections += 1));
  }

  static async start(
    t: TestContext,
    answerTo: (message: Received) => Answer = () => 200,
    tls?: ServerOptions,
  ): Promise<Receiver> {
    const receiver = new Receiver(answerTo, tls);
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    t.after(() => {
      receiver.#server.closeAllConnections();
      receiver.#server.close();
    });
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}/hook?of=test`;
  }

  /** Accepts only messages signed by this secret from now on. */
  trust(secret: string): void {
    this.#webhook = new Webhook(secret);
  }

  /** The offsets in order of arrival, including repeated attempts. */
  get offsets(): number[] {
    return this.received.map(({ event }) => event.offset);
  }

  #take(body: Buffer, headers: Record<string, string>, response: ServerResponse): void {
    let message: Received;
    try {
      const event = this.#webhook.verify(body, headers) as StoredEvent;
      message = { id: headers['webhook-id']!, event, atMs: performance.now(), headers };
    } catch (error) {
      this.faults.push(String(error));
      response.writeHead(400).end();
      return;
    }
    this.received.push(message);
    const answer = this.#answerTo(message);
    if (typeof answer === 'function') answer(response);
    else response.writeHead(answer).end('{"ok":true}');
  }
}
