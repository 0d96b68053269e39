import type { FieldError, Problem, ProblemCode } from '@chronicleweaver/protocol';

/**
 * What the client itself may say beside the server's codes (PROTOCOL.md):
 * - `unreachable`: no connection, or it broke before the answer was whole.
 * - `timeout`: no answer in the time that a request has.
 * - `unexpected_answer`: something answered that is not ChronicleWeaver, or not as it should.
 * - `http_error`: an error without a problem document, as proxies give it; `status` tells which.
 * - `buffer_full`: refused here, with `whenFull: 'reject'`.
 * - `unaddressable`: a topic or id that no address can hold: one or two dots, or half a surrogate pair.
 * - `closed`: the client was closed before.
 */
export type ClientCode =
  'unreachable' | 'timeout' | 'unexpected_answer' | 'http_error' | 'buffer_full' | 'unaddressable' | 'closed';

/** A newer server may know more codes than this client; `(string & {})` keeps the known ones completed. */
export type ErrorCode = ProblemCode | ClientCode | (string & {});

/** Everything that this package throws, but for an aborted signal's own reason. The message is one line. */
export class ChronicleWeaverError extends Error {
  override readonly name: string = 'ChronicleWeaverError';
  readonly code: ErrorCode;
  /** Whether the same request may succeed later. The client has already tried again for as long as it may. */
  readonly retryable: boolean = false;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** No usable answer came: `unreachable` or `timeout`. What was asked for may have been done. */
export class ConnectionError extends ChronicleWeaverError {
  override readonly name = 'ConnectionError';
  override readonly retryable = true;
}

/** The server refused: an RFC 9457 problem document with its `code`, or `http_error` where there was none. */
export class ProblemError extends ChronicleWeaverError {
  override readonly name = 'ProblemError';
  override readonly retryable: boolean;
  readonly status: number;
  /** What happened this time and what to do. */
  readonly detail: string;
  /** What is wrong, one by one; `index` counts in the events that were given to the call that failed. */
  readonly errors: readonly FieldError[];
  /** How long the server asked to wait, milliseconds; 0 where it did not. */
  readonly retryAfterMs: number;
  readonly #request: string;

  constructor(request: string, problem: Pick<Problem, 'status' | 'detail'> & Partial<Answered>) {
    const { status, detail, code = 'http_error', errors, retryAfterMs = 0 } = problem;
    const asked = retryAfterMs === 0 ? '' : `; it asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
    super(code, `${request} answered ${status} ${code}: ${detail}${asked}`);
    this.#request = request;
    this.status = status;
    this.detail = detail;
    this.errors = Array.isArray(errors) ? errors : [];
    this.retryAfterMs = retryAfterMs;
    this.retryable = status === 408 || status === 429 || status >= 500;
  }

  /** The same refusal, told to one of several who were refused together: only what is wrong with its own events. */
  narrowedTo(errors: readonly FieldError[]): ProblemError {
    const { status, code } = this;
    const detail = errors
      .map(({ index, field, message }) => `event ${index}${field === null ? '' : `, ${field}`}: ${message}`)
      .join('; ');
    return new ProblemError(this.#request, { status, code, detail, errors });
  }
}

interface Answered {
  code: ErrorCode;
  errors: readonly FieldError[];
  retryAfterMs: number;
}
