import type { PublishCounts } from './verdict.ts';

/**
 * The stable codes of problem documents (RFC 9457), each with its HTTP status and title. A code never changes its
 * meaning; `detail` says what happened this time and what to do.
 */
export const PROBLEMS = {
  invalid_json: { status: 400, title: 'The body is not valid JSON' },
  invalid_encoding: { status: 400, title: 'The body cannot be decoded' },
  invalid_otlp: { status: 400, title: 'The body is not an OTLP request' },
  invalid_request: { status: 400, title: 'The request is not valid HTTP' },
  unauthorized: { status: 401, title: 'A key is needed' },
  delivery_refused: { status: 401, title: 'No source takes this delivery' },
  forbidden: { status: 403, title: 'The key may not do this' },
  forbidden_topic: { status: 403, title: 'The key may not use this topic' },
  not_found: { status: 404, title: 'There is no such resource' },
  event_not_found: { status: 404, title: 'No such event is stored' },
  subscription_not_found: { status: 404, title: 'There is no such group' },
  audit_off: { status: 404, title: 'There is no audit trail' },
  policy_not_found: { status: 404, title: 'There is no such policy' },
  source_not_found: { status: 404, title: 'There is no such source' },
  method_not_allowed: { status: 405, title: 'The resource does not take this method' },
  request_timeout: { status: 408, title: 'The request did not arrive in time' },
  cursor_beyond_end: { status: 409, title: 'The log ends before the cursor' },
  log_restored: { status: 409, title: 'The cursor does not belong to this log' },
  subscription_differs: { status: 409, title: 'The group exists with another definition' },
  subscription_pushes: { status: 409, title: 'The events of the group are sent, not pulled' },
  subscription_pulls: { status: 409, title: 'The events of the group are pulled, not sent' },
  subscriptions_full: { status: 409, title: 'The maximum number of groups exists' },
  policy_overlaps: { status: 409, title: 'Another policy is about the same topics' },
  policies_full: { status: 409, title: 'The maximum number of policies exists' },
  sources_full: { status: 409, title: 'The maximum number of sources exists' },
  lease_expired: { status: 409, title: 'A lease is no longer held' },
  lease_unknown: { status: 409, title: 'A lease was never given' },
  event_expired: { status: 410, title: 'The event was processed, but is no longer kept' },
  cursor_expired: { status: 410, title: 'Events beyond the cursor are no longer kept' },
  body_too_large: { status: 413, title: 'The body is too large' },
  batch_too_large: { status: 413, title: 'The batch has too many events' },
  uri_too_long: { status: 414, title: 'The address is too long' },
  unsupported_media_type: { status: 415, title: 'The type of the body is not supported here' },
  invalid_event: { status: 422, title: 'An event is not valid' },
  invalid_delivery: { status: 422, title: 'No event can be made of the delivery' },
  invalid_parameter: { status: 422, title: 'A parameter is not valid' },
  rate_limited: { status: 429, title: 'The key has used up its rate' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal_error: { status: 500, title: 'The server failed' },
  store_damaged: { status: 500, title: 'Stored data cannot be read' },
  queue_full: { status: 503, title: 'The queue is full' },
  readers_full: { status: 503, title: 'Too many answers are under way' },
  followers_full: { status: 503, title: 'There are too many live streams' },
  store_unavailable: { status: 503, title: 'The store is not available' },
  shutting_down: { status: 503, title: 'The server is shutting down' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

/**
 * One error. `index` is the place in the batch or list, from 0, or null if the error is not about one entry. `field`
 * is the field or parameter, or null if the error is about the whole. `code` is present if entries of one list can
 * fail in several ways.
 */
export interface FieldError {
  index: number | null;
  field: string | null;
  message: string;
  code?: ProblemCode;
  /** In a body of lines, the line, from 1. */
  line?: number;
}

/** A problem document, `application/problem+json`. */
export interface Problem {
  type: 'about:blank';
  status: number;
  title: string;
  detail: string;
  code: ProblemCode;
  errors?: FieldError[];
  /** For a request about leases: how many held, and were done. */
  done?: number;
  /** For an event that has expired: its place in the log, and when it was committed (UTC). */
  offset?: number;
  received_at?: string;
  /** For a body of lines: what became of the events before the one that ended it. */
  published?: PublishCounts;
  /** For a cursor beyond which events have expired: how many the answer would pass over, and the cursor to go on from. */
  expired?: number;
  next?: number;
  /** Then, how many kept events come before that cursor. */
  kept?: number;
}
