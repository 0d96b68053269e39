import { once } from 'node:events';
import { type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

/** A request as it arrived; `number` counts from 1. */
export interface Arrived {
  readonly number: number;
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly atMs: number;
}

export interface ScriptedAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** An object is sent as JSON. */
  readonly body?: unknown;
}

/** What happens to a request: an answer, silence, or a cut connection. A function writes the answer itself. */
export type Reaction = ScriptedAnswer | 'silence' | 'cut' | ((response: ServerResponse) => void);

/** A server that does what the test's script says, for what no real one can be made to do. */
export class ScriptedServer {
  readonly arrived: Arrived[] = [];
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  static async start(
    t: TestContext,
    script: (request: Arrived) => Reaction | Promise<Reaction>,
  ): Promise<ScriptedServer> {
    const http = createServer((request, response) => {
      const react = async (): Promise<void> => {
        const body = await text(request);
        const arrived: Arrived = {
          number: server.arrived.length + 1,
          method: request.method ?? '',
          url: new URL(request.url ?? '', server.url),
          headers: request.headers,
          body,
          atMs: performance.now(),
        };
        server.arrived.push(arrived);
        const reaction = await script(arrived);
        if (reaction === 'silence') return;
        if (reaction === 'cut') request.socket.destroy();
        else if (typeof reaction === 'function') reaction(response);
        else {
          const { status = 200, headers = {}, body = {} } = reaction;
          response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
        }
      };
      // The client has given the request up.
      react().catch(() => response.destroy());
    });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    t.after(() => {
      http.closeAllConnections();
      http.close();
    });
    const server = new ScriptedServer(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    return server;
  }
}

/** The events in a publish request. */
export function eventsIn({ body }: Arrived): { event_id: string; payload: Record<string, unknown> }[] {
  return (JSON.parse(body) as { events: [] }).events;
}

/** The answer to a publish of a service that stores everything. */
export function accepted(request: Arrived): ScriptedAnswer {
  const results = eventsIn(request).map(({ event_id }, i) => ({
    event_id,
    topic: 'orders',
    verdict: 'accepted',
    offset: i + 1,
  }));
  return { body: { results } };
}

export function problem(status: number, code: string, more: object = {}): ScriptedAnswer {
  return { status, body: { status, code, title: code, detail: `because of ${code}`, ...more } };
}
