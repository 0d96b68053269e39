import { parseExact } from '../json/exact-json.ts';
import { textIn } from '../json/fields.ts';
import { Watched } from '../watched.ts';
import { BASE } from './address.ts';
import { Refusal } from './ask.ts';
import { authorization, keyAsked } from './key.ts';
import type { Item } from './item.ts';
import { SseLines } from './sse-lines.ts';

export type StreamState =
  | { readonly is: 'paused' | 'connecting' | 'open' }
  /** Cut off; it comes back by itself. */
  | { readonly is: 'waiting'; readonly why: string }
  /** It cannot go on in this way. */
  | { readonly is: 'refused'; readonly error: Refusal };

/** The service sends something every 15 s; a connection that is silent for three times as long is dead. */
const QUIET_MS = 45_000;
const BACKOFF_MS_MAX = 10_000;

/**
 * One live stream, read by fetch, since an EventSource sends no key. In: a cursor and what the service sends. Out: items, many
 * at a time. It is *paused*, *connecting*, *open*, *waiting* to connect again, or *refused*.
 *
 * The cursor is the last id that was sent, with or without an event; it moves together with the handing over of what came
 * before it. So a pause or a cut loses nothing and brings nothing twice, and what comes meanwhile stays in the log.
 */
export class EventStream {
  readonly state = new Watched<StreamState>({ is: 'paused' });
  readonly #topics: readonly string[];
  readonly #take: (items: readonly Item[]) => void;
  #cursor: string;
  #epoch = '';
  #stop: AbortController | undefined;

  /** @param after an offset, `earliest` or `latest` */
  constructor(topics: readonly string[], after: string, take: (items: readonly Item[]) => void) {
    this.#topics = topics;
    this.#cursor = after;
    this.#take = take;
  }

  resume(): void {
    if (this.#stop !== undefined) return;
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  pause(): void {
    this.#stop?.abort();
    this.#stop = undefined;
    this.state.set({ is: 'paused' });
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let attempts = 0; !signal.aborted; attempts++) {
      if (attempts === 0) this.state.set({ is: 'connecting' });
      try {
        await this.#read(signal, () => {
          attempts = 0;
          this.state.set({ is: 'open' });
        });
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refusal && !isPassing(error.status)) {
          this.#stop = undefined;
          this.state.set({ is: 'refused', error });
          return;
        }
        this.state.set({ is: 'waiting', why: error instanceof Error ? error.message : String(error) });
      }
      const bound = Math.min(BACKOFF_MS_MAX, 500 * 2 ** attempts);
      await sleep(bound * (0.5 + Math.random() / 2), signal);
    }
  }

  /** Reads until the stream is cut, and then throws. */
  async #read(signal: AbortSignal, opened: () => void): Promise<never> {
    const cut = new AbortController();
    const either = AbortSignal.any([signal, cut.signal]);
    let watchdog = setTimeout(() => cut.abort(new Error('the service was silent')), QUIET_MS);
    try {
      const response = await fetch(BASE + this.#address(), { headers: authorization(), signal: either });
      if (!response.ok || response.body === null) throw await refusalOf(response);
      this.#epoch = response.headers.get('chronicle-epoch') ?? this.#epoch;
      opened();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const lines = new SseLines();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Error('the service ended the stream');
        clearTimeout(watchdog);
        watchdog = setTimeout(() => cut.abort(new Error('the service was silent')), QUIET_MS);
        this.#handOver(lines, value);
      }
    } finally {
      clearTimeout(watchdog);
      cut.abort();
    }
  }

  #handOver(lines: SseLines, chunk: string): void {
    const items: Item[] = [];
    for (const { id, event, data } of lines.take(chunk)) {
      this.#cursor = id ?? this.#cursor;
      if (data === undefined) continue;
      const expired = event === 'gap' ? textIn(parseExact(data), 'expired') : undefined;
      // Other names may come to mean something in a later version.
      if (event === undefined || event === 'gap') items.push({ offset: this.#cursor, text: data, expired });
    }
    if (items.length > 0) this.#take(items);
  }

  #address(): string {
    const query = new URLSearchParams(this.#topics.map((topic) => ['topic', topic]));
    query.set('after', this.#cursor);
    if (this.#epoch !== '' && /^\d+$/.test(this.#cursor)) query.set('epoch', this.#epoch);
    return `/events/stream?${query.toString()}`;
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const refusal = new Refusal(response.status, await response.text());
  if (response.status === 401) keyAsked.set(refusal.message);
  return refusal;
}

/** Whether the same request may be answered later. */
function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
