import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import { admit, readPast } from './body.ts';
import { ProblemError } from './problems.ts';

/**
 * What is wrong with a request before any of its body was read, so that no body is asked for in vain. Where none is
 * needed, a type that may belong to no byte at all is forgotten, and a body of another type is refused with its first byte.
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
      // No type and no byte: the handler says what is missing.
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

export const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;
const CHARSET = /;\s*charset\s*=\s*([^;]*)/gi;
const UTF8 = /^(?:utf-?8|"utf-?8")\s*$/i;

function typeFault({ 'content-type': type = '' }: IncomingHttpHeaders): ProblemError | undefined {
  // Most requests say just this, and matching takes longer than all the rest here.
  if (type === 'application/json') return undefined;
  if (!JSON_TYPE.test(type)) return notJson();
  if (type.matchAll(CHARSET).every(([, charset]) => UTF8.test(charset!))) return undefined;
  return new ProblemError('unsupported_media_type', 'send the body in UTF-8');
}

export function notJson(): ProblemError {
  return new ProblemError('unsupported_media_type', 'send the body as application/json');
}

function isEmpty(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0);
}

/**
 * Common HTTP clients name a type, such as that of forms, for a POST without a body. A body in chunks shows only at its
 * end that it was empty. But whoever asks before sending it (`Expect`) has something to send.
 */
function mayBeEmpty(headers: IncomingHttpHeaders): boolean {
  return isEmpty(headers) || (headers['transfer-encoding'] !== undefined && headers.expect === undefined);
}
