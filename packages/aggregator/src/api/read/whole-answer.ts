import type { FastifyBaseLogger } from 'fastify';
import { releasedYoung } from '../../released-memory.ts';
import {
  type EventPage,
  type EventStore,
  type PageQuery,
  START,
  type Snapshot,
} from '../../store/event-store.ts';
import type { AnswerUnderWay } from './answers-under-way.ts';
import { wholeCursorExpired } from './cursor-expired.ts';
import type { Form } from './forms.ts';

/** The most that a whole answer holds: the page being sent, the next one, and what the connection buffers. */
export const WHOLE_ANSWER_BYTES = 768 * 1024;

interface WholeAnswer {
  /** How many expired events it passes over. */
  readonly expired: number;
  readonly pieces: AsyncGenerator<Uint8Array>;
}

/**
 * The whole answer, one piece at a time. The snapshot is an offset, not an open transaction: what is stored below it changes
 * only by being let go, which waits for this answer within bounds (answers-under-way.ts).
 */
export async function wholeAnswer(
  store: EventStore,
  query: PageQuery,
  form: Form,
  holding: AnswerUnderWay,
  log: FastifyBaseLogger,
): Promise<WholeAnswer> {
  const { lastOffset, count, expired } = await snapshotOf(store, query);
  const ask = (after: number) => store.read({ ...query, gaps: undefined, after, upTo: lastOffset });
  // Read the first page before answering: a failure here still gets an error status, a later one only a cut.
  const first = count > 0 ? await ask(query.after) : null;
  return { expired, pieces: pieces() };

  async function* pieces(): AsyncGenerator<Uint8Array> {
    const head = form.head(count, expired);
    if (head !== null) yield head;
    let left = count;
    let asked: Promise<EventPage> | null = first === null ? null : Promise.resolve(first);
    try {
      while (asked !== null) {
        const page: EventPage = await asked;
        releasedYoung(page.bytes.length);
        left -= page.count;
        // Read the next page while this one is being sent.
        asked = page.resumeAfter !== null && left > 0 ? ask(page.resumeAfter) : null;
        // It is awaited only when the reader has taken this page. If it fails before, that is not an unhandled rejection.
        asked?.catch(() => undefined);
        if (asked === null) holding.end();
        else holding.moved(neededFrom({ ...query, after: page.resumeAfter! }));
        if (page.count === 0) continue;
        const bytes = form.written(page.bytes);
        yield left > 0 || !form.hasCommas ? bytes : bytes.subarray(0, -1);
      }
      // The count was sent first; an answer with fewer events must not look complete.
      if (left !== 0) throw new Error(`${count} events were announced, but ${count - left} were read`);
    } catch (error) {
      log.error({ err: error }, 'an answer was cut short: its events could not be read');
      throw error;
    } finally {
      // If the reader leaves, a page may still be on its way.
      await asked?.catch(() => undefined);
    }
    const tail = form.tail();
    if (tail !== null) yield tail;
  }
}

/**
 * The snapshot that an answer to the query is of. With the query's gaps `apart` it throws a ProblemError `cursor_expired` if
 * a cursor was given and expired events lie beyond it.
 */
export async function snapshotOf(store: EventStore, query: PageQuery): Promise<Snapshot> {
  const snapshot = await store.snapshot({ ...query, upTo: undefined });
  if (query.gaps === 'apart' && snapshot.expired > 0 && query.after !== START[query.order]) {
    throw await wholeCursorExpired(store, query, snapshot);
  }
  return snapshot;
}

/** The lowest offset that an answer to the query may need. */
export function neededFrom({ order, after }: PageQuery): number {
  return order === 'asc' ? after + 1 : 1;
}
