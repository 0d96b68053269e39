import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import { admit, readPast } from './body.ts';
import { ProblemError } from './problems.ts';

/** What is wrong with a request before any of its body was read, so that it is not asked for in vain. */
export function refusalOf(
  request: IncomingMessage,
  response: ServerResponse,
  budget: ByteBudget,
  bytesMax: number,
): Error | undefined {
  try {
    checkType(request.headers);
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

/** Before the body is asked for. A request without a body needs no type to be told that it has no body. */
function checkType(headers: IncomingHttpHeaders): void {
  const type = headers['content-type'] ?? '';
  const isEmpty = headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0);
  if (!JSON_TYPE.test(type) && !(type === '' && isEmpty)) {
    throw new ProblemError('unsupported_media_type', 'send the body as application/json');
  }
  if (!type.matchAll(CHARSET).every(([, charset]) => UTF8.test(charset!))) {
    throw new ProblemError('unsupported_media_type', 'send the body in UTF-8');
  }
}
