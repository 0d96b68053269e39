import { parseExact } from '../json/exact-json.ts';
import { field, textIn, writeExact } from '../json/fields.ts';
import type { Item } from '../service/item.ts';

/** What a row shows of an event, read from its text when the row is first seen. */
export interface Summary {
  readonly topic: string;
  readonly id: string;
  readonly source: string;
  readonly receivedAt: string;
  /** The beginning of the payload. */
  readonly payload: string;
}

export interface Row extends Item {
  /** Counts all items that came, from 1. */
  readonly number: number;
  summary?: Summary;
}

const PREVIEW_CHARS = 300;
/** As many more than allowed are kept before the oldest go, so that they need not go one by one. */
const SLACK = 1.1;

/**
 * The newest items of a stream, in bounded memory; what falls out is still in the log. In: items as they come, and a filter. Out:
 * the rows that match it, newest first.
 */
export class EventWindow {
  readonly #eventsMax: number;
  readonly #charsMax: number;
  /** Oldest first, as they come. */
  #rows: Row[] = [];
  #matching: Row[] = [];
  #chars = 0;
  #filter = '';
  #came = 0;
  #matched = 0;

  constructor({ eventsMax, charsMax }: { eventsMax: number; charsMax: number }) {
    this.#eventsMax = eventsMax;
    this.#charsMax = charsMax;
  }

  add(items: readonly Item[]): void {
    for (const item of items) {
      const row: Row = { ...item, number: ++this.#came };
      this.#rows.push(row);
      this.#chars += row.text.length;
      if (!this.#isMatch(row)) continue;
      this.#matching.push(row);
      this.#matched += 1;
    }
    if (this.#rows.length > this.#eventsMax * SLACK || this.#chars > this.#charsMax * SLACK) this.#trim();
  }

  /** Shows only items whose text contains this, whatever the case; gaps are always shown. */
  filter(text: string): void {
    this.#filter = text.toLowerCase();
    this.#matching = this.#rows.filter((row) => this.#isMatch(row));
  }

  clear(): void {
    this.#rows = [];
    this.#matching = [];
    this.#chars = 0;
  }

  /** All that came, of which some may have fallen out. */
  get came(): number {
    return this.#came;
  }

  /** All that came and matched: grows by one with each row that is added in front. */
  get matched(): number {
    return this.#matched;
  }

  get held(): number {
    return this.#rows.length;
  }

  get count(): number {
    return this.#matching.length;
  }

  /** The row in this place, counted from the newest, from 0. */
  row(place: number): Row | undefined {
    return this.#matching[this.#matching.length - 1 - place];
  }

  #isMatch({ text, expired }: Row): boolean {
    return this.#filter === '' || expired !== undefined || text.toLowerCase().includes(this.#filter);
  }

  #trim(): void {
    let gone = Math.max(0, this.#rows.length - this.#eventsMax);
    let chars = this.#chars - this.#rows.slice(0, gone).reduce((sum, { text }) => sum + text.length, 0);
    while (chars > this.#charsMax && gone < this.#rows.length - 1) chars -= this.#rows[gone++]!.text.length;
    this.#rows = this.#rows.slice(gone);
    this.#chars = chars;
    const first = this.#rows[0]?.number ?? Infinity;
    this.#matching = this.#matching.slice(this.#matching.findIndex(({ number }) => number >= first));
  }
}

export function summaryOf(row: Row): Summary {
  return (row.summary ??= read(row.text));
}

function read(text: string): Summary {
  const event = parseExact(text);
  const payload = field(event, 'payload');
  return {
    topic: textIn(event, 'topic'),
    id: textIn(event, 'event_id'),
    source: textIn(event, 'source'),
    receivedAt: textIn(event, 'received_at'),
    payload: payload === undefined ? '' : writeExact(payload).slice(0, PREVIEW_CHARS),
  };
}
