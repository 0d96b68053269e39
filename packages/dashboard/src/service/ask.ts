import { Watched } from '../watched.ts';
import { type Json, parseExact } from '../json/exact-json.ts';
import { itemsIn, textIn } from '../json/fields.ts';
import { BASE } from './address.ts';
import { authorization, key, keyAsked } from './key.ts';

/** Why the last request got no answer at all; undefined while the service answers. */
export const unreachable = new Watched<string | undefined>(undefined);

export interface Answer {
  readonly text: string;
  readonly headers: Headers;
}

/** The service refused: a problem document, or whatever a proxy said. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  /** One line for each fault in what was sent. */
  readonly faults: readonly string[];
  readonly problem: Json | undefined;

  constructor(status: number, text: string) {
    let problem: Json | undefined;
    try {
      problem = parseExact(text);
    } catch {
      // A proxy's page.
    }
    super(textIn(problem, 'detail') || `the answer was ${status}`);
    this.status = status;
    this.code = textIn(problem, 'code');
    this.faults = itemsIn(problem, 'errors').map(
      (fault) => `${textIn(fault, 'field') || 'the request'}: ${textIn(fault, 'message')}`,
    );
    this.problem = problem;
  }
}

/** No answer: the service is down, or the network is. */
export class Unreachable extends Error {}

export interface Asking {
  readonly method?: string;
  /** JSON text, sent as it is. */
  readonly body?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

/** How long an answer may take, milliseconds; a count over a large log takes some. */
const ANSWER_MS_MAX = 60_000;

/**
 * Asks the service. @throws Refusal, Unreachable, or the signal's reason
 */
export async function ask(
  path: string,
  { method = 'GET', body, accept, signal }: Asking = {},
): Promise<Answer> {
  const secret = key.value;
  const headers: Record<string, string> = { accept: accept ?? 'application/json', ...authorization() };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const timeout = AbortSignal.timeout(ANSWER_MS_MAX);
  const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  let response: Response;
  let text: string;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      signal: either,
      cache: 'no-store',
      ...(body !== undefined && { body }),
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    const said = error instanceof Error ? error.message : String(error);
    unreachable.set(said);
    throw new Unreachable(said);
  }
  // A proxy answers for a service that is gone.
  unreachable.set([502, 504].includes(response.status) ? `a proxy answered ${response.status}` : undefined);
  if (response.ok) return { text, headers: response.headers };
  const refusal = new Refusal(response.status, text);
  // Another key may have been given meanwhile, of which this says nothing.
  if (response.status === 401 && secret === key.value) keyAsked.set(refusal.message);
  throw refusal;
}

/** The answer as JSON. @throws Refusal, Unreachable, JsonFault, or the signal's reason */
export async function askJson(path: string, asking?: Asking): Promise<Json> {
  const { text } = await ask(path, asking);
  return parseExact(text === '' ? 'null' : text);
}
