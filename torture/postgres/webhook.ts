import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AggregatorProcess, Ending } from '../../lab/aggregator-process.ts';
import { BrokenPromise } from '../broken-promise.ts';

const GROUP = '/subscriptions/torture-webhook';

/**
 * The target of a webhook, which any of the instances sends. What must hold: an event always comes under the same id, no two
 * events under one, and each came in the end. It may come more than once, where its instance was killed.
 */
export class WebhookTarget {
  /** By offset: the id under which it came first. */
  readonly #ids = new Map<number, string>();
  readonly #offsets = new Map<string, number>();
  messages = 0;
  readonly #server: Server;
  readonly #broken: (error: Error) => void;

  private constructor(broken: (error: Error) => void) {
    this.#broken = broken;
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('error', () => {});
      request.on('end', () => {
        this.#take(String(request.headers['webhook-id']), Buffer.concat(pieces).toString());
        response.writeHead(204).end();
      });
    });
  }

  /** @param broken called with a BrokenPromise */
  static async open(ending: Ending, broken: (error: Error) => void): Promise<WebhookTarget> {
    const target = new WebhookTarget(broken);
    target.#server.listen(0, '127.0.0.1');
    await once(target.#server, 'listening');
    ending.after(() => {
      target.#server.closeAllConnections();
      target.#server.close();
    });
    return target;
  }

  /** Creates the group whose events are sent here, those of one topic from the first on. */
  async make({ url }: AggregatorProcess, topic: string): Promise<void> {
    const { port } = this.#server.address() as AddressInfo;
    const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
    const response = await fetch(url + GROUP, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        topics: [topic],
        start: 'earliest',
        max_deliveries: 1000,
        push: { url: `http://127.0.0.1:${port}/`, secret },
      }),
    });
    if (response.status !== 201)
      throw new BrokenPromise('a new webhook', `${response.status}: ${await response.text()}`);
  }

  /** How many of so many different events are still to come. */
  left(events: number): number {
    if (this.#ids.size > events)
      this.#broken(new BrokenPromise(`${events} events sent`, `${this.#ids.size}`));
    return events - this.#ids.size;
  }

  #take(id: string, body: string): void {
    this.messages += 1;
    const { offset } = JSON.parse(body) as { offset: number };
    const before = this.#ids.get(offset) ?? id;
    const same = this.#offsets.get(id) ?? offset;
    if (before !== id) this.#broken(new BrokenPromise(`offset ${offset} sent under ${before}`, id));
    if (same !== offset) this.#broken(new BrokenPromise(`${id} for offset ${same} alone`, `${offset}`));
    this.#ids.set(offset, id);
    this.#offsets.set(id, offset);
  }
}
