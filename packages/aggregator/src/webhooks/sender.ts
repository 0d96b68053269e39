import { createHmac } from 'node:crypto';
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { VERSION } from '../version.ts';
import { PrivateAddress, hostOf, isPublicAddress, lookupPublic } from './public-address.ts';

export interface WebhookTarget {
  readonly url: string;
  /**
   * Each is `whsec_` and base64. All of them sign: the receiver accepts a message signed by any secret that it knows.
   */
  readonly secrets: readonly string[];
}

export interface WebhookMessage {
  /** The same for every attempt, so that the receiver recognizes a repeat. */
  readonly id: string;
  readonly body: Uint8Array;
  readonly type: string;
}

/** The receiver's status, or why there is none. */
export type WebhookOutcome =
  { readonly status: number; readonly retryAfter: string | undefined } | { readonly fault: string };

export interface WebhookSenderOptions {
  /** Allows addresses that are not public. */
  readonly allowPrivate: boolean;
  /** From the start of the request to the end of the answer, milliseconds. */
  readonly timeoutMs: number;
}

/** Bytes of an answer that are read and discarded, so that the connection can be reused; a longer answer is cut off. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** How long an idle connection is kept for the next message, milliseconds. */
const IDLE_MS_MAX = 30_000;

/**
 * Sends one message to a webhook and reports the outcome. A redirect is an answer like any other: following it would
 * hand the message to an address that nobody has named.
 *
 * The signature is that of Standard Webhooks:
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export class WebhookSender {
  readonly #options: WebhookSenderOptions;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
    const settings = {
      keepAlive: true,
      timeout: IDLE_MS_MAX,
      ...(options.allowPrivate ? {} : { lookup: lookupPublic }),
    };
    this.#http = new HttpAgent(settings);
    this.#https = new HttpsAgent(settings);
  }

  /** Never rejects, not even if the signal aborts. */
  async send(
    { url, secrets }: WebhookTarget,
    { id, body, type }: WebhookMessage,
    signal: AbortSignal,
  ): Promise<WebhookOutcome> {
    const target = new URL(url);
    const timestampS = Math.floor(Date.now() / 1000);
    const headers = {
      'content-type': type,
      'content-length': body.length,
      'user-agent': `ChronicleWeaver/${VERSION}`,
      'webhook-id': id,
      'webhook-timestamp': timestampS,
      'webhook-signature': secrets.map((secret) => signatureOf(secret, id, timestampS, body)).join(' '),
    };
    const timeout = AbortSignal.timeout(this.#options.timeoutMs);
    try {
      // An address needs no lookup, so it is checked here.
      const host = hostOf(target);
      if (!this.#options.allowPrivate && isIP(host) !== 0 && !isPublicAddress(host))
        throw new PrivateAddress(host);
      return await this.#post(target, headers, body, AbortSignal.any([signal, timeout]));
    } catch (error) {
      if (timeout.aborted) return { fault: `no answer within ${this.#options.timeoutMs / 1000} s` };
      return { fault: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #post(
    url: URL,
    headers: Record<string, string | number>,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<WebhookOutcome> {
    return new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:';
      const options = { method: 'POST', headers, signal, agent: isSecure ? this.#https : this.#http };
      const request = (isSecure ? httpsRequest : httpRequest)(url, options, (answer) => {
        readPast(answer).then(
          () => resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] }),
          reject,
        );
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        // The other end may close a kept connection at the moment of its reuse.
        if (request.reusedSocket && error.code === 'ECONNRESET')
          resolve(this.#post(url, headers, body, signal));
        else reject(error);
      });
      request.end(body);
    });
  }
}

/** Resolves at the end of the answer, or once enough of it has arrived. */
async function readPast(answer: IncomingMessage): Promise<void> {
  let bytes = 0;
  for await (const piece of answer) {
    bytes += (piece as Buffer).length;
    // Leaving the loop ends the connection.
    if (bytes > ANSWER_BYTES_MAX) return;
  }
}

/** One signature of a message, in the form of the header `webhook-signature`. */
function signatureOf(secret: string, id: string, timestampS: number, body: Uint8Array): string {
  const key = webhookKeyOf(secret);
  const signed = createHmac('sha256', key).update(`${id}.${timestampS}.`).update(body);
  return `v1,${signed.digest('base64')}`;
}

const SECRET_PREFIX = 'whsec_';
const SECRET = /^whsec_(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Standard Webhooks asks for 24 to 64 bytes. */
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;

/** The bytes that a secret encodes. */
export function webhookKeyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');
}

/** What is wrong with a secret, for whoever sent it. The message never repeats the secret. */
export function webhookSecretFault(secret: string): string | undefined {
  const bytes = SECRET.test(secret) ? webhookKeyOf(secret).length : 0;
  return bytes >= SECRET_BYTES_MIN && bytes <= SECRET_BYTES_MAX
    ? undefined
    : `takes "whsec_" and ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} random bytes in base64`;
}

const WEBHOOK_URL_CHARS_MAX = 2048;

/** What is wrong with a target, as far as can be said without connecting. */
export function webhookUrlFault(url: string, allowPrivate: boolean): string | undefined {
  // A parser would change these before they are sent, and not every store can keep them.
  const isText = url.isWellFormed() && !/\p{Cc}/u.test(url);
  const target = isText && url.length <= WEBHOOK_URL_CHARS_MAX && URL.canParse(url) ? new URL(url) : null;
  if (target === null || !/^https?:$/.test(target.protocol)) {
    return `takes an http or https URL of at most ${WEBHOOK_URL_CHARS_MAX} characters, none of them a control character`;
  }
  if (target.username !== '' || target.password !== '' || target.hash !== '') {
    return 'takes a URL without user, password and fragment: the signature identifies the sender';
  }
  const host = hostOf(target);
  if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) return new PrivateAddress(host).message;
  return undefined;
}
