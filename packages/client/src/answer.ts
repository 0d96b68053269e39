import type { Problem } from '@chronicleweaver/protocol';
import { ChronicleWeaverError, ProblemError } from './errors.ts';

/** The text of an answer, parsed. @throws ChronicleWeaverError `unexpected_answer` */
export function parsed<T>(request: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    throw unexpectedAnswer(request, 'with what is not JSON', cause);
  }
}

/** Something answered that is not what was asked for. */
export function unexpectedAnswer(request: string, what: string, cause?: unknown): ChronicleWeaverError {
  return new ChronicleWeaverError(
    'unexpected_answer',
    `${request} answered ${what}; is that ChronicleWeaver?`,
    cause,
  );
}

/** The list that an answer has under this name. @throws ChronicleWeaverError `unexpected_answer` */
export function listIn<T>(answer: unknown, name: string): T[] {
  const list = isRecord(answer) ? answer[name] : undefined;
  if (Array.isArray(list)) return list as T[];
  throw unexpectedAnswer('the service', `without ${name}`);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export function problemOf(request: string, response: Response, text: string): ProblemError {
  const { status, statusText, headers } = response;
  const retryAfterMs = readRetryAfter(headers.get('retry-after'));
  let problem: unknown;
  try {
    problem = JSON.parse(text);
  } catch {
    // A proxy's page: its beginning is all there is to tell.
  }
  const isProblem =
    isRecord(problem) && typeof problem['code'] === 'string' && typeof problem['detail'] === 'string';
  const told = isProblem ? (problem as Problem) : { detail: text.slice(0, 200) || statusText };
  return new ProblemError(request, { ...told, status, retryAfterMs });
}

/** Retry-After, RFC 9110 section 10.2.3: seconds or a date. What is neither counts as not there. */
function readRetryAfter(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return ms > 0 ? ms : 0;
}

/** Node's fetch says only "fetch failed"; the reason is its cause, whose message is empty where two addresses failed. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
}
