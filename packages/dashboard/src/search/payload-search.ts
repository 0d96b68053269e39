import { hasWildcard } from '@chronicleweaver/protocol';
import { type Place, offsetBelow } from '../groups/place.ts';
import { textIn } from '../json/fields.ts';
import { ask, askJson } from '../service/ask.ts';
import { Watched } from '../watched.ts';
import { type Match, type Wanted, matcherOf, offsetIn } from './payload-match.ts';

export interface Question extends Wanted {
  readonly order: 'newest' | 'oldest';
  /** The first place that is looked at, and the first that is not; null for the ends of the log. Times are those of commits. */
  readonly from: Place | null;
  readonly to: Place | null;
}

export type SearchState =
  | { readonly is: 'searching' | 'stopped' | 'done' }
  /** It has done as much as it does at once, and can go on. */
  | { readonly is: 'resting'; readonly why: 'read' | 'found' }
  | { readonly is: 'failed'; readonly error: unknown };

export interface Progress {
  readonly state: SearchState;
  /** The last ones found, in the order in which they were; the first ones fall out. */
  readonly found: readonly Match[];
  readonly foundCount: number;
  /** What was read. */
  readonly events: number;
  readonly chars: number;
  readonly expired: number;
  /** The offset up to which it has come, and those between which it looks; undefined until these are known. */
  readonly at: number | undefined;
  readonly range: Range | undefined;
}

/** Offsets above `after`, up to `upTo`. */
interface Range {
  readonly after: number;
  readonly upTo: number;
}

/** What one go reads and finds at most: some seconds, and what a page can show. */
export const EVENTS_A_GO = 500_000;
export const CHARS_A_GO = 128 * 1024 * 1024;
export const FOUND_A_GO = 200;
/** As many are held. */
export const FOUND_MAX = 1_000;

/** Of a page of the service, which has 4 MiB at most. */
const PAGE_EVENTS = 10_000;

const NOTHING: Progress = {
  state: { is: 'stopped' },
  found: [],
  foundCount: 0,
  events: 0,
  chars: 0,
  expired: 0,
  at: undefined,
  range: undefined,
};

/**
 * Looks through the payloads of a log. In: a question. Out: events that have the text, and how far it has come. It is
 * *searching*, *stopped*, *resting* after one go, *failed* or *done*; from each but *done* it can go on where it was.
 *
 * One page is asked for at a time, on one connection, and is let go of before the next one: memory holds a page and what was found.
 * The place moves with each event, so an event is looked at once, whenever it is stopped. What is committed after the
 * beginning is not looked at.
 */
export class PayloadSearch {
  readonly question: Question;
  readonly progress = new Watched<Progress>(NOTHING);
  readonly #match: (line: string) => Match | undefined;
  /** A single topic is picked by the service, which reads nothing else then. Patterns it does not know there. */
  readonly #topic: string | undefined;
  #stop: AbortController | undefined;

  /** @param question the text is not empty, the patterns are valid */
  constructor(question: Question) {
    this.question = question;
    this.#match = matcherOf(question);
    const [only, ...others] = question.topics;
    this.#topic = only !== undefined && others.length === 0 && !hasWildcard(only) ? only : undefined;
  }

