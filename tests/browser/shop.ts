import { setTimeout as sleep } from 'node:timers/promises';
import type { AggregatorProcess } from '../../lab/aggregator-process.ts';
import { SeededRandom } from '../../lab/random.ts';

const TOPICS = [
  'orders.eu',
  'orders.us',
  'orders.asia',
  'payments.card',
  'payments.sepa',
  'stock.moved',
  'mail.sent',
] as const;
const SOURCES = ['phone-app', 'web-shop', 'checkout-1', 'checkout-2', 'warehouse'] as const;
const WORDS = ['order placed', 'order paid', 'parcel packed', 'card refused', 'invoice sent'] as const;

/** Batches that publishers send again, most of them soon. */
const REMEMBERED = 60;
const BATCH_MS = 100;

/** A shop that publishes all the time, retries a part of it, and now and then gives two events one id. */
export class Shop {
  readonly #aggregator: AggregatorProcess;
  readonly #random = new SeededRandom(7);
  readonly #sent: string[] = [];
  #made = 0;

  constructor(aggregator: AggregatorProcess) {
    this.#aggregator = aggregator;
  }

  /** Publishes about so many events, and retries of them, in one request after another. */
  async publish(events: number): Promise<void> {
    for (let left = events; left > 0; left -= 1000) await this.#post(this.#batch(Math.min(left, 1000)));
    // What goes on is retried in parts of its own size.
    this.#sent.length = 0;
  }

  /** Publishes some two hundred events a second until the signal. */
  async goOn(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn++) {
      await this.#post(this.#batch(this.#random.whole(12, 22) + Math.round(6 * Math.sin(turn / 25))));
      await sleep(BATCH_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Makes a group whose worker is a little late, one that nobody works on, and a webhook whose target is away. */
  async makeGroups(): Promise<void> {
    await this.#put('mailers', {
      topics: ['mail.>', 'orders.*'],
      start: 'earliest',
      max_deliveries: 2,
      lease_ms: 1000,
    });
    await this.#put('audit', { topics: ['payments.>'], start: 'earliest' });
    const secret = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
    await this.#put('billing', {
      topics: ['payments.card'],
      push: { url: 'http://127.0.0.1:9/hook', secret },
    });
  }

  /** Pulls for the group, acknowledges most of it, and lets the rest die. */
  async work(name: string, events: number): Promise<void> {
    const answer = await this.#post('{}', `/subscriptions/${name}/pull`, { max: Math.min(events, 1000) });
    const leases = (answer as { events: { lease_id: string }[] }).events.map(({ lease_id: lease }) => lease);
    const good = leases.slice(3);
    if (good.length > 0) await this.#post('', `/subscriptions/${name}/ack`, { lease_ids: good });
  }

  #batch(events: number): string {
    const texts = Array.from({ length: events }, () => this.#event());
    const isRetried = this.#random.chance(0.3) && this.#sent.length > 0;
    const again = isRetried ? this.#sent[this.#random.whole(0, this.#sent.length - 1)]! : '';
    const batch = texts.join();
    this.#sent.push(batch);
    if (this.#sent.length > REMEMBERED) this.#sent.shift();
    return `[${batch}${again === '' ? '' : `,${again}`}]`;
  }

  #event(): string {
    const n = ++this.#made;
    const whole = (min: number, max: number): number => this.#random.whole(min, max);
    // One of some hundred ids comes a second time, with another amount.
    const id = this.#random.chance(1 / 300) && n > 50 ? n - 40 : n;
    const amount = `${whole(10, 900)}.${whole(10, 99)}`;
    return (
      `{"event_id":"evt-${100_000 + id}","topic":"${TOPICS[id % TOPICS.length]}","source":"${this.#random.of(SOURCES)}",` +
      `"payload":{"message":"${this.#random.of(WORDS)}","amount":${amount},"customer":90071992547409${whole(10_000, 19_999)},` +
      `"items":[{"sku":"A-${whole(100, 600)}","count":${whole(1, 4)}}]},` +
      `"timestamp":"${new Date().toISOString()}"}`
    );
  }

  async #put(name: string, definition: object): Promise<void> {
    await this.#send('PUT', `/subscriptions/${name}`, JSON.stringify(definition));
  }

  #post(body: string, path = '/publish', json?: object): Promise<unknown> {
    return this.#send('POST', path, json === undefined ? body : JSON.stringify(json));
  }

  async #send(method: string, path: string, body: string): Promise<unknown> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(this.#aggregator.url + path, { method, headers, body });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
    return JSON.parse(text);
  }
}
