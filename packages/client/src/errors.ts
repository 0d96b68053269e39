import type { FieldError, Problem, ProblemCode } from '@chronicleweaver/protocol';

/**
 * The codes of the client itself, in addition to the server's (PROTOCOL.md):
 * - `unreachable`: no connection, or it broke before the answer was complete.
 * - `timeout`: no answer within the time that a request has.
 * - `unexpected_answer`: whatever answered is not ChronicleWeaver, or does not answer as it should.
 * - `http_error`: an error without a problem document, as proxies send it; see `status`.
 * - `buffer_full`: refused by the client, with `whenFull: 'reject'`.
 * - `unaddressable`: a topic or id that cannot be part of an address: one or two dots, or half a surrogate pair.
 * - `closed`: the client is already closed.
 *
 * And those of the inbox:
 * - `inbox_table`: its table is missing and cannot be made, or is another one.
 * - `transaction_aborted`: the handler has ended its transaction itself, or went on after a statement had failed.
 * - `transaction_open`: another transaction is open on the same SQLite connection.
 * - `asynchronous_handler`: a handler for SQLite returns a promise.
 * - `stalled`: the process stood still for so long with an event that nobody can know any more whether it is done.
 */
export type ClientCode =
  | 'unreachable'
  | 'timeout'
  | 'unexpected_answer'
  | 'http_error'
  | 'buffer_full'
  | 'unaddressable'
  | 'closed'
  | 'inbox_table'
  | 'transaction_aborted'
  | 'transaction_open'
  | 'asynchronous_handler'
  | 'stalled';

/** A newer server may have more codes than this client knows; `(string & {})` keeps editors completing the known ones. */
export type ErrorCode = ProblemCode | ClientCode | (string & {});

/** Everything that this package throws, except an aborted signal's own reason. The message is one line. */
export class ChronicleWeaverError extends Error {
  override readonly name: string = 'ChronicleWeaverError';
  readonly code: ErrorCode;
  /** Whether the same request may succeed later. The client has already retried it for as long as it may. */
  readonly retryable: boolean = false;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** No usable answer came: `unreachable` or `timeout`. The service may have done what was asked all the same. */
export class ConnectionError extends ChronicleWeaverError {
  override readonly name = 'ConnectionError';
  override readonly retryable = true;
}

/** The server refused. `code` is that of its RFC 9457 problem document, or `http_error` if it sent none. */
export class ProblemError extends ChronicleWeaverError {
  override readonly name = 'ProblemError';
  override readonly retryable: boolean;
  readonly status: number;
  /** What happened this time, and what to do about it. */
  readonly detail: string;
  /** The faults, one by one; `index` counts the events that were given to the failed call, from 0. */
  readonly errors: readonly FieldError[];
  /** How long the server asked to wait, milliseconds; 0 if it did not ask. */
  readonly retryAfterMs: number;
  /** Of an event that is no longer kept (`event_expired`): its place in the log, and when it was committed. */
  readonly offset: number | undefined;
  readonly receivedAt: string | undefined;
  /** Of a cursor behind which events are no longer kept (`cursor_expired`): how many, the cursor to go on from, and how many kept events lie before it. */
  readonly expired: number | undefined;
  readonly next: number | undefined;
  readonly kept: number | undefined;
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
    this.offset = problem.offset;
    this.receivedAt = problem.received_at;
    this.expired = problem.expired;
    this.next = problem.next;
    this.kept = problem.kept;
    this.retryable = status === 408 || status === 429 || status >= 500;
  }

  /** The same refusal for one of several calls that were refused together, with the faults of its own events only. */
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
  offset: number;
  received_at: string;
  expired: number;
  next: number;
  kept: number;
}
