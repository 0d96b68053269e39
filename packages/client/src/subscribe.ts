import type { StoredEvent } from '@chronicleweaver/protocol';
import { parsed } from './answer.ts';
import type { ChronicleWeaverError } from './errors.ts';
import { type Transport, isRetryable } from './transport.ts';

/** Which events to follow, and from where on. */
export interface SubscribeQuery {
  /** Topics or patterns: `*` matches one dot-separated word, `>` at the end one or more. All topics by default. */
  topics?: readonly string[] | undefined;
  /** Events after this offset, all (`earliest`), or only new ones (`latest`, the default). */
  after?: number | 'earliest' | 'latest' | undefined;
  /** The epoch that the offset is from, as `/stats` gives it. If the offset means other events by now, it is refused. */
  epoch?: string | undefined;
  /** `refuse` ends the loop with a ProblemError `cursor_expired` rather than pass over events that are no longer kept. */
  expired?: 'tell' | 'refuse' | undefined;
}

/** Events that are no longer kept, in a row. */
export interface Gap {
  /** How many. */
  expired: number;
  /** They lie beyond this offset, in the order of reading; left out at the beginning. */
  after?: number | undefined;
  /** They end at this one or before it; left out at the end of the log. */
  next?: number | undefined;
}

/** Called in the place of events that were passed over because they are no longer kept. Without it they are passed over in silence. */
export type OnGap = (gap: Gap) => void;

/** The service sends something every 15 s. A connection that is silent for three times as long is dead. */
const QUIET_MS = 45_000;

/**
 * Yields events without end, in the order of their offsets: none is missing, none comes twice.
 *
 * It is *connected*, or waits to reconnect for as long as that takes. The cursor is the last id that the stream sent, with
 * or without an event. The first id comes before any event, so `latest` means the same after a cut. The cursor moves
 * before its event is handed over, so no event is handed over twice.
 */
export async function* subscribe(
  transport: Transport,
  parse: (text: string) => StoredEvent,
  { topics, after, epoch: begunIn, expired }: SubscribeQuery,
  signal: AbortSignal | undefined,
  onGap: OnGap | undefined,
): AsyncGenerator<StoredEvent, void, void> {
  let cursor = after?.toString();
  /** The epoch of the cursor, once the service has sent it. After a restore from a copy the cursor may mean other events. */
  let epoch = begunIn;
  let failure: ChronicleWeaverError | undefined;
  for (let attempts = 0; ; attempts++) {
    try {
      if (failure !== undefined) await transport.retry(attempts, failure, signal);
      const query = { topic: topics, after: cursor, epoch, expired };
      const chunks = transport.stream('/events/stream', query, QUIET_MS, signal, (headers) => {
        epoch = headers.get('chronicle-epoch') ?? epoch;
      });
      for await (const { id, event, data } of messages(chunks)) {
        attempts = 0;
        cursor = id ?? cursor;
        if (data !== undefined && event === 'gap')
          onGap?.(parsed<Gap>('GET /events/stream', data, JSON.parse));
        // Older services name their events.
        if (data !== undefined && (event === undefined || event === 'event')) {
          yield parsed('GET /events/stream', data, parse);
        }
      }
    } catch (error) {
      if (transport.isEnded && signal?.aborted !== true) return;
      if (signal?.aborted === true || !isRetryable(error)) throw error;
      failure = error;
    }
  }
}

/** Parses Server-Sent Events (WHATWG HTML, 9.2.6) as far as the service uses them: `data` is always one line. */
async function* messages(
  chunks: AsyncIterable<string>,
): AsyncGenerator<{ id?: string; event?: string; data?: string }> {
  let rest = '';
  let message: Record<string, string> = {};
  for await (const chunk of chunks) {
    // A CR at the end may be the first half of CRLF.
    const lines = (rest + chunk).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon > 0) message[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, '');
      else if (line === '') {
        yield message;
        message = {};
      }
    }
  }
}
