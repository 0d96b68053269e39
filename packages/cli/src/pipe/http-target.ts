import { createHash } from 'node:crypto';
import { Stopped } from '@chronicleweaver/terminal';
import {
  type Hindrance,
  type Note,
  type PipedEvent,
  Refused,
  type Target,
  linesOf,
  unhindered,
} from './target.ts';

/** Answers that say something about the events, not about the way to the receiver. */
const EVENTS_REFUSED = new Set([400, 409, 413, 422]);
const PASSING = new Set([408, 425, 429]);

/** Bytes of an answer that are read, so that the connection can be used again. */
const ANSWER_BYTES_MAX = 16 * 1024;

/**
 * Posts each batch as lines. The same lines have the same `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), also
 * in another process; after a kill batches may be divided differently, and the receiver knows a repeated event by its offset.
 */
export class HttpTarget implements Target {
  readonly takesRepeatsAlone = true;
  readonly #url: string;
  readonly #headers: Headers;
  readonly #timeoutMs: number;
  readonly #note: Note;

  constructor(url: string, headers: Headers, timeoutMs: number, note: Note) {
    this.#url = url;
    this.#headers = headers;
    this.#timeoutMs = timeoutMs;
    this.#note = note;
  }

  take(events: readonly PipedEvent[], ended: AbortSignal): Promise<void> {
    const body = linesOf(events);
    return unhindered(() => this.#post(body), ended, this.#note);
  }

  async close(): Promise<void> {}

  async #post(body: string): Promise<Hindrance | undefined> {
    const headers = new Headers({
      'content-type': 'application/x-ndjson',
      'idempotency-key': `"${createHash('sha256').update(body).digest('base64url')}"`,
    });
    for (const [name, value] of this.#headers) headers.set(name, value);
    let response: Response;
    try {
      response = await fetch(this.#url, {
        method: 'POST',
        headers,
        body,
        // Following it would hand events to an address that nobody has named.
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      await readPast(response);
    } catch (error) {
      return { reason: `no answer from the receiver: ${reasonOf(error)}` };
    }
    const { ok, status } = response;
    if (ok) return undefined;
    const reason = `the receiver answered ${status}`;
    if (PASSING.has(status) || status >= 500) return { reason, waitMs: retryAfterMsOf(response) };
    if (EVENTS_REFUSED.has(status)) throw new Refused(reason);
    throw new Stopped(1, `${reason}, which says that the address or the key is wrong`);
  }
}

async function readPast(response: Response): Promise<void> {
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    // Leaving the loop ends the connection.
    if (bytes > ANSWER_BYTES_MAX) return;
  }
}

/** Retry-After, RFC 9110 section 10.2.3: seconds or a date. Anything else is ignored, and a day is enough. */
function retryAfterMsOf({ headers }: Response): number {
  const text = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return ms > 0 ? Math.min(ms, 86_400_000) : 0;
}

/** `fetch` says only that it failed; the reason is in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message;
}