  /** Begins, or goes on. */
  go(): void {
    if (this.#stop !== undefined || this.progress.value.state.is === 'done') return;
    const stop = new AbortController();
    this.#stop = stop;
    this.#tell({ state: { is: 'searching' } });
    void this.#run(stop.signal);
  }

  stop(): void {
    if (this.#stop === undefined) return;
    this.#stop.abort();
    this.#end({ is: 'stopped' });
  }

  async #run(signal: AbortSignal): Promise<void> {
    try {
      if (this.progress.value.range === undefined) {
        const range = await rangeOf(this.question, signal);
        this.#tell({ range, at: this.question.order === 'oldest' ? range.after : range.upTo + 1 });
      }
      const end = await this.#goOnce(signal);
      if (!signal.aborted) this.#end(end);
    } catch (error) {
      if (!signal.aborted) this.#end({ is: 'failed', error });
    }
  }

  /** Reads until there is nothing more, or enough for one go. */
  async #goOnce(signal: AbortSignal): Promise<SearchState> {
    const { events, chars, foundCount } = this.progress.value;
    for (;;) {
      const isMore = await this.#readPage(signal, foundCount + FOUND_A_GO);
      const now = this.progress.value;
      if (!isMore) return { is: 'done' };
      if (now.foundCount >= foundCount + FOUND_A_GO) return { is: 'resting', why: 'found' };
      if (now.events - events >= EVENTS_A_GO || now.chars - chars >= CHARS_A_GO)
        return { is: 'resting', why: 'read' };
    }
  }

  /** Whether more may come. */
  async #readPage(signal: AbortSignal, foundMax: number): Promise<boolean> {
    const before = this.progress.value;
    const isAscending = this.question.order === 'oldest';
    const { after, upTo } = before.range!;
    const isPast = (offset: number): boolean => (isAscending ? offset > upTo : offset <= after);
    let at = before.at!;
    // Nothing lies behind the first event.
    if (isAscending ? at >= upTo : at <= after + 1) return false;
    const query = new URLSearchParams({
      order: isAscending ? 'asc' : 'desc',
      after: String(at),
      limit: String(PAGE_EVENTS),
      ...(this.#topic !== undefined && { topic: this.#topic }),
    });
    const { text, headers } = await ask(`/events?${query.toString()}`, {
      accept: 'application/x-ndjson',
      signal,
    });
    signal.throwIfAborted();
    const found = [...before.found];
    let { foundCount, events } = before;
    let isEnough = false;
    let isOver = false;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const offset = offsetIn(line);
      isOver = isPast(offset);
      isEnough = foundCount >= foundMax;
      if (isOver || isEnough) break;
      at = offset;
      events += 1;
      const match = this.#match(line);
      if (match === undefined) continue;
      found.push(match);
      foundCount += 1;
    }
    const next = nextIn(headers);
    if (next !== undefined && !isEnough && !isOver) at = next;
    this.#tell({
      at,
      events,
      foundCount,
      found: found.slice(-FOUND_MAX),
      chars: before.chars + text.length,
      // The rest of this page is read again.
      expired: before.expired + (isEnough ? 0 : Number(headers.get('chronicle-expired') ?? 0)),
    });
    return isEnough || (next !== undefined && !isOver);
  }

  #end(state: SearchState): void {
    this.#stop = undefined;
    this.#tell({ state });
  }

  #tell(change: Partial<Progress>): void {
    this.progress.set({ ...this.progress.value, ...change });
  }
}

/** How much of the range is behind, from 0 to 1; undefined until that is known. */
export function shareOf({ at, range, state }: Progress, order: Question['order']): number | undefined {
  if (state.is === 'done') return 1;
  if (range === undefined || at === undefined) return undefined;
  const width = Math.max(1, range.upTo - range.after);
  return Math.min(1, (order === 'oldest' ? at - range.after : range.upTo + 1 - at) / width);
}

async function rangeOf({ from, to }: Question, signal: AbortSignal): Promise<Range> {
  const end = Number(textIn(await askJson('/stats', { signal }), 'last_offset') || '0');
  const place = async (one: Place | null, otherwise: number): Promise<number> =>
    one === null ? otherwise : Number((await offsetBelow(one, signal)) ?? otherwise);
  const after = Math.max(0, await place(from, 0));
  return { after, upTo: Math.max(after, Math.min(end, await place(to, end))) };
}

/** Where the next page begins, as the service says; undefined if there is none [READ-5]. */
function nextIn(headers: Headers): number | undefined {
  const [, after] = /[?&]after=(\d+)[^>]*>; *rel="?next/.exec(headers.get('link') ?? '') ?? [];
  return after === undefined ? undefined : Number(after);
}
