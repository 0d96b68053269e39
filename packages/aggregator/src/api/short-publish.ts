import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { KeyRing } from '../access/key-ring.ts';
import { hasAttributes } from './cloudevents/mode.ts';
import { admitted } from './request/access.ts';
import { refusalOf } from './request/json-type.ts';
import { problemAnswer } from './request/problems.ts';
import { publish, receiveBatch } from './publish.ts';
import type { PublishParts } from './publish-parts.ts';
import type { Api } from './api.ts';

interface ShortPublishParts extends PublishParts {
  readonly keys: KeyRing | undefined;
}

/**
 * Answers plain publishes without Fastify, whose lifecycle takes a tenth of a single event's processor time. In: every
 * request to the server. Out: answers to the plain publishes; all other requests go to Fastify, whose own route for
 * publishes answers the same.
 *
 * Both routes call the same functions in the same order. A publish is not plain if it could be refused before access is
 * checked, or uses something rare (CORS, CloudEvents, unusual spellings of the type, other queries).
 */
export function shortenPublishes(api: Api, parts: ShortPublishParts): void {
  const { server } = api;
  const [framework, ...others] = server.listeners('request') as RequestListener[];
  if (framework === undefined || others.length > 0) throw new Error('Fastify must be the only listener');
  const listener: RequestListener = (request, response) => {
    const withResults = PLAIN_ADDRESSES.get(request.url!);
    if (withResults === undefined || !isPlain(request)) framework(request, response);
    else void answerPublish(request, response, withResults, parts, api);
  };
  server.off('request', framework).on('request', listener);
  // From here on Fastify's hook refuses every request, and Fastify closes the connections.
  api.addHook('preClose', async () => {
    server.off('request', listener).on('request', framework);
  });
}

/** The addresses, each with whether results are requested. */
const PLAIN_ADDRESSES = new Map([
  ['/publish', false],
  ['/publish?results=false', false],
  ['/publish?results=true', true],
]);

const PLAIN_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;

function isPlain({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'POST' &&
    headers.host !== undefined &&
    headers.origin === undefined &&
    !hasAttributes(headers) &&
    PLAIN_TYPE.test(headers['content-type'] ?? '')
  );
}

async function answerPublish(
  request: IncomingMessage,
  response: ServerResponse,
  withResults: boolean,
  parts: ShortPublishParts,
  { log }: Api,
): Promise<void> {
  const startMs = performance.now();
  const { answers } = parts;
  try {
    const principal = admitted(parts.keys, 'publish', request, response);
    const { queue, body } = parts;
    const refusal = refusalOf(request, response, queue.budget, body.bytesMax, { isBodyNeeded: true });
    if (refusal !== undefined) throw refusal;
    using owned = await receiveBatch(request, parts);
    const answer = await publish(owned.events, principal, queue, withResults);
    answers.published(200, performance.now() - startMs);
    send(response, 200, JSON_HEADERS, answer);
  } catch (error) {
    const { headers, problem } = problemAnswer(error as Error, request, log, answers);
    answers.published(problem.status, performance.now() - startMs);
    send(response, problem.status, headers, problem);
  }
}

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' };

/** Sends head and body in one write. */
function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  answer: object,
): void {
  const body = JSON.stringify(answer);
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
}
