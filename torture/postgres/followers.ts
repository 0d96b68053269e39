import { setTimeout as sleep } from 'node:timers/promises';
import { BrokenPromise } from '../broken-promise.ts';
import type { Clients } from './clients.ts';
import type { Instance } from './instances.ts';

/** Before it comes back, as a client does, milliseconds. */
const BACK_AFTER_MS = 20;

/**
 * Reads the whole log live, from any instance that is up, and goes on at another one from its cursor when a stream breaks.
 * The history says whether anything was skipped, repeated or out of order.
 */
export class LogFollower {
  /** All events up to here were shown. */
  position = 0;
  /** Streams that it has opened. */
  streams = 0;
  readonly #place: number;
  readonly #parts: Clients;

  /** @param place of the instance that it reads from while that is up */
  constructor(place: number, parts: Clients) {
    this.#place = place;
    this.#parts = parts;
  }

  /** Follows until the signal; throws a BrokenPromise. */
  async follow(): Promise<void> {
    const { instances, random, signal } = this.#parts;
    while (!signal.aborted) {
      const instance = instances.up.find(({ place }) => place === this.#place) ?? instances.any(random);
      if (instance !== undefined) await this.#read(instance);
      if (!signal.aborted) await sleep(BACK_AFTER_MS);
    }
  }

  /** Reads one stream until it breaks. */
  async #read({ place, service }: Instance): Promise<void> {
    const { signal } = this.#parts;
    const from = performance.now();
    let response: Response;
    try {
      const url = `${service.url}/events/stream?after=${this.position}`;
      response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal });
    } catch {
      return;
    }
    if (response.status !== 200) {
      const text = await response.text().catch(() => '');
      if (response.status === 503 || text === '') return;
      throw new BrokenPromise(
        `a stream from instance ${place} after ${this.position}`,
        `${response.status}: ${text}`,
      );
    }
    this.streams += 1;
    const client = `a follower of instance ${place}`;
    for await (const lines of eventsOf(response)) this.#shown(client, from, lines);
  }

  #shown(client: string, from: number, lines: readonly string[]): void {
    const { account, events, history } = this.#parts;
    const after = this.position;
    const seen = lines.map((line) => {
      const { k, offset } = account.shown(line);
      this.position = offset;
      return { offset, key: events.key(k), content: 'the first' };
    });
    history.read({ client, from, to: performance.now(), after, events: seen, isToEnd: false });
  }
}

/** The events of a stream, as they come; ends where it breaks. */
async function* eventsOf(response: Response): AsyncGenerator<string[]> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const bytes of response.body!) {
      const blocks = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
      rest = blocks.pop()!;
      const lines = blocks.flatMap(dataOf);
      if (lines.length > 0) yield lines;
    }
  } catch {
    // The instance is gone, or nobody wants to read on.
  }
}

function dataOf(block: string): string[] {
  const lines = block.split('\n');
  // Where events were let go of; the history says whether any other was passed over.
  if (lines.includes('event: gap')) return [];
  return lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice('data: '.length));
}
