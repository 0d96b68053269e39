import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredEvent } from '@chronicleweaver/protocol';

/** The lines of a block of Server-Sent Events, by field; a comment is under ''. */
export type Block = Readonly<Record<string, string>>;

const WITHIN_MS = 60_000;

/** Reads a live stream as it arrives, strictly by our format, without the leniency of a browser. */
export class StreamReader {
  readonly response: Response;
  readonly blocks: Block[] = [];
  /** The `data` received, as text and parsed. */
  readonly texts: string[] = [];
  readonly events: StoredEvent[] = [];
  /** What was told of expired events: how many events had arrived before, and the gap. */
  readonly gaps: [events: number, gap: unknown][] = [];
  /** The value to send as Last-Event-ID. */
  lastEventId = '';
  /** Resolves when the stream has ended in any way. */
  readonly ended: Promise<void>;
  hasEnded = false;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    this.ended = this.#read();
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<StreamReader> {
    const abort = new AbortController();
    const response = await fetch(url, { headers, signal: abort.signal });
    if (response.status !== 200) assert.fail(`${url}: ${response.status} ${await response.text()}`);
    return new StreamReader(response, abort);
  }

  get offsets(): number[] {
    return this.events.map(({ offset }) => offset);
  }

  /** Waits until this many events have arrived in total. */
  async until(events: number): Promise<StoredEvent[]> {
    const giveUpAt = performance.now() + WITHIN_MS;
    while (this.events.length < events) {
      assert.ok(!this.hasEnded, `the stream ended after ${this.events.length} of ${events} events`);
      assert.ok(performance.now() < giveUpAt, `${this.events.length} of ${events} events have arrived`);
      await sleep(2);
    }
    return this.events;
  }

  /** Leaves like a reader whose connection breaks. */
  async cut(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }

  async #read(): Promise<void> {
    let rest = '';
    try {
      for await (const text of this.response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + text).split('\n\n');
        rest = blocks.pop()!;
        for (const block of blocks) this.#take(block);
      }
    } catch (error) {
      // Either end cut it off: an unfinished block does not count.
      assert.ok(error instanceof Error);
    } finally {
      this.hasEnded = true;
    }
  }

  #take(text: string): void {
    const block = Object.fromEntries(
      text.split('\n').map((line) => {
        const [, name, value] = /^([a-z]*):(?: (.*))?$/.exec(line) ?? assert.fail(`not a line: ${line}`);
        return [name!, value ?? ''];
      }),
    );
    this.blocks.push(block);
    if (block['id'] !== undefined) this.lastEventId = block['id'];
    if (block['data'] === undefined) return;
    if (block['event'] === 'gap') {
      this.gaps.push([this.events.length, JSON.parse(block['data'])]);
      return;
    }
    this.texts.push(block['data']);
    this.events.push(JSON.parse(block['data']) as StoredEvent);
  }
}
