import type { Problem } from '@chronicleweaver/protocol';
import { ChronicleWeaverError, ProblemError } from './errors.ts';

/** Parses the text of an answer. @throws ChronicleWeaverError `unexpected_answer` */
export function parsed<T>(request: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    throw unexpectedAnswer(request, 'with something other than JSON', cause);
  }
}

/** The error for an answer that is not what was asked for. */
export function unexpectedAnswer(request: string, what: string, cause?: unknown): ChronicleWeaverError {
  return new ChronicleWeaverError(
    'unexpected_answer',
    `${request} answered ${what}; is this ChronicleWeaver?`,
    cause,
  );
}

/** The list under this name in an answer. @throws ChronicleWeaverError `unexpected_answer` */
export function listIn<T>(answer: unknown, name: string): T[] {
  const list = isRecord(answer) ? answer[name] : undefined;
  if (Array.isArray(list)) return list as T[];
  throw unexpectedAnswer('the service', `without ${name}`);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The error for a refusal, whose body may be a problem document. */
export function problemOf(request: string, response: Response, text: string): ProblemError {
  const { status, statusText, headers } = response;
  const retryAfterMs = readRetryAfter(headers.get('retry-after'));
  let problem: unknown;
  try {
    problem = JSON.parse(text);
  } catch {
    // Probably a proxy's page: all we can pass on is its beginning.
  }
  const isProblem =
    isRecord(problem) && typeof problem['code'] === 'string' && typeof problem['detail'] === 'string';
  const told = isProblem ? (problem as Problem) : { detail: text.slice(0, 200) || statusText };
  return new ProblemError(request, { ...told, status, retryAfterMs });
}

/** Retry-After, RFC 9110 section 10.2.3: seconds or a date. Anything else is ignored. */
function readRetryAfter(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return ms > 0 ? ms : 0;
}

/** Node.js says only "fetch failed". The reason is in the cause, whose message is empty if two addresses failed. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
}
