import { PROBLEMS, type Problem, type PublishAnswer } from '@chronicleweaver/protocol';
import type { Exchange } from './exchange.ts';
import type { RawResponse } from './http-response.ts';
import type { Step } from './step.ts';
import { SECRET } from './target.ts';

/** The longest that an answer may take, milliseconds: catastrophic backtracking takes longer. */
const TOOK_MS_MAX = 5_000;

/** Every header that the service sends. Any other was injected by a request. */
const HEADERS = new Set([
  'accept-ranges',
  'allow',
  'cache-control',
  'connection',
  'content-length',
  'content-range',
  'content-security-policy',
  'content-type',
  'date',
  'etag',
  'keep-alive',
  'last-modified',
  'link',
  'location',
  'referrer-policy',
  'retry-after',
  'transfer-encoding',
  'vary',
  'www-authenticate',
  'x-accel-buffering',
  'x-content-type-options',
]);

const OWN_HEADERS = 'chronicle-';

/** What is wrong with the answers to a step; empty if nothing is. */
export function faultsIn(
  step: Step,
  { responses, rest, isStreaming, tookMs, isEnded }: Exchange,
  guarded: boolean,
): string[] {
  const faults = responses.flatMap((response, i) => faultsOf(response, step.methods?.[i] === 'HEAD'));
  if (rest.length > 0 && !isEnded) faults.push(`an answer is cut short: ${excerpt(rest)}`);
  if (tookMs > TOOK_MS_MAX) faults.push(`it took ${Math.round(tookMs)} ms`);
  if (step.isSure && step.methods !== null && !isStreaming) {
    const last = responses.at(-1);
    const hasEnded = last !== undefined && last.status >= 400 && headerOf(last, 'connection') === 'close';
    if (responses.length > step.methods.length || (responses.length < step.methods.length && !hasEnded)) {
      faults.push(`${responses.length} answers to ${step.methods.length} requests`);
    }
  }
  if (guarded && !step.bytes.includes(SECRET)) {
    const letIn = responses.filter((response) => response.status < 300 && !isOpen(response));
    faults.push(...letIn.map(({ body }) => `let in without a key: ${excerpt(body)}`));
  }
  for (const { at, valid, text } of step.publishes) {
    const response = responses[at];
    if (response === undefined) continue;
    if (valid !== null && response.status !== 200) {
      faults.push(
        `a valid publish was answered with ${response.status} ${excerpt(response.body)}: ${text.slice(0, 500)}`,
      );
    }
    const answer = publishAnswerIn(response);
    if (valid !== null && answer !== null && answer.events_count !== valid.length) {
      faults.push(`${valid.length} events were answered with ${excerpt(response.body)}`);
    }
    if (answer !== null && eventsIn(text) === null)
      faults.push(`something that is not JSON was accepted: ${text.slice(0, 500)}`);
  }
  return faults;
}

/** Whether this is an answer that anybody may have. An answer to HEAD has no body. */
function isOpen({ status, headers, body }: RawResponse): boolean {
  const length = Number(headerOf({ status, headers, body }, 'content-length'));
  return body.length === 0
    ? length <= OPEN_BYTES_MAX
    : /^\{"message":"[^"]*"(,"store":"\w+")?\}$/.test(body.toString());
}

const OPEN_BYTES_MAX = 45;

function faultsOf(response: RawResponse, isHead: boolean): string[] {
  const { status, headers, body } = response;
  const faults = headers
    .filter(([name]) => !HEADERS.has(name) && !name.startsWith(OWN_HEADERS))
    .map(([name, value]) => `a header came out of a request: ${name}: ${value}`);
  if (status >= 500 && status !== 503) faults.push(`status ${status}: ${excerpt(body)}`);
  if (status === 503 && !/^[1-9]\d*$/.test(headerOf(response, 'retry-after') ?? ''))
    faults.push('503 without Retry-After');
  const type = headerOf(response, 'content-type') ?? '';
  if (status >= 400) {
    if (OTLP_TYPES.has(type)) faults.push(...statusFaults(status, body));
    else if (type !== 'application/problem+json') faults.push(`status ${status} as ${type || 'nothing'}`);
    else if (!isHead) faults.push(...problemFaults(status, body));
  } else if (type.startsWith('application/json') && !isHead && parsed(body) === undefined) {
    faults.push(`an answer is not JSON: ${excerpt(body)}`);
  }
  const link = headerOf(response, 'link');
  if (link !== undefined && !/^<\/events\?[\w.%*+=&-]*>; rel="next"$/.test(link))
    faults.push(`Link: ${link}`);
  return faults;
}

function problemFaults(status: number, body: Buffer): string[] {
  const problem = parsed(body) as Partial<Problem> | undefined;
  const known = problem?.code === undefined ? undefined : PROBLEMS[problem.code];
  if (known === undefined) return [`not a problem: ${excerpt(body)}`];
  const isRight =
    known.status === status &&
    problem?.status === status &&
    known.title === problem.title &&
    !!problem.detail;
  return isRight ? [] : [`status ${status} with the problem ${excerpt(body)}`];
}

/** The types of OTLP's answers, whose refusals are a Status. */
const OTLP_TYPES = new Set(['application/json', 'application/x-protobuf', 'application/protobuf']);

/** In JSON, or in protobuf: where a message may begin there is its length, which is no text or one letter of it. */
const STATUS_MESSAGE = /(?:"message":"|^..[^\w"].{1,3}?)([a-z_]+): ./s;

/** In either encoding of a Status its message can be read as text. */
function statusFaults(status: number, body: Buffer): string[] {
  const code = STATUS_MESSAGE.exec(body.toString('latin1'))?.[1];
  const known = PROBLEMS[code as keyof typeof PROBLEMS] as { status: number } | undefined;
  // A body that is too slow may come again, which exporters do not do after 408.
  const isRight = known?.status === status || (code === 'request_timeout' && status === 503);
  return isRight ? [] : [`status ${status} with the Status ${excerpt(body)}`];
}

/** The answer to a publish, or null if it was not accepted. */
export function publishAnswerIn({ status, body }: RawResponse): PublishAnswer | null {
  if (status !== 200 || !body.includes('"events_count"')) return null;
  const answer = parsed(body) as Partial<PublishAnswer> | undefined;
  return answer?.status === 'success' && typeof answer.events_count === 'number'
    ? (answer as PublishAnswer)
    : null;
}

/** The events of a body, or null if it is not JSON. */
export function eventsIn(text: string): { readonly event_id: string; readonly topic: string }[] | null {
  const body = parsed(Buffer.from(text)) as { events?: { event_id: string; topic: string }[] } | undefined;
  if (body === undefined) return null;
  return body.events ?? [body as { event_id: string; topic: string }];
}

function headerOf({ headers }: RawResponse, wanted: string): string | undefined {
  return headers.find(([name]) => name === wanted)?.[1];
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(UTF8.decode(body));
  } catch {
    return undefined;
  }
}

function excerpt(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('utf8', 0, 500));
}
