import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** How a request carries CloudEvents: one in headers and body, one in the body, or an array of them in the body. */
export type Mode = 'binary' | 'structured' | 'batch';

/** The mode in which a request carries CloudEvents (HTTP Protocol Binding 1.0.2, 3); undefined if it carries none. */
export function modeOf({ headers }: IncomingMessage): Mode | undefined {
  const type = headers['content-type'] ?? '';
  if (STRUCTURED_TYPE.test(type)) return 'structured';
  if (BATCH_TYPE.test(type)) return 'batch';
  return hasAttributes(headers) ? 'binary' : undefined;
}

const STRUCTURED_TYPE = /^application\/cloudevents\+json\s*(?:;|$)/i;
const BATCH_TYPE = /^application\/cloudevents-batch\+json\s*(?:;|$)/i;

/** Types of CloudEvents in any format, also of those that are not taken. */
export const ANY_FORMAT = /^application\/cloudevents(?:-batch)?\s*(?:[+;]|$)/i;

/** Whether headers carry an attribute that every CloudEvent has. Two are enough to tell what lacks the others. */
export function hasAttributes(headers: IncomingHttpHeaders): boolean {
  return headers['ce-specversion'] !== undefined || headers['ce-id'] !== undefined;
}
