import type { StoredEvent } from '@chronicleweaver/protocol';
import { parsed } from './answer.ts';
import type { ChronicleWeaverError } from './errors.ts';
import { type Transport, isRetryable } from './transport.ts';

/** Which events to follow, and from where. */
export interface SubscribeQuery {
  /** Topics or patterns: `*` takes one dot-separated word, `>` at the end one or more. All, where left out. */
  topics?: readonly string[] | undefined;
  /** Events behind this offset, all (`earliest`), or those to come (`latest`, where left out). */
  after?: number | 'earliest' | 'latest' | undefined;
  /** The epoch in which that offset was got, as `/stats` tells it: an offset that means other events by now is refused. */
  epoch?: string | undefined;
}

/** The service says something every 15 s; a connection that is silent for three times as long is dead. */
const QUIET_MS = 45_000;

/**
 * The events, one after the other, without an end: none missing, none twice, in order of their offsets.
 *
 * It is *connected*, or waits to be again, for as long as it takes. The cursor is the id that the stream gave last, with
 * an event or without: the first one comes before any event, so that `latest` means the same after a cut. It moves
 * before its event is handed over, so none is handed over twice.
 */
export async function* subscribe(
  transport: Transport,
  parse: (text: string) => StoredEvent,
  { topics, after, epoch: begunIn }: SubscribeQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredEvent, void, void> {
  let cursor = after?.toString();
  /** Of the cursor, once the service has told it: after a restore from a copy the cursor may mean other events. */
  let epoch = begunIn;
  let failure: ChronicleWeaverError | undefined;
  for (let attempts = 0; ; attempts++) {
    try {
      if (failure !== undefined) await transport.retry(attempts, failure, signal);
      const query = { topic: topics, after: cursor, epoch };
      const chunks = transport.stream('/events/stream', query, QUIET_MS, signal, (headers) => {
        epoch = headers.get('chronicle-epoch') ?? epoch;
      });
      for await (const { id, event, data } of messages(chunks)) {
        attempts = 0;
        cursor = id ?? cursor;
        // A service of a version before this one names its events.
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

/** Server-Sent Events (WHATWG HTML, 9.2.6), as far as the service uses them: `data` is always one line. */
async function* messages(
  chunks: AsyncIterable<string>,
): AsyncGenerator<{ id?: string; event?: string; data?: string }> {
  let rest = '';
  let message: Record<string, string> = {};
  for await (const chunk of chunks) {
    // A CR at the end may be the first half of a line's end.
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
