import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS, type PublishCounts } from '@chronicleweaver/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { KeyRing } from '../../access/key-ring.ts';
import { ANYONE, type Principal } from '../../access/principal.ts';
import { TooManyBytes } from '../../event/batch-writer.ts';
import { OwnedBatch } from '../../event/event-batch.ts';
import { freeMemory } from '../../released-memory.ts';
import { KIND_OF } from '../../sources/kinds.ts';
import { type Answer, type Received, Refusal, type Source } from '../../sources/source.ts';
import type { Sources } from '../../sources/sources.ts';
import type { Api } from '../api.ts';
import { publish } from '../publish.ts';
import { type PublishParts, eventsBytesMax } from '../publish-parts.ts';
import { CHALLENGE, admitted } from '../request/access.ts';
import { type DeliveryListener, type DeliveryOutcome, telling } from '../request/answers.ts';
import { admit, readPast, withBody } from '../request/body.ts';
import { codingOf } from '../request/content-coding.ts';
import { compileParametersAlone } from '../request/parameters.ts';
import { ProblemError } from '../request/problems.ts';
import { problems, publishAnswer } from '../schemas.ts';
import { noSuchSource } from './answers.ts';
import { requireAsking, requireJson } from './body-type.ts';
import { type FixedTopics, fixedAddresses } from './fixed-addresses.ts';
import { RefusalLog } from './refusal-log.ts';
import { deliveryBody, sourceParams } from './schemas.ts';

export interface DeliveryParts extends PublishParts, FixedTopics {
  readonly sources: Sources;
  readonly deliveries: DeliveryListener;
  /** Undefined if no keys are in force. */
  readonly keys: KeyRing | undefined;
  readonly log: Logger;
}

/**
 * `POST /in/{name}`: what a source sends. Each kind has its own bodies and answers (sources/source.ts); events are published like
 * any others.
 *
 * A delivery that is not from the source gets the same answer as one to a source that there is not, and no sooner: after its
 * body. Only the log says why. Whoever has a key is told more.
 */
export async function deliveryRoutes(api: Api, parts: DeliveryParts): Promise<void> {
  const { deliveries } = parts;
  const refusals = new RefusalLog(parts.log);
  const countAnswer = telling(parts.answers);
  const take = async (
    name: string,
    find: () => Promise<Source | undefined>,
    raw: IncomingMessage,
    reply: FastifyReply,
    principal?: Principal,
  ): Promise<void> => {
    let source: Source | undefined;
    try {
      source = await find();
      const sender =
        source !== undefined && principal !== undefined
          ? { source, principal }
          : senderOf(name, source, raw, reply.raw, parts);
      const { outcome, answer } = await taken(await received(sender, raw, reply.raw, parts), sender, parts);
      deliveries.delivered(source?.kind ?? UNKNOWN, outcome);
      await answered(reply, answer);
    } catch (error) {
      if (error instanceof Refusal) refusals.note(name, source?.kind ?? UNKNOWN, error);
      // Neither the queue's refusal nor the store's says anything about the delivery.
      const isRefused = error instanceof Refusal || error instanceof ProblemError;
      deliveries.delivered(source?.kind ?? UNKNOWN, isRefused ? 'refused' : 'unavailable');
      if (!raw.readableEnded) readPast(raw);
      throw problemOf(error as Error, reply.raw);
    }
  };
  // The handler reads it.
  api.addContentTypeParser('*', async (_request: FastifyRequest, raw: IncomingMessage) => raw);
  api.post(
    '/in/:name',
    {
      config: { scope: 'sender' },
      schema: {
        summary: 'Take what a source sends',
        description:
          'The body, the signature and the answer are those of the kind of the source. Answered after the events are committed ' +
          'and synced to disk; what is sent again is a duplicate. A source without secrets needs a key that may publish.',
        tags: ['sources'],
        params: sourceParams,
        body: deliveryBody,
        response: { 200: publishAnswer, ...problems(400, 401, 403, 404, 408, 413, 415, 422, 429, 503) },
      },
      onSend: countAnswer,
      // The kind checks what matters to it, and a name that is none is the name of no source.
      validatorCompiler: () => () => true,
    },
    ({ params: { name }, raw }, reply) => take(name, () => parts.sources.find(name), raw, reply),
  );
  for (const { address, schema, source } of fixedAddresses(parts)) {
    const options = {
      config: { scope: 'publish' as const },
      schema,
      onSend: countAnswer,
      validatorCompiler: compileParametersAlone,
    };
    api.post(address, options, ({ raw, principal }, reply) =>
      take(source.name, async () => source, raw, reply, principal),
    );
  }
  api.head('/in/:name', { config: { scope: 'sender' }, schema: { hide: true } }, async (request, reply) => {
    const { name } = request.params as { name: string };
    const source = await parts.sources.find(name);
    const sender = senderOf(name, source, request.raw, reply.raw, parts);
    if ('principal' in sender && KIND_OF[sender.source.kind].answersHead) return reply.code(200).send();
    throw problemOf(new Refusal('unsigned', 'its kind has no HEAD'), reply.raw);
  });
}

