import type { IncomingHttpHeaders } from 'node:http';
import { LINES_TYPE } from '../line-publish.ts';
import { JSON_TYPE, charsetFault } from '../request/json-type.ts';
import { ProblemError } from '../request/problems.ts';

/**
 * Throws a ProblemError if the body of many events is not JSON. Its type says little, since some senders say nothing, or `text/plain`; so
 * only types that are certainly something else are refused.
 */
export function requireJson({ 'content-type': type = '' }: IncomingHttpHeaders): void {
  if (BINARY_TYPE.test(type)) {
    throw new ProblemError('unsupported_media_type', `the body is ${type}; have it sent as JSON`);
  }
  const fault = charsetFault(type);
  if (fault !== undefined) throw fault;
}

const BINARY_TYPE = /^application\/(?:(?:x-|vnd\.)?msgpack|(?:x-)?protobuf|cbor)\s*(?:;|$)/i;

/**
 * Throws a ProblemError if the body comes from a page that could send it without the service's permission. A browser sends JSON and
 * lines to another origin only after it has asked.
 */
export function requireAsking({ 'content-type': type = '', origin }: IncomingHttpHeaders): void {
  if (origin === undefined || JSON_TYPE.test(type) || LINES_TYPE.test(type)) return;
  throw new ProblemError(
    'unsupported_media_type',
    'send the body as application/json or application/x-ndjson',
  );
}
