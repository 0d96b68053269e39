import type { IncomingMessage } from 'node:http';

/** The two encodings of OTLP/HTTP, by their content types; some senders leave out the `x-` of protobuf's. */
export type Encoding = 'application/json' | 'application/x-protobuf' | 'application/protobuf';

/** What a request may be called. */
export const OTLP_TYPE = /^application\/(?:json|(?:x-)?protobuf)\s*(?:;|$)/i;

/** How a request is encoded, and how its answer must be. Undefined if it is neither. */
export function encodingOf({ headers }: IncomingMessage): Encoding | undefined {
  const type = headers['content-type'] ?? '';
  return OTLP_TYPE.test(type) ? (type.split(';')[0]!.trim().toLowerCase() as Encoding) : undefined;
}