const UNKNOWN = 'unknown';

/** Who sends it, if that can be told without the body; or why nobody does, which is answered once the body is there. */
type Sender = { readonly source: Source; readonly principal: Principal } | { readonly refusal: Refusal };

/** Throws a ProblemError where somebody with a key may not send it. */
function senderOf(
  name: string,
  source: Source | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  { keys }: DeliveryParts,
): Sender {
  if (source !== undefined && source.secrets.length > 0) return { source, principal: itself(source) };
  let principal: Principal;
  try {
    principal = admitted(keys, 'publish', request, response);
  } catch (error) {
    if (!(error instanceof ProblemError) || error.code !== 'unauthorized') throw error;
    // Other refusals, too, must not tell it from a source that has secrets.
    response.removeHeader('www-authenticate');
    const why = source === undefined ? 'there is no such source' : 'its key is missing, or not in force';
    return { refusal: new Refusal('unsigned', why) };
  }
  if (source === undefined) throw noSuchSource(name);
  return { source, principal };
}

/** Its topics are those of its definition, which somebody with the scope `admin` wrote. */
function itself({ name }: Source): Principal {
  return { ...ANYONE, name: `in/${name}` };
}

async function received(
  sender: Sender,
  request: IncomingMessage,
  response: ServerResponse,
  { queue, body }: DeliveryParts,
): Promise<Received> {
  const kind = 'refusal' in sender ? undefined : KIND_OF[sender.source.kind];
  const bytesMax = kind?.bodies === 'events' ? body.bytesMax : Math.min(body.bytesMax, LIMITS.eventBytesMax);
  if (kind?.bodies !== 'events' && codingOf(request) !== null) {
    throw new ProblemError(
      'unsupported_media_type',
      'send the body as it was signed, without Content-Encoding',
    );
  }
  if (kind?.bodies === 'events') requireJson(request.headers);
  // What is signed comes from nobody's page.
  if ('source' in sender && sender.source.secrets.length === 0) requireAsking(request.headers);
  admit(request, response, queue.budget, bytesMax);
  const nowMs = Date.now();
  return await withBody(request, queue.budget, { ...body, bytesMax }, async (bytes) => {
    if ('refusal' in sender) throw sender.refusal;
    const { headers } = request;
    try {
      const delivery = { headers, body: bytes, nowMs, bytesMax: eventsBytesMax(body) };
      return await KIND_OF[sender.source.kind].receive(delivery, sender.source);
    } finally {
      // The events have memory of their own.
      freeMemory(bytes);
    }
  });
}

interface Taken {
  readonly outcome: DeliveryOutcome;
  readonly answer: Answer;
}

async function taken(what: Received, sender: Sender, { queue }: DeliveryParts): Promise<Taken> {
  if (what.kind === 'answer') return { outcome: 'answered', answer: what.answer };
  using owned = new OwnedBatch(what.batch);
  if ('refusal' in sender) throw new Error('a delivery from nobody has events');
  const counts = await publish(owned.events, sender.principal, queue, false);
  const answer = what.answer?.(counts) ?? {
    status: 200,
    type: 'application/json',
    body: JSON.stringify(counts),
  };
  return { outcome: outcomeOf(counts), answer };
}

function outcomeOf({ accepted, conflicts, duplicates }: PublishCounts): DeliveryOutcome {
  if (accepted > 0) return 'accepted';
  if (conflicts > 0) return 'conflict';
  return duplicates > 0 ? 'duplicate' : 'answered';
}

function answered(reply: FastifyReply, { status, type, body }: Answer): FastifyReply {
  reply.code(status);
  if (type !== undefined) reply.header('content-type', type);
  return reply.serializer(String).send(body);
}

/** What the error means to the sender. */
function problemOf(error: Error, response: ServerResponse): Error {
  if (error instanceof TooManyBytes) {
    return new ProblemError('batch_too_large', 'its events are too large together; send fewer at once');
  }
  if (!(error instanceof Refusal)) return error;
  const { code, message } = error;
  const errors = error.errors && [...error.errors];
  switch (code) {
    case 'invalid':
      return new ProblemError('invalid_delivery', `${message}; nothing was stored`, errors);
    case 'too_large':
      return new ProblemError('body_too_large', `${message}; nothing was stored`);
    case 'too_many':
      return new ProblemError('batch_too_large', `${message}; nothing was stored`);
    case 'unsigned':
    case 'wrong_signature':
    case 'expired':
      response.setHeader('www-authenticate', CHALLENGE);
      return new ProblemError(
        'delivery_refused',
        'compare the name in the address, the secret or key, and the clock with those of the source; the log of the service says which it is',
      );
  }
}
