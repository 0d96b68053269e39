import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import { shortened } from '../../event/json-scanner.ts';
import { admit, readPast } from './body.ts';
import { ProblemError } from './problems.ts';

/**
 * What is wrong with a request, before any of its body is read or requested. If no body is needed, a type that may
 * belong to an empty body is ignored, and a non-empty body of that type is refused with its first byte.
 */
export function refusalOf(
  request: IncomingMessage,
  response: ServerResponse,
  budget: ByteBudget,
  bytesMax: number,
  { isBodyNeeded }: { isBodyNeeded: boolean },
): Error | undefined {
  const { headers } = request;
  try {
    const fault = typeFault(headers);
    if (fault !== undefined) {
      // Without type and body, the handler says what is missing.
      const isForgiven = isBodyNeeded ? !headers['content-type'] && isEmpty(headers) : mayBeEmpty(headers);
      if (!isForgiven) throw fault;
      delete headers['content-type'];
    }
    admit(request, response, budget, bytesMax);
    return undefined;
  } catch (error) {
    readPast(request);
    return error as Error;
  }
}

/** JSON of our own. CloudEvents are JSON, too, but mean something else. */
export const JSON_TYPE = /^application\/(?!cloudevents(?:-batch)?\+)(?:[\w.-]+\+)?json\s*(?:;|$)/i;
const CHARSET = /;\s*charset\s*=\s*([^;]*)/gi;
const UTF8 = /^(?:utf-?8|"utf-?8")\s*$/i;

function typeFault({ 'content-type': type = '' }: IncomingHttpHeaders): ProblemError | undefined {
  // Most requests say just this, and matching takes longer than all the rest here.
  if (type === 'application/json') return undefined;
  return JSON_TYPE.test(type) ? charsetFault(type) : notJson();
}

/** What is wrong with the charset that the type of a body names, whatever the type. */
export function charsetFault(type: string): ProblemError | undefined {
  for (const [, charset] of type.matchAll(CHARSET)) {
    if (UTF8.test(charset!)) continue;
    const got = JSON.stringify(shortened(charset!.trim()));
    return new ProblemError(
      'unsupported_media_type',
      `charset: expected utf-8, got ${got}: send the body in UTF-8`,
    );
  }
  return undefined;
}

export function notJson(): ProblemError {
  return new ProblemError('unsupported_media_type', 'send the body as application/json');
}

function isEmpty(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0);
}

/**
 * Common HTTP clients send a type, such as that of forms, with a POST without a body. A chunked body turns out to be
 * empty only at its end. But a client that asks before sending it (`Expect`) has something to send.
 */
function mayBeEmpty(headers: IncomingHttpHeaders): boolean {
  return isEmpty(headers) || (headers['transfer-encoding'] !== undefined && headers.expect === undefined);
}
